/*
 * A PCI bus on an MMIO bus, as a guest meets it: functions that write down what
 * reaches them, and messages that arrive where a test can count them.
 */
#ifndef BELFRY_TESTS_PCI_BENCH_H
#define BELFRY_TESTS_PCI_BENCH_H

#include <belfry/lock.h>
#include <belfry/pci.h>

#include <semaphore.h>

#define BENCH_ECAM 0x3f000000ull
/* Neither end fits a BAR of 64 KiB and more. */
#define BENCH_MEM32    0x10001000ull
#define BENCH_MEM32_SZ 0x00ffe000ull
#define BENCH_MEM64    0x8000000000ull
#define BENCH_MEM64_SZ (64 * GIB)

/* PCI Local Bus 3.0, 6.1: where a type 0 header has what. */
#define PCI_VENDOR        0x00
#define PCI_DEVICE        0x02
#define PCI_COMMAND       0x04
#define PCI_COMMAND_MSE   BIT(1)
#define PCI_COMMAND_BME   BIT(2)
#define PCI_COMMAND_INTX  BIT(10) /* Interrupt Disable */
#define PCI_STATUS        0x06
#define PCI_STATUS_CAPS   BIT(4)
#define PCI_REVISION      0x08
#define PCI_HEADER_TYPE   0x0e
#define PCI_HEADER_MULTI  BIT(7)
#define PCI_BAR(i)        (0x10 + 4 * (u32)(i))
#define PCI_CARDBUS       0x28
#define PCI_SUBSYS_VENDOR 0x2c
#define PCI_SUBSYS        0x2e
#define PCI_ROM_REG       0x30
#define PCI_CAPS          0x34

/* Capability structure of MSI-X, 6.8.2: offsets in it, and its fields. */
#define MSIX_CAP_ID       0x11
#define MSIX_CONTROL      2
#define MSIX_CONTROL_SIZE GENMASK(10, 0)
#define MSIX_CONTROL_MASK BIT(14)
#define MSIX_CONTROL_ON   BIT(15)
#define MSIX_TABLE        4
#define MSIX_PBA          8
/* An entry of the table. */
#define MSIX_ENTRY         16
#define MSIX_ADDR          0
#define MSIX_ADDR_HI       4
#define MSIX_DATA          8
#define MSIX_VECTOR        12
#define MSIX_VECTOR_MASKED BIT(0)

struct message {
	u32 devid;
	u64 addr;
	u32 data;
};

struct sink_line {
	int fd;
	bool open, aimed, resting;
	struct message to;
};

/*
 * A message sink whose lines are eventfds that nobody reads until a line is
 * aimed anew, is closed, or the test asks what came. One that rests keeps what
 * is written to it until it is aimed.
 */
struct sink {
	struct lock lock;
	struct sink_line *lines;        /* by id, never used again */
	u32 nr;                         /* lines ever opened */
	u32 opened, aims, sends, rests; /* lines open now; calls */
	u32 open_fails_at; /* which open fails, counted down; 0: none */
	u32 aim_fails_at;
	bool aims_fail; /* all of them */
	bool unmapped;  /* no message arrives that is sent by hand */
	bool direct;    /* it would rather be sent them */
	/* An aim posts the one and waits for the other; NULL: it does not. */
	sem_t *aim_begun, *aim_go;
	struct message *came;
	u32 nr_came, room;
	u64 lost; /* written to a line that was aimed nowhere */
};

void sink_init(struct sink *s);
void sink_fini(struct sink *s);
struct msi_sink sink_ops(struct sink *s);
/* Messages that came and were not taken yet. */
u32 sink_count(struct sink *s);
/* Take those messages, at most @max of them, the rest being dropped; returns
 * how many came. */
u32 sink_take(struct sink *s, struct message *m, u32 max);

struct bar_access {
	bool write;
	u32 bar, size;
	u64 off, val;
};

/* A function that answers reads of a BAR with probe_value(). */
struct probe {
	struct pci_function f;
	gpa_t at[PCI_ROM + 1]; /* what it was told last */
	u32 moves;
	struct bar_access last;
	u32 accesses;
	u32 config_reads, config_writes;
	u32 config_off, config_len; /* of the last of either */
	u32 shown; /* a byte to be shown when it is read; or 0 */
	u8 shows;
};

struct bench {
	struct mmio_bus bus;
	struct pci_host *host;
	struct sink sink;
	struct probe *probes;
	u32 nr;
};

extern const struct pci_ops probe_ops;

/* A bus with nothing on it and @nr probes that have no BARs and no place yet,
 * vendor 0x1af4, device 0x1000 + index. */
struct bench *bench_init(u32 nr);
struct bench *bench_init_at(u32 nr, const struct pci_windows *w);
/* Everything goes; fails the test if a line stayed open. */
void bench_fini(struct bench *b);

struct pci_function *bench_function(struct bench *b, u32 i);
/* Put probe @i at @devfn. */
void bench_add(struct bench *b, u32 i, u32 devfn);

u64 probe_value(u32 bar, u64 off, u32 size);

u32 config_rd(struct bench *b, u32 devfn, u32 off, u32 size);
void config_wr(struct bench *b, u32 devfn, u32 off, u32 size, u32 val);
/* Offset of the capability in configuration space, or 0. */
u32 config_find(struct bench *b, u32 devfn, u8 id);

/* Faults are meant here; their words would only hide real ones. */
void hush(void);

#endif
