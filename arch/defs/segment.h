/* Segment and gate descriptors as 64-bit mode wants them. Facts only.
 * Source: SDM vol. 3A, "Segment Descriptors", "TSS Descriptor in 64-bit Mode", "64-Bit Mode IDT". */
#ifndef ARCH_DEFS_SEGMENT_H
#define ARCH_DEFS_SEGMENT_H

#define DESCRIPTOR_TYPE_SHIFT 40
#define DESCRIPTOR_DPL_SHIFT  45
#define DESCRIPTOR_PRESENT    (1ull << 47)

#define DESCRIPTOR_ACCESSED    (1ull << 40)
#define DESCRIPTOR_WRITABLE    (1ull << 41) /* of data; of code: readable */
#define DESCRIPTOR_CONFORMING  (1ull << 42) /* of code */
#define DESCRIPTOR_EXECUTABLE  (1ull << 43)
#define DESCRIPTOR_CODE_DATA   (1ull << 44) /* not a system segment */
#define DESCRIPTOR_LONG        (1ull << 53)
#define DESCRIPTOR_BIG         (1ull << 54)
#define DESCRIPTOR_GRANULARITY (1ull << 55)
#define DESCRIPTOR_LIMIT_MAX   0x000f00000000ffffull

/* Accessed already: the processor must not want to write to a table in read-only memory. */
#define DESCRIPTOR_CODE64                                                                                              \
	(DESCRIPTOR_LIMIT_MAX | DESCRIPTOR_GRANULARITY | DESCRIPTOR_LONG | DESCRIPTOR_PRESENT | DESCRIPTOR_CODE_DATA | \
	 DESCRIPTOR_EXECUTABLE | DESCRIPTOR_WRITABLE | DESCRIPTOR_ACCESSED)
#define DESCRIPTOR_DATA                                                                                               \
	(DESCRIPTOR_LIMIT_MAX | DESCRIPTOR_GRANULARITY | DESCRIPTOR_BIG | DESCRIPTOR_PRESENT | DESCRIPTOR_CODE_DATA | \
	 DESCRIPTOR_WRITABLE | DESCRIPTOR_ACCESSED)

#define DESCRIPTOR_TYPE_TSS64_AVAILABLE  (9ull << DESCRIPTOR_TYPE_SHIFT)
#define DESCRIPTOR_TYPE_INTERRUPT_GATE64 (14ull << DESCRIPTOR_TYPE_SHIFT)

#define GATE_SELECTOR_SHIFT 16
#define GATE_IST_SHIFT      32

#define IDT_GATES  256
#define EXCEPTIONS 32

/* SDM vol. 3A, "Protected-Mode Exceptions and Interrupts": #DF #TS #NP #SS #GP #PF #AC #CP push an error code. */
#define EXCEPTIONS_WITH_ERROR_CODE                                                                             \
	(1ull << EXC_DF | 1ull << EXC_TS | 1ull << EXC_NP | 1ull << EXC_SS | 1ull << EXC_GP | 1ull << EXC_PF | \
	 1ull << EXC_AC | 1ull << EXC_CP)

#endif
