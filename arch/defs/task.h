/* Tasks: task-state segments, and what a VM exit for a task switch says. Facts only.
 * Source: SDM vol. 3A, "Task Management", "System Descriptor Types"; vol. 3C, "Exit Qualification for Task Switches".
 */
#ifndef ARCH_DEFS_TASK_H
#define ARCH_DEFS_TASK_H

/* What the processor uses of a TSS of 32 bits, and of one of 16 bits. From the instruction pointer on, in each of them,
 * follow in elements of 4 or 2 bytes: flags, eight general-purpose registers, ES CS SS DS, in the larger one FS and GS,
 * and the LDT's selector. */
#define TSS_LINK       0x00
#define TSS32_CR3      0x1c
#define TSS32_POINTER  0x20
#define TSS32_LDT      0x60
#define TSS32_TRAP     0x64 /* bit 0: #DB when the task is switched to */
#define TSS32_BYTES    0x68
#define TSS16_POINTER  0x0e
#define TSS16_SEGMENTS 4
#define TSS16_LDT      0x2a
#define TSS16_BYTES    0x2c

/* Types of system descriptors. */
#define SYSTEM_TYPE_LDT      2u
#define SYSTEM_TYPE_TSS_BUSY (1u << 1)
#define SYSTEM_TYPE_TSS32    (1u << 3)

#define SELECTOR_RPL        3u
#define SELECTOR_LDT        (1u << 2)
#define SELECTOR_INDEX      0xfff8u
#define SELECTOR_ERROR_MASK 0xfffcu /* what of a selector stands in an error code */
#define ERROR_CODE_EXTERNAL 1u

#define TASK_SELECTOR_MASK 0xffffu
#define TASK_SOURCE_SHIFT  30
#define TASK_SOURCE_MASK   3u
#define TASK_BY_CALL       0
#define TASK_BY_IRET       1
#define TASK_BY_JMP        2
#define TASK_BY_GATE       3 /* of the IDT: an event */

/* DR7: the local breakpoints and LE. */
#define DR7_LOCAL 0x155u
#define DR6_BT    (1u << 15)

#endif
