/* What the files of this directory share. */
#ifndef BELFRY_VFIO_PRIV_H
#define BELFRY_VFIO_PRIV_H

#include <belfry/lock.h>
#include <belfry/log.h>
#include <belfry/vfio_pci.h>

#define CONFIG_SIZE      4096 /* with what is extended */

#define COMMAND          0x04
#define COMMAND_MEMORY   BIT(1)
#define COMMAND_MASTER   BIT(2)
#define COMMAND_PARITY   BIT(6)
#define COMMAND_SERR     BIT(8)
#define COMMAND_INTX_OFF BIT(10)
#define STATUS           0x06
#define STATUS_INTX      BIT(3)
#define INTERRUPT_PIN    0x3d
#define INTA             1

/* PCI Express capability, Device Capabilities and Control. */
#define EXP_DEVCAP     4
#define EXP_DEVCAP_FLR BIT(28)
#define EXP_DEVCTL     8
#define EXP_DEVCTL_FLR BIT(15)
/* Power management, its control. */
#define PM_CONTROL 4
#define PM_STATE   GENMASK(1, 0)
/* Advanced Features (PCI ECN): conventional PCI's FLR. */
#define AF_CAP     3
#define AF_CAP_FLR BIT(1)
#define AF_CONTROL 4
#define AF_FLR     BIT(0)

/* Little-endian fields. */
static inline u64 field_get(const u8 *bytes, u32 len)
{
	u64 val = 0;

	for (u32 i = 0; i < len; i++)
		val |= (u64)bytes[i] << (8 * i);
	return val;
}

static inline void field_put(u8 *bytes, u32 len, u64 val)
{
	for (u32 i = 0; i < len; i++)
		bytes[i] = (u8)(val >> (8 * i));
}

/* --- vfio_config.c: what of a configuration space is the guest's --- */

struct vfio_view {
	u8 config[CONFIG_SIZE];       /* what it reads, but where passed */
	u8 writable[PCI_CONFIG_SIZE]; /* what it may change; all of passed */
	bool passed[CONFIG_SIZE];     /* is the hardware's own, both ways */
	/* Where capabilities are that somebody has to mind; 0: not there. */
	u32 msix, msi, pm, exp, af;
};

/* Of what the hardware's is, @raw. Pure; any bytes will do. */
void vfio_view_init(struct vfio_view *v, const u8 raw[static CONFIG_SIZE]);

/* --- vfio_irqs.c: vectors --- */

struct vfio_irqs {
	struct vfio_device *dev;
	const char *name;
	struct msi_sink msi; /* where lines are from */
	struct lock lock;    /* guards the rest; below MSI-X' own */
	struct doorbell bell;
	bool on, any, resizable;
	bool asleep; /* the table cannot be reached */
	u32 nr;
	const struct vfio_region *pba; /* and where in it */
	u64 pba_at;
	int *fds; /* of the lines, as far as they are known; -1 */
	struct guest_faults refused;
	struct doorbell_vector *vectors;
};

/* @table: where the table is mapped, NULL if it is not. Decides upon the mode,
 * as vfio_pci_setup has it. */
MUST_CHECK int vfio_irqs_init(struct vfio_irqs *q,
			      const struct vfio_pci_setup *s, u32 nr,
			      volatile u8 *table, const struct vfio_region *pba,
			      u64 pba_at, struct err *e);
void vfio_irqs_fini(struct vfio_irqs *q);

/* What the function's lines are from: wherever they are aimed, it is at the
 * guest's doorbell. */
struct msi_sink vfio_irqs_sink(struct vfio_irqs *q);

void vfio_irqs_enable(struct vfio_irqs *q, bool on);
bool vfio_irqs_vector(struct vfio_irqs *q, u32 v, int fd, bool open, u64 addr);
u64 vfio_irqs_pending(struct vfio_irqs *q, u32 first);
/* The table cannot be reached from now on; and can be again, holding who knows
 * what. */
void vfio_irqs_sleep(struct vfio_irqs *q, bool asleep);

/* --- vfio_msi.c: MSI, where there is no MSI-X --- */

#define VFIO_MSI_MAX 32

/* Of a capability, its bytes: how long it is, and how many vectors it has. */
u32 vfio_msi_length(const u8 *cap);
u32 vfio_msi_vectors(const u8 *cap);
/* Make of the hardware's what the guest sees: off, and for it to write. */
void vfio_msi_show(u8 *cap, u8 *writable);

struct vfio_msi {
	struct vfio_device *dev; /* NULL: there is none */
	struct msi_sink sink;
	gpa_t translater;
	enum doorbell_mode mode;
	struct pci_function *f;
	u32 cap, max;
	u32 nr; /* vectors that are on */
	struct msi_line line[VFIO_MSI_MAX];
	bool aimed[VFIO_MSI_MAX];
	u32 data[VFIO_MSI_MAX]; /* what at, if so */
	struct guest_faults refused;
};

/* Zeroed before. @f has its capability at @cap; both stay. */
MUST_CHECK int vfio_msi_init(struct vfio_msi *m, const struct vfio_pci_setup *s,
			     struct pci_function *f, u32 cap, struct err *e);
void vfio_msi_fini(struct vfio_msi *m);
/* It sends nothing until the guest switches it on. */
void vfio_msi_off(struct vfio_msi *m);
/* Has the guest switched it on? */
bool vfio_msi_wanted(const struct vfio_msi *m);
/* The guest has written to it, or it was reset; and is about to read it. */
void vfio_msi_follow(struct vfio_msi *m);
void vfio_msi_show_pending(struct vfio_msi *m);

/* --- vfio_pin.c: the pin --- */

struct vfio_pin {
	struct vfio_device *dev; /* NULL: there is none */
	struct irq_pin irq;
	bool on;
	struct guest_faults refused;
};

/* Zeroed before; there is one if both VFIO and @s have it. */
MUST_CHECK int vfio_pin_init(struct vfio_pin *p, const struct vfio_pci_setup *s,
			     struct err *e);
/* No other kind of interrupts is on. What the host refuses stays off. */
void vfio_pin_on(struct vfio_pin *p);
void vfio_pin_off(struct vfio_pin *p);

/* --- vfio_bar.c: BARs --- */

#define BAR_PIECES_MAX (VFIO_AREAS_MAX + 4)

/* Whole pages of a BAR that the guest reaches without us. */
struct bar_piece {
	u64 off, len;
	u32 window;
	bool shown;
};

struct vfio_bar {
	struct vfio_region region;
	void *host[VFIO_AREAS_MAX]; /* of each area; NULL: not mapped */
	u32 nr;
	struct bar_piece piece[BAR_PIECES_MAX];
};

/* Bytes [off, off + len) are ours to answer. */
struct bar_hole {
	u64 off, len;
};

/* @b's region is known: map it, but for the pages of @holes, if it can be. */
MUST_CHECK int vfio_bar_map(struct vfio_bar *b, const struct vfio_device *dev,
			    const struct bar_hole *holes, u32 nr,
			    const struct windows *w, struct err *e);
void vfio_bar_unmap(struct vfio_bar *b);
/* Where [@off, @off + @len) is mapped, or NULL. */
void *vfio_bar_at(const struct vfio_bar *b, u64 off, u64 len);
/* It answers at @at, or nowhere (0). */
void vfio_bar_move(struct vfio_bar *b, gpa_t at, const struct windows *w);

#endif
