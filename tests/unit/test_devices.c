/*
 * The guest's devices as one thing. Each kind has tests of its own; here it is
 * who is who among them. Hosts fail requests, and networks drop frames, as the
 * test says.
 */
#include "fakes/driver.h"
#include "unit.h"

#include <belfry/blk.h>
#include <belfry/net.h>
#include <belfry/tap.h>

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices.h"

/* By the place on the bus: what is asked for next. */
static struct {
	u64 errors[2], dropped[2];
	u32 drive, net;
} lost;

u64 __wrap_blk_errors(const struct blk *b);
u64 __wrap_blk_errors(const struct blk *b)
{
	return lost.errors[lost.drive++ % 2];
}

u64 __wrap_net_dropped(const struct net *n);
u64 __wrap_net_dropped(const struct net *n)
{
	return lost.dropped[lost.net++ % 2];
}

int __wrap_tap_adopt(struct tap *t, const int *fds, u32 queues, struct err *e);
int __wrap_tap_adopt(struct tap *t, const int *fds, u32 queues, struct err *e)
{
	*t = (struct tap) { .fds = { fds[0] }, .queues = 1 };
	return 0;
}

/* --- a guest with two drives and two networks, the second of each in front --
 */

struct guest {
	struct world *w;
	struct config cfg;
	struct plan plan;
	struct mmio_bus bus;
	struct devices *all;
};

static void add(struct guest *g, enum config_kind kind, u32 index, u32 bdf,
		const char *name)
{
	struct config_device *d = &g->cfg.devices[g->cfg.devices_nr++];

	*d = (struct config_device) { .kind = kind,
				      .index = index,
				      .bdf = bdf };
	strcpy(d->name, name);
}

static void open_disk(struct guest *g, u32 i)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);
	struct err e = { 0 };
	char path[32];

	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ck_assert_msg(!disk_open(&g->plan.disks[i], path, false, false, &e),
		      "%s", e.msg);
	g->cfg.drives[i].queues = 1;
	close(fd);
}

static void open_net(struct guest *g, u32 i)
{
	int fd[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0,
				    fd),
			 0);
	g->cfg.nets[i].fds[0] = fd[0];
	g->cfg.nets[i].fds_nr = 1;
	g->cfg.nets[i].queues = 1;
}

static struct guest *guest_create(void)
{
	struct guest *g = calloc(1, sizeof(*g));
	struct devices_setup s = { .plan = &g->plan, .bus = &g->bus };
	struct err e = { 0 };

	ck_assert_ptr_nonnull(g);
	g->w = world_create(false);
	g->plan.cfg = &g->cfg;
	g->plan.map.pci = g->w->windows;
	mmio_bus_init(&g->bus);
	s.caps = g->w->caps;
	for (u32 i = 0; i < 2; i++) {
		open_disk(g, i);
		open_net(g, i);
	}
	add(g, CONFIG_RNG, 0, 1 << 3, "rng");
	add(g, CONFIG_DRIVE, 1, 2 << 3, "drive[1]");
	add(g, CONFIG_DRIVE, 0, 3 << 3, "drive[0]");
	add(g, CONFIG_NET, 1, 4 << 3, "net[1]");
	add(g, CONFIG_NET, 0, 4 << 3 | 1, "net[0]");
	g->all = devices_create(&s, &e);
	ck_assert_msg(g->all, "%s", e.msg);
	return g;
}

static void guest_destroy(struct guest *g)
{
	world_end(g->w);
	devices_destroy(g->all);
	for (u32 i = 0; i < 2; i++)
		disk_close(&g->plan.disks[i]);
	world_destroy(g->w);
	free(g);
}

START_TEST(losses)
{
	struct guest *g = guest_create();
	struct machine_losses l = devices_losses(g->all);

	for (u32 i = 0; i < CONFIG_DRIVES_MAX; i++)
		ck_assert_uint_eq(l.drive_errors[i], 0);
	for (u32 i = 0; i < CONFIG_NETS_MAX; i++)
		ck_assert_uint_eq(l.net_dropped[i], 0);
	lost.errors[0] = 7;
	lost.dropped[1] = 9;
	l = devices_losses(g->all);
	ck_assert_uint_eq(l.drive_errors[0], 0);
	ck_assert_uint_eq(l.drive_errors[1], 7);
	ck_assert_uint_eq(l.net_dropped[0], 9);
	ck_assert_uint_eq(l.net_dropped[1], 0);
	guest_destroy(g);
}
END_TEST

/* Those that lost nothing have nothing to say. */
START_TEST(losses_logged)
{
	struct guest *g = guest_create();
	int fd = memfd_create("log", MFD_CLOEXEC);
	char said[256] = "";

	dup2(fd, STDERR_FILENO);
	devices_log_losses(g->all);
	ck_assert_int_eq(pread(fd, said, sizeof(said) - 1, 0), 0);
	lost.errors[0] = 7;
	lost.dropped[0] = 8;
	lost.dropped[1] = 9;
	devices_log_losses(g->all);
	ck_assert_int_gt(pread(fd, said, sizeof(said) - 1, 0), 0);
	ck_assert_str_eq(said,
			 "belfry: drive[1]: 7 requests failed by the host\n"
			 "belfry: net[0]: 9 frames dropped\n"
			 "belfry: net[1]: 8 frames dropped\n");
	close(fd);
	guest_destroy(g);
}
END_TEST

UNIT_MAIN("devices", losses, losses_logged)
