/*
 * Work for all devices that the guest has, side by side, and the account of
 * their interrupts.
 */
#ifndef BELFRY_TESTS_LOAD_H
#define BELFRY_TESTS_LOAD_H

#include <belfry/base.h>

/*
 * The disk's blocks are written and read back, one request at a time on each
 * CPU, random bytes are drawn, and streams exchanged; what the guest does not
 * have is left out. @steady: no CPU goes, so a disk with a queue for each has
 * one request at a time on each.
 */
struct load *load_start(bool steady);
/* Wait until each device has answered something since; false if one does not.
 */
bool load_goes_on(const struct load *l);
/*
 * End it. False if a request was not answered in time, or wrongly; or if more
 * interrupts came than were asked for.
 */
bool load_end(struct load *l);

#endif
