/*
 * Messages to an ITS of ours, where the kernel has no interrupt controller to
 * take them. Those of devices in this process are sent at once; a line, which is
 * for others, is an event of the loop's.
 */
#ifndef BELFRY_USER_MSI_H
#define BELFRY_USER_MSI_H

#include <belfry/irq.h>
#include <belfry/its.h>
#include <belfry/loop.h>

struct user_msi;

/* Writes to @translater, the address of GITS_TRANSLATER, are @its'. Both are
 * borrowed. NULL only if memory is short. */
struct user_msi *user_msi_create(struct loop *l, struct its *its,
				 gpa_t translater);
/* All lines are closed and the loop is gone. */
void user_msi_destroy(struct user_msi *u);

/* Valid while @u lives. */
struct msi_sink user_msi_sink(struct user_msi *u);

#endif
