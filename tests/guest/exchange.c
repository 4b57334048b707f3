#include "exchange.h"
#include "data.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK (128 * KIB)

struct sender {
	pthread_t thread;
	int fd;
	u64 seed, bytes;
	char *digest;
	int error;
};

static int send_all(int fd, const void *buf, size_t len)
{
	const char *p = buf;

	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return errno;
		p += MAX(n, 0);
		len -= (size_t)MAX(n, 0);
	}
	return 0;
}

/* Who falls asleep while waiting, as a guest does, gets what there is. */
static int receive_all(int fd, void *buf, size_t len)
{
	char *p = buf;

	while (len) {
		ssize_t n = recv(fd, p, len, MSG_WAITALL);

		if (!n)
			return ECONNRESET;
		if (n < 0 && errno != EINTR)
			return errno;
		p += MAX(n, 0);
		len -= (size_t)MAX(n, 0);
	}
	return 0;
}

static void *run_sender(void *arg)
{
	struct sender *s = arg;
	u64 buf[CHUNK / sizeof(u64)];
	struct sha256 sum;

	sha256_init(&sum);
	for (u64 at = 0; at < s->bytes && !s->error; at += CHUNK) {
		size_t n = MIN(CHUNK, s->bytes - at);

		data_fill(s->seed, at, buf, n);
		sha256_add(&sum, buf, n);
		s->error = send_all(s->fd, buf, n);
	}
	sha256_end(&sum, s->digest);
	return NULL;
}

static int receive_digest(int fd, u64 bytes, char digest[static SHA256_HEX])
{
	u64 buf[CHUNK / sizeof(u64)];
	struct sha256 sum;

	sha256_init(&sum);
	for (u64 at = 0; at < bytes; at += CHUNK) {
		size_t n = MIN(CHUNK, bytes - at);
		int error = receive_all(fd, buf, n);

		if (error)
			return error;
		sha256_add(&sum, buf, n);
	}
	sha256_end(&sum, digest);
	return 0;
}

/* The streams, then what each received. */
static int both_ways(int fd, bool asks, u64 bytes, struct exchange *x,
		     char theirs[static SHA256_HEX])
{
	struct sender s = { .fd = fd,
			    .seed = asks ? 3 : 4,
			    .bytes = bytes,
			    .digest = x->sent };
	int error = pthread_create(&s.thread, NULL, run_sender, &s);

	if (error)
		return error;
	error = receive_digest(fd, bytes, x->got);
	/* A sender does not wait for one who has gone. */
	if (error)
		shutdown(fd, SHUT_RDWR);
	pthread_join(s.thread, NULL);
	error = error ? error : s.error;
	error = error ? error : send_all(fd, x->got, sizeof(x->got));
	return error ? error : receive_all(fd, theirs, SHA256_HEX);
}

bool exchange(int fd, bool asks, u64 bytes, struct exchange *x)
{
	char theirs[SHA256_HEX];
	u64 wire = htobe64(bytes);
	int error;

	*x = (struct exchange) { .why = "" };
	error = asks ? send_all(fd, &wire, sizeof(wire))
		     : receive_all(fd, &wire, sizeof(wire));
	if (!error)
		error = both_ways(fd, asks, be64toh(wire), x, theirs);
	if (error)
		snprintf(x->why, sizeof(x->why), "connection: %s",
			 strerror(error));
	else if (strcmp(theirs, x->sent))
		snprintf(x->why, sizeof(x->why),
			 "the other end did not get what this one sent");
	return !*x->why;
}
