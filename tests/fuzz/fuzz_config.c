/*
 * Any configuration file, any command line: what is accepted keeps its
 * promises, what is not is said in whole lines.
 *
 * Input: one argument per line if it begins with '-', else the JSON file. The
 * kernel is this program; /proc/self/fd/100 can be a disk.
 */
#include <belfry/config.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ARGS_MAX 64
#define DISK_FD  100

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void check_drive(const struct config_drive *d)
{
	assert(d->path && *d->path);
	assert(d->queues >= 1 && d->queues <= CONFIG_QUEUES_MAX);
	assert(!d->discard || !d->readonly);
	assert(!d->serial || strlen(d->serial) <= CONFIG_SERIAL_MAX);
}

static void check_net(const struct config_net *n)
{
	static const u8 zero[6];

	assert(n->tap ? *n->tap && strlen(n->tap) <= 15 : n->fds_nr > 0);
	assert(n->fds_nr == 0 || (!n->tap && n->queues == n->fds_nr));
	assert(n->queues >= 1 && n->queues <= CONFIG_QUEUES_MAX);
	assert(n->mtu == 0 || (n->mtu >= 68 && n->mtu <= 65535));
	assert(!(n->mac[0] & 1) && memcmp(n->mac, zero, sizeof(zero)));
}

/* As Linux writes it, with nothing that would lead elsewhere in sysfs. */
static void check_vfio(const struct config *c, const struct config_vfio *v)
{
	u32 domain, bus, dev, fn;
	char again[20];

	assert(v->host && strlen(v->host) < sizeof(again));
	assert(sscanf(v->host, "%x:%x:%x.%x", &domain, &bus, &dev, &fn) == 4);
	snprintf(again, sizeof(again), "%04x:%02x:%02x.%x", domain, bus, dev,
		 fn);
	assert(!strcmp(again, v->host) && dev < 32 && fn < 8);
	assert(v->doorbell <= DOORBELL_RMR);
	assert(c->smmu != SMMU_FOR_NONE || v->doorbell == DOORBELL_AUTO);
	for (const struct config_vfio *w = c->vfios; w < v; w++)
		assert(strcmp(w->host, v->host));
}

/* Each has a place of its own, where a guest looks: beside a function 0. */
static void check_places(const struct config *c)
{
	const struct config_device *function_0 = NULL;

	assert(c->devices_nr == c->drives_nr + c->nets_nr + c->vfios_nr +
					c->rng + (c->hvc != HVC_OFF));
	for (u32 i = 0; i < c->devices_nr; i++) {
		const struct config_device *d = &c->devices[i];

		assert(d->bdf < 256 && (!i || d->bdf > d[-1].bdf));
		if (d->bdf % 8 == 0)
			function_0 = d;
		assert(function_0 && function_0->bdf / 8 == d->bdf / 8);
		assert(memchr(d->name, '\0', sizeof(d->name)));
	}
}

static void check_accepted(const struct config *c)
{
	assert(c->kernel && *c->kernel && c->cmdline);
	assert(c->cpus >= 1 && c->cpus <= 512);
	assert(c->memory >= 32 * MIB && c->memory <= 1024 * GIB);
	assert(c->memory % (2 * MIB) == 0);
	assert(c->memory_backing <= BACKING_HUGETLB_1G);
	assert(c->sve <= SWITCH_OFF && c->pauth <= SWITCH_OFF);
	assert(c->pmu <= SWITCH_OFF && c->steal_time <= SWITCH_OFF);
	assert(c->seccomp <= SECCOMP_OFF);
	assert(!c->expect || *c->expect);
	assert(c->hvc <= HVC_PTY);
	assert(c->drives_nr <= CONFIG_DRIVES_MAX);
	assert(c->nets_nr <= CONFIG_NETS_MAX);
	for (u32 i = 0; i < c->drives_nr; i++) {
		check_drive(&c->drives[i]);
		for (u32 k = 0; k < i; k++)
			assert(!c->drives[i].serial || !c->drives[k].serial ||
			       strcmp(c->drives[i].serial,
				      c->drives[k].serial));
	}
	for (u32 i = 0; i < c->nets_nr; i++)
		check_net(&c->nets[i]);
	assert(c->smmu <= SMMU_FOR_NONE && c->vfios_nr <= CONFIG_VFIOS_MAX);
	for (u32 i = 0; i < c->vfios_nr; i++)
		check_vfio(c, &c->vfios[i]);
	check_places(c);
}

static void load(int argc, char **argv)
{
	struct faults f = { 0 };
	struct config c;

	config_init(&c);
	if (config_load(&c, argc, argv, &f)) {
		assert(f.nr == 0);
		check_accepted(&c);
	} else {
		assert(f.nr > 0);
	}
	for (size_t i = 0; i < f.nr; i++)
		assert(*f.msg[i] && !strchr(f.msg[i], '\n'));
	faults_fini(&f);
	config_fini(&c);
}

static void give_stdin(const u8 *data, size_t size)
{
	int fd = memfd_create("config", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	lseek(fd, 0, SEEK_SET);
	dup2(fd, STDIN_FILENO);
	close(fd);
}

static void give_disk(void)
{
	static bool given;
	int fd = given ? -1 : memfd_create("disk", 0);

	if (given)
		return;
	if (fd < 0 || ftruncate(fd, 512) || dup2(fd, DISK_FD) != DISK_FD)
		abort();
	close(fd);
	given = true;
}

static void load_file(const u8 *data, size_t size)
{
	char *argv[] = { "--kernel", "/proc/self/exe", "-" };

	give_stdin(data, size);
	load(3, argv);
}

static void load_args(char *text)
{
	char *argv[ARGS_MAX];
	int argc = 0;

	for (char *arg; argc < ARGS_MAX && (arg = strsep(&text, "\n"));)
		argv[argc++] = arg;
	give_stdin(NULL, 0);
	load(argc, argv);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	const char *expect = strstr(text, "expect");

	give_disk();
	/* Repeats of repeats make glibc's regcomp take all memory there is;
	 * whoever asks for that may have it, but nothing is learnt here. */
	if (!expect || !strpbrk(expect, "{*+")) {
		if (*text == '-')
			load_args(text);
		else
			load_file(data, size);
	}
	free(text);
	return 0;
}
