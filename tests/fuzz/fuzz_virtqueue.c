/*
 * Any rings, any order of operations, memory in any pieces: every buffer lies
 * in guest memory, a chain costs no more than it may be long, no more chains
 * are out than the queue has descriptors, and a broken queue stays broken.
 *
 * Input: two bytes of setup, then records of eight: what, a small number, two
 * bytes and four more.
 */
#include <belfry/virtqueue.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define RECORD     8
#define PAGE       4096u
#define RAM        0x40000000ull
#define RAM_LEN    (6 * PAGE)
#define MORE       (RAM + RAM_LEN) /* a second region, right behind */
#define MORE_LEN   (PAGE + 10)
#define DESC       RAM
#define DRIVER     (RAM + PAGE)
#define DEVICE     (RAM + 2 * PAGE)
#define PIECES_MAX 40

struct bench {
	u8 *ram, *more;
	struct gmem mem;
	struct dma dma;
	struct guest_faults faults;
	struct virtq q;
	u16 avail;
	u16 heads[VIRTQ_SIZE_MAX]; /* of chains that are out */
	u32 out;
	bool pages;
	u32 maps;
};

static void *bench_map(void *ctx, u64 addr, u64 *len, bool write)
{
	struct bench *b = ctx;

	assert(*len);
	b->maps++;
	if (b->pages)
		*len = MIN(*len, PAGE - addr % PAGE);
	return gmem_span(&b->mem, addr, len);
}

static bool within(const u8 *p, size_t len, const u8 *start, size_t room)
{
	return p >= start && range_fits((u64)(p - start), len, room);
}

/* The pieces lie in memory and are as long as is said; use them all. */
static void check_pieces(struct bench *b, const struct iovec *v, u32 nr,
			 u64 len, u8 fill, bool write)
{
	for (u32 i = 0; i < nr; i++) {
		assert(v[i].iov_len);
		assert(within(v[i].iov_base, v[i].iov_len, b->ram, RAM_LEN) ||
		       within(v[i].iov_base, v[i].iov_len, b->more, MORE_LEN));
		len -= v[i].iov_len;
		if (write)
			memset(v[i].iov_base, fill, v[i].iov_len);
	}
	assert(len == 0);
}

static void pop(struct bench *b, u8 iov_max, u8 fill)
{
	struct iovec iov[PIECES_MAX];
	struct virtq_chain c = { .iov = iov, .iov_max = iov_max % PIECES_MAX };
	bool broken = b->q.broken;
	u8 buf[100];
	int err;

	b->maps = 0;
	err = virtq_pop(&b->q, &c);
	/* The index and the entry; a descriptor in two pieces is looked for
	 * three times; then the pieces, and one there is no room for. */
	assert(b->maps <= 2 + 3 * (b->q.size + 1) + c.iov_max + 1);
	assert((err < 0) == b->q.broken && (!broken || err < 0));
	if (err <= 0)
		return;
	assert(c.out_nr + c.in_nr <= c.iov_max);
	b->heads[b->out++] = c.head;
	assert(b->out <= b->q.size && b->out == b->q.taken);
	assert(virtq_chain_read(&c, fill, buf, sizeof(buf)) ==
	       MIN(c.out_len - MIN(c.out_len, fill), sizeof(buf)));
	assert(virtq_chain_write(&c, fill, buf, sizeof(buf)) ==
	       MIN(c.in_len - MIN(c.in_len, fill), sizeof(buf)));
	/* Last, as it may write over anything. */
	check_pieces(b, iov, c.out_nr, c.out_len, 0, false);
	check_pieces(b, iov + c.out_nr, c.in_nr, c.in_len, fill, fill & 1);
}

static void put16(struct bench *b, u64 addr, u16 val)
{
	val = htole16(val);
	if (dma_write(&b->dma, addr, &val, sizeof(val)))
		return;
}

/* A descriptor whose buffer is somewhere in memory, mostly. */
static void put_desc(struct bench *b, const u8 *rec)
{
	u64 addr = RAM + (rec[4] | rec[5] << 8), len = rec[6] | rec[7] << 8;
	u8 d[16] = { 0 };

	if (rec[3] & 0x80)
		addr = -addr;
	if (rec[3] & 0x40)
		len <<= 16;
	for (u32 i = 0; i < 8; i++)
		d[i] = (u8)(addr >> 8 * i);
	for (u32 i = 0; i < 4; i++)
		d[8 + i] = (u8)(len >> 8 * i);
	d[12] = rec[3] & 7;
	d[14] = rec[2];
	if (dma_write(&b->dma, DESC + 16 * rec[1], d, sizeof(d)))
		return;
}

static void offer(struct bench *b, u16 head)
{
	put16(b, b->q.driver + 4 + 2 * (b->avail % b->q.size), head);
	put16(b, b->q.driver + 2, ++b->avail);
}

static void start(struct bench *b)
{
	b->out = 0;
	b->avail = 0;
	b->faults.count = 0;
	virtq_start(&b->q);
}

static void step(struct bench *b, const u8 *rec)
{
	u16 word = rec[2] | (u16)(rec[3] << 8);
	u32 n;

	switch (rec[0] % 9) {
	case 0:
		put_desc(b, rec);
		break;
	case 1:
		offer(b, word);
		break;
	case 2:
		pop(b, rec[1], rec[2]);
		break;
	case 3:
		if (b->out)
			virtq_push(&b->q, b->heads[--b->out], word);
		break;
	case 4:
		n = MIN(b->out, rec[1]);
		b->out -= n;
		virtq_unpop(&b->q, n);
		break;
	case 5:
		if (virtq_show(&b->q))
			assert(!b->q.broken);
		assert(b->q.broken || !virtq_show(&b->q));
		break;
	case 6:
		virtq_quiet(&b->q);
		if (virtq_listen(&b->q))
			assert(!b->q.broken);
		break;
	case 7:
		put16(b, RAM + (rec[4] | rec[5] << 8), word);
		break;
	default:
		if (rec[1] & 1)
			virtq_break(&b->q, "because");
		else
			start(b);
		break;
	}
	assert(b->q.taken == b->out && b->out <= b->q.size);
	assert(b->faults.count == b->q.broken);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct bench *b = calloc(1, sizeof(*b));

	if (!b || size < 2)
		goto out;
	b->ram = calloc(1, RAM_LEN);
	b->more = calloc(1, MORE_LEN);
	if (!b->ram || !b->more || gmem_add(&b->mem, RAM, RAM_LEN, b->ram) ||
	    gmem_add(&b->mem, MORE, MORE_LEN, b->more))
		goto out;
	b->dma = (struct dma) { .map = bench_map, .ctx = b };
	b->faults.who = "fuzz";
	b->pages = data[0] & 0x80;
	b->q = (struct virtq) {
		.size = 1u << (data[0] & 7),
		.event_idx = data[0] & 0x20,
		.indirect = data[0] & 0x40,
		/* Perhaps misaligned, perhaps reaching out of memory. */
		.desc = DESC + (data[1] & 1 ? data[1] & 0xf0 : 0),
		.driver =
			data[1] & 2 ? MORE + MORE_LEN - (data[1] >> 2) : DRIVER,
		.device = data[1] & 4 ? MORE - (data[1] & 0xf8) : DEVICE,
		.dma = &b->dma,
		.faults = &b->faults,
	};
	start(b);
	for (data += 2, size -= 2; size >= RECORD;
	     data += RECORD, size -= RECORD)
		step(b, data);
out:
	if (b) {
		free(b->ram);
		free(b->more);
	}
	free(b);
	return 0;
}
