/*
 * The operator's terminal: raw while a guest runs, restored whatever happens.
 *
 * One per process, because a signal handler must find it.
 */
#ifndef BELFRY_TTY_H
#define BELFRY_TTY_H

#include <belfry/base.h>

/*
 * Put the terminal on @fd into raw mode: no echo, no line editing, no signals
 * from keys; output processing stays, so that messages still end their lines.
 * False, and nothing done, if @fd is no terminal or we are in its background.
 * Restored by tty_restore, at exit, and when a fatal signal ends us.
 */
bool tty_raw(int fd);

/* Back to what it was. Harmless when it is not raw; async-signal-safe. */
void tty_restore(void);

#endif
