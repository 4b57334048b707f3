/*
 * PL031 registers. Arm DDI 0224C, 3.2.
 */
#ifndef BELFRY_PL031_REGS_H
#define BELFRY_PL031_REGS_H

#define RTCDR        0x000 /* data: the time */
#define RTCMR        0x004 /* match: the alarm */
#define RTCLR        0x008 /* load: set the time */
#define RTCCR        0x00c /* control */
#define RTCIMSC      0x010 /* interrupt mask */
#define RTCRIS       0x014 /* raw interrupt status */
#define RTCMIS       0x018 /* masked interrupt status */
#define RTCICR       0x01c /* interrupt clear */
#define RTCPERIPHID0 0xfe0 /* four, then RTCPCELLID0..3 */

#define RTCCR_START  1 /* 3.3.4 */
#define RTCINTR      1 /* the one bit of IMSC, RIS, MIS and ICR */

#endif
