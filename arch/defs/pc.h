/* The PC's old companions: the 8259 pair, the 8254 and port 0x61. Facts only.
 * Source: Intel 8259A and 8254 data sheets; ICH10 data sheet, "NMI Status and Control Register". */
#ifndef ARCH_DEFS_PC_H
#define ARCH_DEFS_PC_H

#define PIC_MASTER_DATA 0x21
#define PIC_SLAVE_DATA  0xa1
#define PIC_MASK_ALL    0xffu

#define PIT_HZ                     1193182u
#define PIT_CHANNEL2               0x42
#define PIT_CONTROL                0x43
#define PIT_CONTROL_CHANNEL2_MODE0 0xb0u /* low byte then high byte; output rises at the terminal count */

#define NMI_SC_PORT        0x61
#define NMI_SC_GATE2       (1u << 0)
#define NMI_SC_SPEAKER     (1u << 1)
#define NMI_SC_STATUS_OUT2 (1u << 5)
#define NMI_SC_WRITABLE    0x0fu

#endif
