/*
 * A stream in each direction at once over one TCP connection, for both ends:
 * the guest's and its host's.
 */
#ifndef BELFRY_TESTS_EXCHANGE_H
#define BELFRY_TESTS_EXCHANGE_H

#include "sha256.h"

struct exchange {
	char sent[SHA256_HEX]; /* digests of what this end sent */
	char got[SHA256_HEX];  /* and received */
	char why[128];         /* it failed, if it did */
};

/*
 * Send @bytes, and receive as many, on the connected socket @fd; the one who
 * @asks tells the other how many. False if the connection failed or an end did
 * not get what the other sent, by SHA-256.
 */
bool exchange(int fd, bool asks, u64 bytes, struct exchange *x);

#endif
