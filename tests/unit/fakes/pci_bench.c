#include "pci_bench.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LINES_MAX 4096

/* Caller holds the lock, as all that follows. */
static void arrive(struct sink *s, const struct message *m, u64 times)
{
	while (times--) {
		if (s->nr_came == s->room) {
			s->room = s->room ? 2 * s->room : 64;
			s->came = realloc(s->came, s->room * sizeof(*s->came));
			ck_assert_ptr_nonnull(s->came);
		}
		s->came[s->nr_came++] = *m;
	}
}

/* What was written to the line so far goes where it was aimed meanwhile. */
static void drain(struct sink *s, struct sink_line *line)
{
	u64 times;

	if (!line->open || line->resting ||
	    read(line->fd, &times, sizeof(times)) < 0)
		return;
	if (line->aimed)
		arrive(s, &line->to, times);
	else
		s->lost += times;
}

static void drain_all(struct sink *s)
{
	for (u32 i = 0; i < s->nr; i++)
		drain(s, &s->lines[i]);
}

static bool fails(u32 *at)
{
	return *at && !--*at;
}

static struct sink_line *line_of(struct sink *s, const struct msi_line *l)
{
	struct sink_line *line = &s->lines[l->id];

	ck_assert_uint_lt(l->id, s->nr);
	ck_assert_msg(line->open && line->fd == l->fd, "line %u is not open",
		      l->id);
	return line;
}

static bool fake_send(void *ctx, u32 devid, u64 addr, u32 data)
{
	struct sink *s = ctx;
	bool mapped;

	lock_take(&s->lock);
	s->sends++;
	mapped = !s->unmapped;
	arrive(s, &(struct message) { devid, addr, data }, mapped);
	lock_drop(&s->lock);
	return mapped;
}

static int fake_open(void *ctx, struct msi_line *l, struct err *e)
{
	struct sink *s = ctx;
	int fd;

	if (fails(&s->open_fails_at))
		return err_set(e, -ENOSPC, "no more lines");
	ck_assert_uint_lt(s->nr, LINES_MAX);
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_ge(fd, 0);
	*l = (struct msi_line) { .fd = fd, .id = s->nr };
	s->lines[s->nr++] = (struct sink_line) { .fd = fd, .open = true };
	s->opened++;
	return 0;
}

static void fake_close(void *ctx, struct msi_line *l)
{
	struct sink *s = ctx;
	struct sink_line *line;

	if (l->fd < 0)
		return;
	lock_take(&s->lock);
	line = line_of(s, l);
	drain(s, line);
	line->open = false;
	close(line->fd);
	l->fd = -1;
	s->opened--;
	lock_drop(&s->lock);
}

static int fake_aim(void *ctx, struct msi_line *l, u32 devid, u64 addr,
		    u32 data)
{
	struct sink *s = ctx;
	struct sink_line *line;
	bool ok;

	if (s->aim_begun) {
		sem_post(s->aim_begun);
		sem_wait(s->aim_go);
	}
	lock_take(&s->lock);
	s->aims++;
	line = line_of(s, l);
	drain(s, line);
	ok = !s->aims_fail && !fails(&s->aim_fails_at);
	line->resting &= !ok;
	line->aimed = ok;
	line->to = (struct message) { devid, addr, data };
	lock_drop(&s->lock);
	return ok ? 0 : -EINVAL;
}

static void fake_rest(void *ctx, struct msi_line *l)
{
	struct sink *s = ctx;
	struct sink_line *line;

	lock_take(&s->lock);
	s->rests++;
	line = line_of(s, l);
	ck_assert(line->aimed);
	drain(s, line);
	line->aimed = false;
	line->resting = true;
	lock_drop(&s->lock);
}

void sink_init(struct sink *s)
{
	*s = (struct sink) { .lock = LOCK_INIT };
	s->lines = calloc(LINES_MAX, sizeof(*s->lines));
	ck_assert_ptr_nonnull(s->lines);
}

void sink_fini(struct sink *s)
{
	free(s->lines);
	free(s->came);
}

struct msi_sink sink_ops(struct sink *s)
{
	return (struct msi_sink) { .send = fake_send,
				   .open = fake_open,
				   .close = fake_close,
				   .aim = fake_aim,
				   .rest = fake_rest,
				   .ctx = s,
				   .direct = s->direct };
}

u32 sink_count(struct sink *s)
{
	u32 n;

	lock_take(&s->lock);
	drain_all(s);
	n = s->nr_came;
	lock_drop(&s->lock);
	return n;
}

u32 sink_take(struct sink *s, struct message *m, u32 max)
{
	u32 n;

	lock_take(&s->lock);
	drain_all(s);
	n = s->nr_came;
	if (n && max)
		memcpy(m, s->came, MIN(n, max) * sizeof(*m));
	s->nr_came = 0;
	lock_drop(&s->lock);
	return n;
}

u64 probe_value(u32 bar, u64 off, u32 size)
{
	u64 val = ~off * 0x9e3779b97f4a7c15 ^ bar;

	return size == 8 ? val : val & (BIT(8 * size) - 1);
}

static void note(struct probe *p, struct bar_access a)
{
	ck_assert_uint_le(a.bar, PCI_ROM);
	ck_assert(a.size == 1 || a.size == 2 || a.size == 4 || a.size == 8);
	ck_assert(IS_ALIGNED(a.off, a.size));
	ck_assert(range_fits(a.off, a.size, p->f.bars[a.bar].size));
	p->last = a;
	p->accesses++;
}

static u64 probe_read(void *dev, u32 bar, u64 off, u32 size)
{
	note(dev, (struct bar_access) { false, bar, size, off, 0 });
	return probe_value(bar, off, size);
}

static void probe_write(void *dev, u32 bar, u64 off, u32 size, u64 val)
{
	note(dev, (struct bar_access) { true, bar, size, off, val });
}

static void probe_moved(void *dev, u32 bar, gpa_t at)
{
	struct probe *p = dev;

	ck_assert_uint_le(bar, PCI_ROM);
	ck_assert_uint_ne(p->f.bars[bar].size, 0);
	ck_assert_msg(at != p->at[bar], "BAR %u stays at %#lx", bar, at);
	p->at[bar] = at;
	p->moves++;
}

static void probe_config_read(void *dev, u32 off, u32 len)
{
	struct probe *p = dev;

	ck_assert(len && range_fits(off, len, PCI_CONFIG_SIZE));
	p->config_reads++;
	p->config_off = off;
	p->config_len = len;
	if (p->shown)
		p->f.config[p->shown] = p->shows;
}

static void probe_config_written(void *dev, u32 off, u32 len)
{
	struct probe *p = dev;

	ck_assert(len && range_fits(off, len, PCI_CONFIG_SIZE));
	p->config_writes++;
	p->config_off = off;
	p->config_len = len;
}

const struct pci_ops probe_ops = {
	.bar_read = probe_read,
	.bar_write = probe_write,
	.bar_moved = probe_moved,
	.config_read = probe_config_read,
	.config_written = probe_config_written,
};

struct bench *bench_init(u32 nr)
{
	const struct pci_windows w = { .ecam = BENCH_ECAM,
				       .mem32 = BENCH_MEM32,
				       .mem32_size = BENCH_MEM32_SZ,
				       .mem64 = BENCH_MEM64,
				       .mem64_size = BENCH_MEM64_SZ };

	return bench_init_at(nr, &w);
}

struct bench *bench_init_at(u32 nr, const struct pci_windows *w)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct err e = { 0 };

	ck_assert_ptr_nonnull(b);
	b->nr = nr;
	b->probes = calloc(nr, sizeof(*b->probes));
	ck_assert(b->probes || !nr);
	sink_init(&b->sink);
	mmio_bus_init(&b->bus);
	b->host = pci_host_create(w, &b->bus, &e);
	ck_assert_msg(b->host != NULL, "%s", e.msg);
	for (u32 i = 0; i < nr; i++) {
		const struct pci_ids ids = { 0x1af4, (u16)(0x1000 + i),
					     0x1af5, (u16)(0x2000 + i),
					     0x42,   0x018000 };

		pci_function_init(&b->probes[i].f, "probe", &ids, &probe_ops,
				  &b->probes[i]);
	}
	return b;
}

void bench_fini(struct bench *b)
{
	for (u32 i = 0; i < b->nr; i++)
		pci_function_fini(&b->probes[i].f);
	pci_host_destroy(b->host);
	ck_assert_uint_eq(b->sink.opened, 0);
	sink_fini(&b->sink);
	free(b->probes);
	free(b);
}

struct pci_function *bench_function(struct bench *b, u32 i)
{
	return &b->probes[i].f;
}

void bench_add(struct bench *b, u32 i, u32 devfn)
{
	struct err e = { 0 };

	ck_assert_msg(!pci_host_add(b->host, &b->probes[i].f, devfn, &e), "%s",
		      e.msg);
}

static gpa_t ecam(u32 devfn, u32 off)
{
	return BENCH_ECAM + (u64)devfn * PCI_ECAM_FUNCTION + off;
}

u32 config_rd(struct bench *b, u32 devfn, u32 off, u32 size)
{
	return (u32)mmio_read(&b->bus, ecam(devfn, off), size);
}

void config_wr(struct bench *b, u32 devfn, u32 off, u32 size, u32 val)
{
	mmio_write(&b->bus, ecam(devfn, off), size, val);
}

u32 config_find(struct bench *b, u32 devfn, u8 id)
{
	u32 at = config_rd(b, devfn, PCI_CAPS, 1);

	for (u32 n = 0; at && n < PCI_CONFIG_SIZE / 4; n++) {
		if (config_rd(b, devfn, at, 1) == id)
			return at;
		at = config_rd(b, devfn, at + 1, 1);
	}
	return 0;
}

void hush(void)
{
	int fd = open("/dev/null", O_WRONLY);

	dup2(fd, STDERR_FILENO);
	close(fd);
}
