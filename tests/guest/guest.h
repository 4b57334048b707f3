/*
 * What the guest's own tests share. A test says what it sees, a line each,
 * and returns whether that was right.
 */
#ifndef BELFRY_TESTS_GUEST_H
#define BELFRY_TESTS_GUEST_H

#include <belfry/base.h>

/* Print one line. */
PRINTF_LIKE(1, 2) void say(const char *fmt, ...);
/* The same, for what is wrong: returns false. */
PRINTF_LIKE(1, 2) bool wrong(const char *fmt, ...);

/* The start of a file as a string without its last newline; false without. */
bool file_get(const char *path, char *buf, size_t size);
bool file_put(const char *path, const char *text);
/* The line of /proc/interrupts that ends with @name, or false. */
bool interrupts_of(const char *name, char *buf, size_t size);
/* Has the kernel logged @text since it started? */
bool kernel_said(const char *text);

/* What a test is, by its name on the kernel's command line. @arg is what
 * followed the name and a comma, or an empty string. */
bool test_cpus(const char *arg);
bool test_interrupts(const char *arg);
bool test_features(const char *arg);
bool test_pmu(const char *arg);
bool test_mem(const char *arg);
bool test_scribble(const char *arg);
bool test_echo(const char *arg);
bool test_count(const char *arg);
bool test_spew(const char *arg);
bool test_rtc(const char *arg);
bool test_suspend(const char *arg);

#endif
