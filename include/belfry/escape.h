/*
 * Ctrl-A commands in the operator's input, as people know them from QEMU.
 * Pure: one byte in, what to do with it out.
 */
#ifndef BELFRY_ESCAPE_H
#define BELFRY_ESCAPE_H

#include <belfry/base.h>

enum escape_action {
	ESCAPE_NONE,   /* part of a command: nothing to do */
	ESCAPE_PASS,   /* the byte is the guest's */
	ESCAPE_QUIT,   /* Ctrl-A x */
	ESCAPE_STATUS, /* Ctrl-A c */
	ESCAPE_HELP,   /* Ctrl-A h, Ctrl-A ? */
	ESCAPE_BREAK,  /* Ctrl-A b: a serial break, for Magic SysRq */
};

/* @armed is the state between bytes: false at first. Ctrl-A twice passes one.
 */
enum escape_action escape_feed(bool *armed, u8 byte);

/* What Ctrl-A h shows. */
extern const char escape_help[];

#endif
