/* The plan of one VM entry: hv/policy/entry_plan.c decides it, arch/vmx_enter.asm carries it out, the trace keeps it.
 * The steps are independent bits; the assembly takes them in the order in which they stand here (docs/vm-entry.md). */
#ifndef ARCH_ABI_ENTRY_PLAN_H
#define ARCH_ABI_ENTRY_PLAN_H

#include <stdint.h>

enum plan_step {
	PLAN_MCU_WRITE = 1u << 0,       /* WRMSR IA32_MCU_OPT_CTRL = mcu_opt_ctrl, before the entry */
	PLAN_IBPB = 1u << 1,            /* WRMSR IA32_PRED_CMD = IBPB */
	PLAN_L1D_MSR = 1u << 2,         /* WRMSR IA32_FLUSH_CMD = L1D_FLUSH */
	PLAN_L1D_SOFT = 1u << 3,        /* read the flush buffer */
	PLAN_SPEC_CTRL_ENTRY = 1u << 4, /* WRMSR IA32_SPEC_CTRL = spec_ctrl_guest */
	PLAN_VERW = 1u << 5,            /* VERW, the last instruction before the entry */
	PLAN_LAUNCH = 1u << 6,          /* VMLAUNCH instead of VMRESUME */
	PLAN_IDLE = 1u << 11,           /* no guest at all: HLT until an NMI comes; with PLAN_VERW, VERW before it */
	/* after the exit */
	PLAN_SPEC_CTRL_EXIT = 1u << 7, /* WRMSR IA32_SPEC_CTRL = spec_ctrl_host */
	PLAN_RSB_FILL = 1u << 8,       /* 32 calls */
	PLAN_RSB_ONE = 1u << 9,        /* one call */
	PLAN_BHB_CLEAR = 1u << 10,     /* the branch history loop */
	PLAN_MCU_RESTORE = 1u << 12,   /* WRMSR IA32_MCU_OPT_CTRL = mcu_opt_ctrl_root */
	/* done by the CPU during entry and exit, after VERW: hv/msr_lists.c prepares the areas */
	PLAN_LIST_L1D = 1u << 13, /* VM-entry MSR-load area: IA32_FLUSH_CMD = L1D_FLUSH */
	PLAN_LIST_MCU = 1u << 14, /* VM-entry area: IA32_MCU_OPT_CTRL = mcu_opt_ctrl with FB_CLEAR_DIS; VM-exit area:
				     mcu_opt_ctrl_root */
};

/* What was done about the L1D, for the trace; the same fact as the two steps above, and whether a flush was skipped. */
enum plan_l1d { PLAN_L1D_NONE, PLAN_L1D_DID_MSR, PLAN_L1D_DID_SOFT, PLAN_L1D_SKIPPED };

/* Why the L1D is flushed; flush requests of a pCPU use the same bits. Names: interface.md 7. */
enum plan_why {
	WHY_ALWAYS = 1u << 0, /* the mode asks for it on every entry */
	WHY_SWITCH = 1u << 1, /* another vCPU ran on this pCPU before, or this vCPU elsewhere */
	WHY_IRQ = 1u << 2,    /* a host interrupt or NMI was handled */
	WHY_HOST = 1u << 3,   /* the exit handler touched guest memory, or memory that is not this VM's */
	WHY_RETRY = 1u << 4,  /* a failed entry came before */
	WHY_OWED = 1u << 5,   /* the mode alone would not have flushed: the VM is owed */
};

struct entry_plan {
	uint32_t steps;             /* enum plan_step */
	uint8_t l1d;                /* enum plan_l1d */
	uint8_t why;                /* enum plan_why */
	uint8_t mode;               /* enum l1d_mode (hv/policy/mitigation.h) that was in force */
	uint8_t fb_clear_dis;       /* FB_CLEAR_DIS while the guest runs */
	uint64_t mcu_opt_ctrl;      /* what IA32_MCU_OPT_CTRL holds when VERW runs */
	uint64_t mcu_opt_ctrl_root; /* and after the exit */
	uint64_t spec_ctrl_guest;
	uint64_t spec_ctrl_host;
};

/* What arch/vmx_enter.asm answers. */
enum vmx_enter_status {
	VMX_ENTER_EXITED,       /* the guest ran (or the entry failed in the guest-state checks: see the exit reason) */
	VMX_ENTER_FAIL_INVALID, /* VMfailInvalid: no current VMCS */
	VMX_ENTER_FAIL_VALID,   /* VMfailValid: the VM-instruction error says why */
	VMX_ENTER_NMI,          /* an NMI came between the plan and the entry: nothing ran, plan again */
};

#endif
