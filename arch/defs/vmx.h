/* VMX: fields, controls, exit reasons, and the layout of the words that the CPU hands out. Facts only.
 * Source: SDM vol. 3C, "Virtual Machine Control Structures", "VM Entries", "VM Exits"; vol. 3D, appendix "VMX
 * Capability Reporting Facility". */
#ifndef ARCH_DEFS_VMX_H
#define ARCH_DEFS_VMX_H

#include <stdint.h>

enum vmcs_field {
#define VMCS_FIELD(encoding, NAME) VMCS_##NAME = (encoding),
#include "arch/defs/vmcs.def"
#undef VMCS_FIELD
};

enum exit_reason {
#define EXIT_REASON_DEF(number, NAME, name) EXIT_##NAME = (number),
#include "arch/defs/exit_reason.def"
#undef EXIT_REASON_DEF
	EXIT_REASON_COUNT
};

#define EXIT_REASON_BASIC_MASK    0xffffu
#define EXIT_REASON_ENTRY_FAILURE (1u << 31)

/* Pin-based controls. */
#define PIN_EXTERNAL_INTERRUPT_EXITING (1u << 0)
#define PIN_NMI_EXITING                (1u << 3)
#define PIN_VIRTUAL_NMIS               (1u << 5)
#define PIN_PREEMPTION_TIMER           (1u << 6)

/* Primary processor-based controls. */
#define CPU_INTERRUPT_WINDOW_EXITING (1u << 2)
#define CPU_USE_TSC_OFFSETTING       (1u << 3)
#define CPU_HLT_EXITING              (1u << 7)
#define CPU_INVLPG_EXITING           (1u << 9)
#define CPU_MWAIT_EXITING            (1u << 10)
#define CPU_RDPMC_EXITING            (1u << 11)
#define CPU_RDTSC_EXITING            (1u << 12)
#define CPU_CR3_LOAD_EXITING         (1u << 15)
#define CPU_CR3_STORE_EXITING        (1u << 16)
#define CPU_CR8_LOAD_EXITING         (1u << 19)
#define CPU_CR8_STORE_EXITING        (1u << 20)
#define CPU_USE_TPR_SHADOW           (1u << 21)
#define CPU_NMI_WINDOW_EXITING       (1u << 22)
#define CPU_MOV_DR_EXITING           (1u << 23)
#define CPU_UNCONDITIONAL_IO_EXITING (1u << 24)
#define CPU_MONITOR_TRAP             (1u << 27)
#define CPU_USE_MSR_BITMAPS          (1u << 28)
#define CPU_MONITOR_EXITING          (1u << 29)
#define CPU_PAUSE_EXITING            (1u << 30)
#define CPU_SECONDARY_CONTROLS       (1u << 31)

/* Secondary processor-based controls. */
#define CPU2_VIRTUALIZE_APIC_ACCESSES     (1u << 0)
#define CPU2_ENABLE_EPT                   (1u << 1)
#define CPU2_DESCRIPTOR_TABLE_EXITING     (1u << 2)
#define CPU2_ENABLE_RDTSCP                (1u << 3)
#define CPU2_VIRTUALIZE_X2APIC            (1u << 4)
#define CPU2_ENABLE_VPID                  (1u << 5)
#define CPU2_WBINVD_EXITING               (1u << 6)
#define CPU2_UNRESTRICTED_GUEST           (1u << 7)
#define CPU2_APIC_REGISTER_VIRTUALIZATION (1u << 8)
#define CPU2_VIRTUAL_INTERRUPT_DELIVERY   (1u << 9)
#define CPU2_PAUSE_LOOP_EXITING           (1u << 10)
#define CPU2_ENABLE_INVPCID               (1u << 12)
#define CPU2_ENABLE_XSAVES                (1u << 20)

/* Exit controls. */
#define EXITCTL_SAVE_DEBUG_CONTROLS   (1u << 2)
#define EXITCTL_HOST_64               (1u << 9)
#define EXITCTL_ACK_INTERRUPT         (1u << 15)
#define EXITCTL_SAVE_EFER             (1u << 20)
#define EXITCTL_LOAD_EFER             (1u << 21)
#define EXITCTL_SAVE_PREEMPTION_TIMER (1u << 22)

/* Entry controls. */
#define ENTRYCTL_LOAD_DEBUG_CONTROLS (1u << 2)
#define ENTRYCTL_GUEST_64            (1u << 9)
#define ENTRYCTL_LOAD_EFER           (1u << 15)

#define VMX_BASIC_TRUE_CONTROLS   (1ull << 55)
#define VMX_BASIC_REVISION_MASK   0x7fffffffull
#define VMX_MISC_TIMER_SHIFT_MASK 0x1fu

/* IA32_VMX_EPT_VPID_CAP. */
#define EPT_VPID_WALK_4         (1ull << 6)
#define EPT_VPID_EPT_WB         (1ull << 14)
#define EPT_VPID_PAGE_2M        (1ull << 16)
#define EPT_VPID_PAGE_1G        (1ull << 17)
#define EPT_VPID_INVEPT         (1ull << 20)
#define EPT_VPID_INVEPT_SINGLE  (1ull << 25)
#define EPT_VPID_INVEPT_ALL     (1ull << 26)
#define EPT_VPID_INVVPID        (1ull << 32)
#define EPT_VPID_INVVPID_SINGLE (1ull << 41)

enum invept_type { INVEPT_SINGLE = 1, INVEPT_ALL = 2 };
enum invvpid_type { INVVPID_SINGLE = 1 };

/* VM-entry and VM-exit interruption information, and IDT-vectoring information. */
#define INTR_INFO_VECTOR_MASK       0xffu
#define INTR_INFO_TYPE_MASK         0x700u
#define INTR_INFO_TYPE_EXTERNAL     (0u << 8)
#define INTR_INFO_TYPE_NMI          (2u << 8)
#define INTR_INFO_TYPE_HARDWARE     (3u << 8)
#define INTR_INFO_TYPE_SOFTWARE     (4u << 8)
#define INTR_INFO_TYPE_PRIVILEGED   (5u << 8)
#define INTR_INFO_TYPE_SOFTWARE_EXC (6u << 8)
#define INTR_INFO_ERROR_CODE        (1u << 11)
#define INTR_INFO_NMI_UNBLOCKED     (1u << 12) /* exit only: NMI unblocking due to IRET */
#define INTR_INFO_VALID             (1u << 31)
/* What may be injected again: bits 12-30 of the vectoring information are undefined. */
#define INTR_INFO_INJECT_MASK       (INTR_INFO_VALID | 0xfffu)

#define INTERRUPTIBILITY_STI    (1u << 0)
#define INTERRUPTIBILITY_MOV_SS (1u << 1)
#define INTERRUPTIBILITY_NMI    (1u << 3)

#define PENDING_DEBUG_BS (1u << 14)

#define ACTIVITY_ACTIVE 0
#define ACTIVITY_HLT    1

/* Segment access rights. */
#define AR_UNUSABLE   (1u << 16)
#define AR_CODE32     0xc09bu /* present, ring 0, code, accessed, 32-bit, 4 KiB granularity */
#define AR_CODE64     0xa09bu /* the same, 64-bit */
#define AR_DATA32     0xc093u
#define AR_CODE16     0x009bu
#define AR_DATA16     0x0093u
#define AR_LDT        0x0082u
#define AR_TSS32_BUSY 0x008bu
#define AR_V86        0x00f3u /* all that virtual-8086 mode has */
#define AR_CS_L       (1u << 13)
#define AR_CS_D       (1u << 14)
#define AR_DPL_SHIFT  5
#define AR_DPL_MASK   3u

/* Exit qualification for I/O instructions. */
#define IO_SIZE_MASK  7u
#define IO_IN         (1u << 3)
#define IO_STRING     (1u << 4)
#define IO_REP        (1u << 5)
#define IO_PORT_SHIFT 16

/* Exit qualification for control-register accesses. */
#define CR_NUMBER_MASK    0xfu
#define CR_TYPE_SHIFT     4
#define CR_TYPE_MASK      3u
#define CR_TYPE_MOV_TO    0
#define CR_TYPE_MOV_FROM  1
#define CR_TYPE_CLTS      2
#define CR_TYPE_LMSW      3
#define CR_REGISTER_SHIFT 8
#define CR_REGISTER_MASK  0xfu
#define CR_LMSW_SHIFT     16

/* Exit qualification for EPT violations. */
#define EPT_VIOLATION_FETCH  (1u << 2)
#define EPT_VIOLATION_LINEAR (1u << 7) /* the guest-linear-address field is valid */
#define EPT_VIOLATION_FINAL  (1u << 8) /* the access itself, not one to paging structures */

/* Exit qualification for APIC accesses. For APIC writes it is the offset, for virtualised EOI the vector. */
#define APIC_ACCESS_OFFSET_MASK 0xfffu
#define APIC_ACCESS_TYPE_SHIFT  12
#define APIC_ACCESS_TYPE_MASK   0xfu
#define APIC_ACCESS_READ        0 /* by an instruction, as the next */
#define APIC_ACCESS_WRITE       1
#define APIC_ACCESS_FETCH       2

/* EPT entries and pointer. */
#define EPT_READ           (1ull << 0)
#define EPT_WRITE          (1ull << 1)
#define EPT_EXECUTE        (1ull << 2)
#define EPT_RIGHTS         (EPT_READ | EPT_WRITE | EPT_EXECUTE)
#define EPT_MEMORY_TYPE_WB (6ull << 3)
#define EPT_IGNORE_PAT     (1ull << 6)
#define EPT_LARGE          (1ull << 7)
#define EPT_ADDRESS_MASK   0x000ffffffffff000ull
#define EPTP_WB            6ull
#define EPTP_WALK_4        (3ull << 3)
#define EPT_LEVELS         4
#define EPT_ENTRIES        512 /* of a table */

/* One entry of an MSR-load area; areas are 16-byte aligned. */
struct vmx_msr_entry {
	uint32_t msr, reserved;
	uint64_t value;
};

/* The MSR bitmap page: four bitmaps of 1 KiB. */
#define MSR_BITMAP_READ_LOW   0
#define MSR_BITMAP_READ_HIGH  1024
#define MSR_BITMAP_WRITE_LOW  2048
#define MSR_BITMAP_WRITE_HIGH 3072
#define MSR_BITMAP_HIGH_FIRST 0xc0000000u
#define MSR_BITMAP_RANGE      0x2000u

#endif
