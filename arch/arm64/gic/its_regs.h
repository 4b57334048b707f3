/*
 * ITS registers, commands and table entries. Arm IHI 0069H, 5.2, 5.3, 12.18 and
 * 12.19.
 */
#ifndef BELFRY_ITS_REGS_H
#define BELFRY_ITS_REGS_H

#include <belfry/its.h>

#include <assert.h>

#define GITS_CTLR    0x0000
#define GITS_IIDR    0x0004
#define GITS_TYPER   0x0008
#define GITS_CBASER  0x0080
#define GITS_CWRITER 0x0088
#define GITS_CREADR  0x0090
#define GITS_BASER   0x0100 /* eight */
#define GITS_PIDR2   0xffe8
/* The rest is in the translation frame. */
#define GITS_CONTROL_SIZE 0x10000

/* GITS_CTLR */
#define GITS_CTLR_ENABLED   BIT(0)
#define GITS_CTLR_QUIESCENT BIT(31)

/* GITS_TYPER */
#define GITS_TYPER_PHYSICAL  BIT(0)
#define GITS_TYPER_ITT_ENTRY GENMASK(7, 4) /* bytes, less one */
#define GITS_TYPER_IDBITS    GENMASK(12, 8)
#define GITS_TYPER_DEVBITS   GENMASK(17, 13)

/* GITS_CBASER */
#define GITS_CBASER_VALID BIT(63)
#define GITS_CBASER_PA    GENMASK(51, 12)
#define GITS_CBASER_SIZE  GENMASK(7, 0) /* pages of 4 KiB, less one */
#define GITS_CBASER_BITS                                         \
	(GITS_CBASER_VALID | GENMASK(61, 59) | GENMASK(55, 53) | \
	 GITS_CBASER_PA | GENMASK(11, 10) | GITS_CBASER_SIZE)

/* GITS_CWRITER, GITS_CREADR */
#define GITS_CMD_OFFSET GENMASK(19, 5)

/* GITS_BASER */
#define GITS_BASER_VALID    BIT(63)
#define GITS_BASER_INDIRECT BIT(62)
#define GITS_BASER_TYPE     GENMASK(58, 56)
#define GITS_BASER_ENTRY    GENMASK(52, 48) /* bytes, less one */
#define GITS_BASER_PA       GENMASK(47, 12)
#define GITS_BASER_PA_TOP   GENMASK(15, 12) /* with 64 KiB: PA[51:48] */
#define GITS_BASER_PAGE     GENMASK(9, 8)
#define GITS_BASER_PAGE_64K 2
#define GITS_BASER_PAGES    GENMASK(7, 0) /* less one */
#define GITS_BASER_CACHE    (GENMASK(61, 59) | GENMASK(55, 53) | GENMASK(11, 10))
/* What says where a table is. */
#define GITS_BASER_PLACE                                          \
	(GITS_BASER_VALID | GITS_BASER_INDIRECT | GITS_BASER_PA | \
	 GITS_BASER_PAGE | GITS_BASER_PAGES)
#define GITS_BASER_BITS       (GITS_BASER_PLACE | GITS_BASER_CACHE)
#define GITS_TYPE_DEVICES     1
#define GITS_TYPE_COLLECTIONS 4

/* An entry of the first level of a table, 5.2 */
#define ITS_L1_VALID BIT(63)

/* The size we say our entries in the guest's tables have. */
#define ITS_ENTRY_SIZE 8

/* As GIC_IIDR and GIC_PIDR2. */
#define ITS_IIDR  0x4200043b
#define ITS_PIDR2 0x3b

/* A command, 5.3. */
struct its_cmd {
	u64 word[4]; /* little endian in memory */
};
static_assert(sizeof(struct its_cmd) == 32, "IHI 0069H, 5.3");

enum {
	CMD_MOVI = 0x01,
	CMD_INT = 0x03,
	CMD_CLEAR = 0x04,
	CMD_SYNC = 0x05,
	CMD_MAPD = 0x08,
	CMD_MAPC = 0x09,
	CMD_MAPTI = 0x0a,
	CMD_MAPI = 0x0b,
	CMD_INV = 0x0c,
	CMD_INVALL = 0x0d,
	CMD_MOVALL = 0x0e,
	CMD_DISCARD = 0x0f,
};

#define CMD_0_OPCODE GENMASK(7, 0)
#define CMD_0_DEV    GENMASK(63, 32)
#define CMD_1_SIZE   GENMASK(4, 0) /* MAPD: bits of an EventID, less one */
#define CMD_1_EVENT  GENMASK(31, 0)
#define CMD_1_LPI    GENMASK(63, 32) /* MAPTI: pINTID */
#define CMD_2_COLL   GENMASK(15, 0)
#define CMD_2_TARGET GENMASK(51, 16) /* RDbase; PTA is 0 */
#define CMD_2_VALID  BIT(63)
#define CMD_3_TARGET CMD_2_TARGET

#endif
