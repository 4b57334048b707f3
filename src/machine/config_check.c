/*
 * What only the whole configuration can show: what is missing, files that are
 * not there or stand for two things, devices that are in each other's way.
 */
#include <belfry/text.h>

#include "config_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512u

/* --- files --- */

/* A fault of a path, about which there is then no more to say. */
#define path_fault(s, k, ...) \
	(origin(s, k)->refused = true, key_fault(s, k, __VA_ARGS__))

static void check_file(struct scope *s, const struct config_key *k,
		       const char *path)
{
	struct stat st;

	if (stat(path, &st))
		path_fault(s, k, "cannot find %s: %s", path, strerror(errno));
	else if (S_ISDIR(st.st_mode))
		path_fault(s, k, "%s is a directory; name a file in it", path);
	else if (!S_ISREG(st.st_mode))
		path_fault(s, k, "%s is no regular file; copy it into one",
			   path);
	else if (access(path, R_OK))
		path_fault(s, k, "cannot read %s: %s", path, strerror(errno));
}

/* 0 if a file can be created where @path says, else an errno. */
static int access_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash ? text_copy(path, (size_t)(slash + 1 - path))
			  : text_copy(".", 1);
	int why = access(dir, W_OK | X_OK) ? errno : 0;

	free(dir);
	return why;
}

/* Something that exists and can be written, or a place to create it. */
static void check_output(struct scope *s, const struct config_key *k,
			 const char *path)
{
	struct stat st;
	int why = stat(path, &st) ? errno : 0;

	if (why == ENOENT) {
		why = access_directory(path);
		if (why)
			path_fault(s, k, "cannot create %s: %s", path,
				   strerror(why));
		return;
	}
	if (!why && S_ISDIR(st.st_mode))
		why = EISDIR;
	else if (!why && access(path, W_OK))
		why = errno;
	if (why)
		path_fault(s, k, "cannot write %s: %s", path, strerror(why));
}

static bool is_readonly(const struct scope *s)
{
	return ((const struct config_drive *)s->base)->readonly;
}

/* A file's; of a device only opening it tells. */
static void check_disk_size(struct scope *s, const struct config_key *k,
			    const char *path, u64 size)
{
	if (!size)
		path_fault(
			s, k,
			"%s is empty; `truncate -s 10G %s` makes it a blank disk",
			path, path);
	else if (size % SECTOR)
		path_fault(
			s, k,
			"%s has %llu bytes, no whole number of sectors of %u; `truncate -s %%%u %s` adds what is missing",
			path, (unsigned long long)size, SECTOR, SECTOR, path);
}

static void check_disk(struct scope *s, const struct config_key *k,
		       const char *path)
{
	struct stat st;

	if (stat(path, &st))
		path_fault(s, k, "cannot find %s: %s", path, strerror(errno));
	else if (S_ISDIR(st.st_mode))
		path_fault(s, k, "%s is a directory; name an image in it",
			   path);
	else if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		path_fault(s, k,
			   "%s is neither a regular file nor a block device",
			   path);
	else if (access(path, R_OK))
		path_fault(s, k, "cannot read %s: %s", path, strerror(errno));
	else if (!is_readonly(s) && access(path, W_OK))
		path_fault(s, k, "cannot write %s: %s; readonly would do", path,
			   strerror(errno));
	else if (S_ISREG(st.st_mode))
		check_disk_size(s, k, path, (u64)st.st_size);
}

static void check_paths(struct scope *s)
{
	for (const struct config_key *k = s->keys; k->name; k++) {
		const char *path;

		if (!config_key_is_path(k) || origin(s, k)->refused)
			continue;
		path = *(char **)config_key_field(k, s->base);
		if (path && k->type == KEY_FILE)
			check_file(s, k, path);
		else if (path && k->type == KEY_OUTPUT)
			check_output(s, k, path);
		else if (path)
			check_disk(s, k, path);
	}
}

/* A file by what it is, however it is called, and who uses it for what. */
struct use {
	struct scope *s;
	const struct config_key *k;
	const char *path;
	bool writes;
	bool block;
	dev_t dev;
	ino_t ino;
};

#define USES_MAX (3 + CONFIG_DRIVES_MAX)

static bool find_use(struct use *u, struct scope *s, const struct config_key *k)
{
	struct stat st;

	if (!config_key_is_path(k) || origin(s, k)->refused)
		return false;
	*u = (struct use) { .s = s, .k = k };
	u->path = *(char **)config_key_field(k, s->base);
	if (!u->path || stat(u->path, &st) ||
	    (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)))
		return false;
	u->writes = k->type == KEY_OUTPUT ||
		    (k->type == KEY_DISK && !is_readonly(s));
	u->block = S_ISBLK(st.st_mode);
	u->dev = u->block ? st.st_rdev : st.st_dev;
	u->ino = u->block ? 0 : st.st_ino;
	return true;
}

static bool clash(const struct use *a, const struct use *b)
{
	return (a->writes || b->writes) && a->block == b->block &&
	       a->dev == b->dev && a->ino == b->ino;
}

static void use_fault(const struct use *u, const struct use *before)
{
	bool log = u->k->type == KEY_OUTPUT || before->k->type == KEY_OUTPUT;

	key_fault(
		u->s, u->k,
		"%s is the file of %s%s%s, too, and written to; name another%s",
		u->path, before->s->name, *before->s->name ? "." : "",
		before->k->name, log ? "" : ", or make it readonly");
}

/* Fault @s for every file of an earlier use; adds its own to the @nr. */
static size_t check_uses(struct scope *s, struct use *uses, size_t nr)
{
	for (const struct config_key *k = s->keys; k->name; k++) {
		size_t i = 0;

		if (!find_use(&uses[nr], s, k))
			continue;
		while (i < nr && !clash(&uses[i], &uses[nr]))
			i++;
		if (i < nr)
			use_fault(&uses[nr], &uses[i]);
		nr++;
	}
	return nr;
}

static void check_files(struct reader *r)
{
	struct use uses[USES_MAX];
	size_t nr = 0;

	for (u32 i = 0; i < r->scopes_nr; i++)
		check_paths(&r->scopes[i]);
	for (u32 i = 0; i < r->scopes_nr; i++)
		nr = check_uses(&r->scopes[i], uses, nr);
}

/* --- drives, nets, vfios --- */

static bool lacks(struct scope *s, const char *name)
{
	const struct origin *from = origin(s, key_called(s, name));

	return !from->given && !s->refused;
}

static void check_drive(struct scope *s)
{
	const struct config_drive *d = s->base;

	if (lacks(s, "path"))
		key_fault(s, key_called(s, "path"),
			  "missing; name a disk image or a block device");
	if (d->discard && d->readonly)
		key_fault(
			s, key_called(s, "discard"),
			"given with readonly, by which nothing can be discarded; leave one of them out");
}

/* Guests tell disks apart by it; @b is the later one. */
static void check_drive_pair(const struct scope *a, struct scope *b)
{
	const struct config_drive *x = a->base, *y = b->base;

	if (x->serial && y->serial && !strcmp(x->serial, y->serial))
		key_fault(b, key_called(b, "serial"),
			  "%s is %s's, too; give another", y->serial, a->name);
}

/* Is @fd among the first @nr of @n? */
static bool has_fd(const struct config_net *n, u32 nr, int fd)
{
	for (u32 i = 0; i < nr; i++)
		if (n->fds[i] == fd)
			return true;
	return false;
}

static void check_fds(struct scope *s)
{
	const struct config_key *key = key_called(s, "fd");
	const struct config_net *n = s->base;

	for (u32 i = 0; i < n->fds_nr; i++)
		if (has_fd(n, i, n->fds[i]))
			key_fault(s, key, "%d is given twice; keep one",
				  n->fds[i]);
		else if (fcntl(n->fds[i], F_GETFD) < 0)
			key_fault(
				s, key,
				"%d is not open; whoever starts Belfry opens it",
				n->fds[i]);
}

static void check_net(struct scope *s)
{
	const struct config_key *queues = key_called(s, "queues");
	const struct config_net *n = s->base;
	/* A list of descriptors may have been given without any. */
	bool none = !n->fds_nr && !origin(s, key_called(s, "fd"))->refused;

	if (lacks(s, "tap") && none)
		key_fault(
			s, key_called(s, "tap"),
			"missing; name a TAP interface, or give open ones with fd");
	if (n->tap && n->fds_nr)
		key_fault(s, key_called(s, "fd"),
			  "given beside tap; keep one of them");
	if (n->fds_nr && n->queues != n->fds_nr && !origin(s, queues)->refused)
		key_fault(s, queues,
			  "%u, but %u descriptors are given; leave it out",
			  n->queues, n->fds_nr);
	check_fds(s);
}

/* What two nets may not share; @b is the later one. */
static void check_net_pair(const struct scope *a, struct scope *b)
{
	const struct config_net *x = a->base, *y = b->base;

	if (x->tap && y->tap && !strcmp(x->tap, y->tap))
		key_fault(b, key_called(b, "tap"),
			  "%s is %s's, too; name another", y->tap, a->name);
	if (!memcmp(x->mac, y->mac, sizeof(x->mac)))
		key_fault(b, key_called(b, "mac"), "is %s's, too; give another",
			  a->name);
	for (u32 i = 0; i < y->fds_nr; i++)
		if (has_fd(x, x->fds_nr, y->fds[i]))
			key_fault(b, key_called(b, "fd"),
				  "%d is %s's, too; give another", y->fds[i],
				  a->name);
}

/* Without an SMMU of its own the guest has no say in where messages go. */
static void check_vfio(struct scope *s)
{
	const struct config_key *doorbell = key_called(s, "doorbell");
	const struct config_vfio *v = s->base;

	if (lacks(s, "host"))
		key_fault(
			s, key_called(s, "host"),
			"missing; name a PCI function of this host's (`lspci -D` shows all)");
	if (s->r->c->smmu == SMMU_FOR_NONE && v->doorbell != DOORBELL_AUTO)
		key_fault(
			s, doorbell,
			"%s is a way past the guest's SMMU, and smmu is off; leave one of them out",
			doorbell->words[v->doorbell]);
}

static void check_vfio_pair(const struct scope *a, struct scope *b)
{
	const struct config_vfio *x = a->base, *y = b->base;

	if (x->host && y->host && !strcmp(x->host, y->host))
		key_fault(b, key_called(b, "host"),
			  "%s is %s's, too; name another", y->host, a->name);
	if (x->fd && x->fd == y->fd)
		key_fault(b, key_called(b, "fd"),
			  "%d is %s's, too; give another", y->fd, a->name);
}

static void check_group(struct scope *s)
{
	if (s->keys == config_drive_keys)
		check_drive(s);
	else if (s->keys == config_net_keys)
		check_net(s);
	else if (s->keys == config_vfio_keys)
		check_vfio(s);
}

static void check_pair(const struct scope *a, struct scope *b)
{
	if (a->keys != b->keys)
		return;
	if (b->keys == config_drive_keys)
		check_drive_pair(a, b);
	else if (b->keys == config_net_keys)
		check_net_pair(a, b);
	else if (b->keys == config_vfio_keys)
		check_vfio_pair(a, b);
}

static void check_groups(struct reader *r)
{
	for (u32 i = 0; i < r->scopes_nr; i++) {
		check_group(&r->scopes[i]);
		for (u32 j = 0; j < i; j++)
			check_pair(&r->scopes[j], &r->scopes[i]);
	}
}

/* --- the bus --- */

static u32 wanted_bdf(const struct scope *s)
{
	if (s->keys == config_drive_keys)
		return ((const struct config_drive *)s->base)->bdf;
	if (s->keys == config_net_keys)
		return ((const struct config_net *)s->base)->bdf;
	if (s->keys == config_vfio_keys)
		return ((const struct config_vfio *)s->base)->bdf;
	return CONFIG_BDF_AUTO;
}

/* Who of the first @nr wants @bdf; NULL: nobody. */
static const struct scope *who_wants(const struct reader *r, u32 nr, u32 bdf)
{
	for (u32 i = 0; i < nr; i++)
		if (wanted_bdf(&r->scopes[i]) == bdf)
			return &r->scopes[i];
	return NULL;
}

static void check_bdf(struct reader *r, u32 i)
{
	struct scope *s = &r->scopes[i];
	u32 bdf = wanted_bdf(s);
	const struct scope *before;
	char text[CONFIG_BDF_TEXT];

	if (bdf == CONFIG_BDF_AUTO)
		return;
	config_print_bdf(text, bdf);
	before = who_wants(r, i, bdf);
	if (before)
		key_fault(s, key_called(s, "bdf"),
			  "%s is %s's, too; choose another", text,
			  before->name);
	if (!who_wants(r, r->scopes_nr, bdf & ~7u))
		key_fault(
			s, key_called(s, "bdf"),
			"%s without a function 0, and so no guest looks for it; give that to another device",
			text);
}

static void check_places(struct reader *r)
{
	for (u32 i = 0; i < r->scopes_nr; i++)
		check_bdf(r, i);
}

/* --- the whole --- */

static void check_kernel(struct reader *r)
{
	/* In a file that could not be read there may be one. */
	if (lacks(&r->scopes[0], "kernel") && (!r->path || r->parsed))
		faults_add(r->f,
			   "%s%skernel: missing; name an arm64 Linux "
			   "kernel to boot",
			   r->path ? r->name : "--", r->path ? ": " : "");
}

static void check_memory(struct reader *r)
{
	struct scope *s = &r->scopes[0];
	const struct config_key *memory = key_called(s, "memory");

	if (r->c->memory_backing == BACKING_HUGETLB_1G && r->c->memory % GIB &&
	    !origin(s, memory)->refused)
		key_fault(s, memory,
			  "is not a multiple of 1G; "
			  "hugetlb-1G needs that");
}

void config_check(struct reader *r)
{
	check_kernel(r);
	check_files(r);
	check_memory(r);
	check_groups(r);
	check_places(r);
}
