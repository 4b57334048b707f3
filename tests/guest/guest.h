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

/* One of init.c's by NAME[,ARGUMENT]; what is left in @text is the name. */
bool run_test(char *text);

/* The start of a file as a string without its last newline; false without. */
bool file_get(const char *path, char *buf, size_t size);
bool file_put(const char *path, const char *text);
/* The line of /proc/interrupts that ends with @name, or false. */
bool interrupts_of(const char *name, char *buf, size_t size);
/* Has the kernel logged @text since it started? */
bool kernel_said(const char *text);
/* A word of the kernel's command line: one that begins with @key, if that ends
 * with "=", whose rest goes to @buf; or @key itself. */
bool kernel_word(const char *key, char *buf, size_t size);

/* The modules of the initrd, if there are devices for them. */
bool load_modules(void);
/* Run @init on the root file system that @device has; returns only if that
 * cannot be. */
bool switch_root(const char *device, const char *init);
/* Wait until @path is there. */
bool appears(const char *path);
/* One of them, by its name, again; it was there and is not in use. */
bool module_insert(const char *name);
bool module_remove(const char *name);

/* The disk that the tests use: vda, or what belfry.disk= names. */
const char *disk_dev(void);
/* Give eth0 its addresses; again, after its driver came back. */
bool card_up(void);
bool card_down(void);
/* Take a driver from its device and give it back, @count times. */
bool reprobe(const char *driver, long count);
/* A stream of @bytes in each direction, to and from the other end of eth0. */
bool stream_run(bool ipv6, u64 bytes);
/* The same, once it is connected, beside what else is done; and said. */
struct stream *stream_start(bool ipv6, u64 bytes);
bool stream_end(struct stream *s);

/* Work to be measured from outside, which is @run(@count): see tasks.c. Counted
 * are interrupts whose names match @irqs. */
bool run_task(const char *name, bool (*run)(long count), long count,
	      const char *irqs);

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
bool test_suspend_loaded(const char *arg);
bool test_disk(const char *arg);
bool test_disks(const char *arg);
bool test_root(const char *arg);
bool test_fill(const char *arg);
bool test_discard(const char *arg);
bool test_full(const char *arg);
bool test_cut(const char *arg);
bool test_grow(const char *arg);
bool test_readonly(const char *arg);
bool test_records(const char *arg);
bool test_reboot_loaded(const char *arg);
bool test_tcp(const char *arg);
bool test_rng(const char *arg);
bool test_rebind(const char *arg);
bool test_tasks(const char *arg);
bool test_hotplug(const char *arg);
bool test_affinity(const char *arg);
bool test_kexec(const char *arg);
bool test_pmu_irq(const char *arg);
bool test_modprobe(const char *arg);
bool test_scribble_gic(const char *arg);
bool test_ping(const char *arg);
bool test_rebind_passed(const char *arg);
bool test_flr(const char *arg);
bool test_iommu(const char *arg);
bool test_touch(const char *arg);
bool test_doorbells(const char *arg);
bool test_unmap(const char *arg);
bool test_ring(const char *arg);
bool test_unmaps(const char *arg);
bool test_smmu_off(const char *arg);
bool test_mkfs(const char *arg);

#endif
