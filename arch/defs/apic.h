/* The local APIC: registers and bits. Facts only.
 * Source: SDM vol. 3A, "Advanced Programmable Interrupt Controller (APIC)". */
#ifndef ARCH_DEFS_APIC_H
#define ARCH_DEFS_APIC_H

/* Offsets in the xAPIC's page; in x2APIC mode the MSR is MSR_IA32_X2APIC_FIRST + offset / 16. */
#define APIC_REGISTER_STRIDE 0x10u
#define APIC_ID              0x020u
#define APIC_VERSION         0x030u
#define APIC_TPR             0x080u
#define APIC_APR             0x090u
#define APIC_PPR             0x0a0u
#define APIC_EOI             0x0b0u
#define APIC_RRD             0x0c0u
#define APIC_LDR             0x0d0u
#define APIC_DFR             0x0e0u
#define APIC_SVR             0x0f0u
#define APIC_ISR             0x100u /* and 7 more words, as for the next two */
#define APIC_TMR             0x180u
#define APIC_IRR             0x200u
#define APIC_ESR             0x280u
#define APIC_LVT_CMCI        0x2f0u
#define APIC_ICR             0x300u /* in xAPIC mode the low half */
#define APIC_ICR_HIGH        0x310u /* xAPIC mode only */
#define APIC_LVT_TIMER       0x320u
#define APIC_LVT_THERMAL     0x330u
#define APIC_LVT_PERFMON     0x340u
#define APIC_LVT_LINT0       0x350u
#define APIC_LVT_LINT1       0x360u
#define APIC_LVT_ERROR       0x370u
#define APIC_TIMER_INITIAL   0x380u
#define APIC_TIMER_CURRENT   0x390u
#define APIC_TIMER_DIVIDE    0x3e0u
#define APIC_SELF_IPI        0x3f0u /* x2APIC mode only */

#define APIC_BASE_ADDRESS_MASK 0x000ffffffffff000ull /* of IA32_APIC_BASE */
#define XAPIC_ID_SHIFT         24                    /* in APIC_ID and APIC_ICR_HIGH */

#define APIC_VERSION_MAX_LVT(v)  (((v) >> 16) & 0xffu) /* number of LVT entries less one */
#define APIC_SVR_ENABLE          (1u << 8)
#define APIC_SPURIOUS_VECTOR     0xffu
#define APIC_TIMER_VECTOR        0xf0u
#define APIC_LVT_MASKED          (1u << 16)
#define APIC_LVT_DELIVERY        (7u << 8)
#define APIC_LVT_DELIVERY_NMI    (4u << 8)
#define APIC_LVT_DELIVERY_EXTINT (7u << 8)

/* "APIC Timer". */
#define APIC_TIMER_DIVIDE_BY_1 0x0bu
#define APIC_LVT_TSC_DEADLINE  (2u << 17)

#define APIC_ICR_DELIVERY_NMI   (4u << 8)
#define APIC_ICR_DELIVERY_INIT  (5u << 8)
#define APIC_ICR_DELIVERY_SIPI  (6u << 8) /* bits 0-7: the physical page at which to start */
#define APIC_ICR_PENDING        (1u << 12)
#define APIC_ICR_ASSERT         (1u << 14)
#define X2APIC_ICR_TARGET_SHIFT 32

/* Where the firmware puts the I/O APICs, the HPET, the chipset and the local APIC on every PC. */
#define APIC_DEVICES_START 0xfec00000ull
#define APIC_DEVICES_END   0xff000000ull

#endif
