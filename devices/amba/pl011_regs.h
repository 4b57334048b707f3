/*
 * PL011 registers and fields. Arm DDI 0183G, 3.2 and 3.3.
 */
#ifndef BELFRY_PL011_REGS_H
#define BELFRY_PL011_REGS_H

#include <belfry/base.h>

#define UARTDR        0x000 /* data */
#define UARTRSR       0x004 /* receive status; on write UARTECR, error clear */
#define UARTFR        0x018 /* flags */
#define UARTILPR      0x020 /* IrDA low-power counter */
#define UARTIBRD      0x024 /* baud rate divisor, integer */
#define UARTFBRD      0x028 /* baud rate divisor, 64ths */
#define UARTLCR_H     0x02c /* line control */
#define UARTCR        0x030 /* control */
#define UARTIFLS      0x034 /* FIFO levels for interrupts */
#define UARTIMSC      0x038 /* interrupt mask */
#define UARTRIS       0x03c /* raw interrupt status */
#define UARTMIS       0x040 /* masked interrupt status */
#define UARTICR       0x044 /* interrupt clear */
#define UARTDMACR     0x048 /* DMA control */
#define UARTPERIPHID0 0xfe0 /* four, then UARTPCELLID0..3 */

/* UARTDR, 3.3.1: a FIFO entry is the character and these. */
#define DR_DATA GENMASK(7, 0)
#define DR_BE   BIT(10)
/* The same four bits, as UARTRSR has them: 3.3.2. */
#define DR_STATUS GENMASK(11, 8)

/* UARTFR, 3.3.3 */
#define FR_CTS  BIT(0)
#define FR_DSR  BIT(1)
#define FR_DCD  BIT(2)
#define FR_BUSY BIT(3)
#define FR_RXFE BIT(4)
#define FR_TXFF BIT(5)
#define FR_RXFF BIT(6)
#define FR_TXFE BIT(7)
#define FR_RI   BIT(8)

/* UARTILPR, UARTIBRD, UARTFBRD, 3.3.4 to 3.3.6: bits there are */
#define ILPR_BITS GENMASK(7, 0)
#define IBRD_BITS GENMASK(15, 0)
#define FBRD_BITS GENMASK(5, 0)

/* UARTLCR_H, 3.3.7 */
#define LCR_H_FEN    BIT(4)
#define LCR_H_WLEN_8 FIELD_PREP(GENMASK(6, 5), 3)
#define LCR_H_BITS   GENMASK(7, 0)

/* UARTCR, 3.3.8 */
#define CR_UARTEN BIT(0)
#define CR_LBE    BIT(7)
#define CR_TXE    BIT(8)
#define CR_RXE    BIT(9)
#define CR_DTR    BIT(10)
#define CR_RTS    BIT(11)
#define CR_OUT1   BIT(12)
#define CR_OUT2   BIT(13)
#define CR_CTSEN  BIT(15)
#define CR_BITS   (GENMASK(15, 7) | GENMASK(2, 0))

/* UARTIFLS, 3.3.9 */
#define IFLS_TX   GENMASK(2, 0)
#define IFLS_RX   GENMASK(5, 3)
#define IFLS_HALF 2
#define IFLS_BITS (IFLS_TX | IFLS_RX)

/* UARTIMSC, UARTRIS, UARTMIS, UARTICR, 3.3.10 to 3.3.13 */
#define INT_RI   BIT(0)
#define INT_CTS  BIT(1)
#define INT_DCD  BIT(2)
#define INT_DSR  BIT(3)
#define INT_RX   BIT(4)
#define INT_TX   BIT(5)
#define INT_RT   BIT(6)
#define INT_BE   BIT(9)
#define INT_BITS GENMASK(10, 0)

/* UARTDMACR, 3.3.14 */
#define DMACR_BITS GENMASK(2, 0)

#endif
