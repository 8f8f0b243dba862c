/* A guest's local APIC as a state machine: registers, priorities, modes, timer, and whom an IPI means. Pure: time comes
 * in as the guest's TSC, and what a write asks of others goes out as a struct lapic_effect. Nothing here locks: a
 * struct lapic is changed by one pCPU at a time.
 *
 * The registers lie in a page as the hardware has them, so that the CPU can serve the guest from it (the virtual-APIC
 * page). While it does, TPR, PPR, ISR and IRR there change by themselves, and the others may hold what the guest wrote
 * before lapic_write() has judged it. Therefore what comes from others than the page's owner waits in `posted`, and
 * what a change of a register is measured against is kept beside the page.
 *
 * Sources: SDM vol. 3A, "Advanced Programmable Interrupt Controller (APIC)"; vol. 3C, "APIC Virtualization and Virtual
 * Interrupts". */
#ifndef HV_POLICY_LAPIC_H
#define HV_POLICY_LAPIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* The delivery modes of an ICR, LVT or message: the hardware's numbers. */
enum lapic_delivery {
	LAPIC_FIXED = 0,
	LAPIC_LOWEST = 1, /* of the targets, the one with the least lapic_ppr() takes it */
	LAPIC_SMI = 2,
	LAPIC_NMI = 4,
	LAPIC_INIT = 5,
	LAPIC_SIPI = 6, /* vector: the physical page at which to start */
	LAPIC_EXTINT = 7,
};

/* An ICR's destination shorthand: the hardware's numbers. */
enum lapic_shorthand {
	LAPIC_TO_DESTINATION = 0,
	LAPIC_TO_SELF = 1,
	LAPIC_TO_ALL = 2,
	LAPIC_TO_OTHERS = 3,
};

/* An interrupt message. Those that the I/O APIC and devices send have the same form. */
struct lapic_ipi {
	enum lapic_delivery delivery; /* from a write: FIXED LOWEST NMI INIT SIPI */
	enum lapic_shorthand shorthand;
	uint8_t vector;
	bool logical;         /* destination: logical, else physical */
	bool wide;            /* destination has 32 bits (sent in x2APIC mode), else 8 */
	uint32_t destination; /* where the shorthand is LAPIC_TO_DESTINATION */
};

enum lapic_effect_kind {
	LAPIC_NOTHING,
	LAPIC_SEND,  /* deliver ipi to every local APIC that lapic_is_target() names, the sender's own among them */
	LAPIC_EOI,   /* the handler of eoi_vector is through */
	LAPIC_TIMER, /* ask lapic_timer_left() anew */
};

/* What a write asks of others. Beside it, any write may have changed lapic_pending() of this one. */
struct lapic_effect {
	enum lapic_effect_kind kind;
	struct lapic_ipi ipi;
	uint8_t eoi_vector;
	bool eoi_level; /* it was level-triggered: the I/O APIC wants to hear of it */
};

enum lapic_lvt {
	LAPIC_LVT_TIMER,
	LAPIC_LVT_THERMAL,
	LAPIC_LVT_PERFMON,
	LAPIC_LVT_LINT0,
	LAPIC_LVT_LINT1,
	LAPIC_LVT_ERROR,
	LAPIC_LVT_COUNT
};

#define LAPIC_VECTOR_WORDS 8 /* 256 bits */
#define LAPIC_PAGE_BYTES   4096u

struct lapic {
	_Atomic uint32_t *page;              /* LAPIC_PAGE_BYTES; the caller's */
	uint32_t id;                         /* the vCPU's index, below 255 */
	uint64_t base;                       /* IA32_APIC_BASE: reads return it as it is */
	bool software_enabled;               /* SVR's switch */
	uint32_t esr_latent;                 /* errors since ESR was last written */
	uint32_t posted[LAPIC_VECTOR_WORDS]; /* to be joined with IRR */

	/* One-shot and periodic: the count was timer_count when the TSC was timer_since_tsc, and falls by one each
	 * tsc_per_count TSC ticks times the divisor. */
	uint32_t tsc_per_count;
	uint32_t timer_lvt, timer_divide, timer_initial; /* the registers, as they are in force */
	bool timer_counting;
	uint32_t timer_count;
	uint64_t timer_since_tsc;
	uint64_t timer_deadline_tsc; /* IA32_TSC_DEADLINE; 0: not armed */
};

/* Power-up; l->page is set. tsc_per_count: TSC ticks for one tick of the timer's input clock, 1 to
 * LAPIC_TSC_PER_COUNT_MAX. */
#define LAPIC_TSC_PER_COUNT_MAX (1u << 20)
/* What every guest has: 100 MHz where the TSC has 2 GHz. CPUID tells of it. */
#define LAPIC_TSC_PER_COUNT     20u
void lapic_reset(struct lapic *l, uint32_t id, bool is_bsp, uint32_t tsc_per_count);

/* INIT: all but the id and IA32_APIC_BASE (so also the mode) as at power-up. */
void lapic_init(struct lapic *l);

/* ---- registers ---- */

/* By IA32_APIC_BASE. */
bool lapic_is_on(const struct lapic *l);
bool lapic_is_x2apic(const struct lapic *l);

/* The page at 0xfee00000 is this APIC's: xAPIC mode. In the other modes nothing answers there. */
bool lapic_has_page(const struct lapic *l);
#define LAPIC_PAGE_GPA 0xfee00000ull

/* 32-bit accesses to that page, offset below 4096. Without the page, reads give all ones and writes do nothing. A
 * register that does not exist reads 0 and is an error in ESR; so is writing one. Bytes between the registers read 0.
 */
uint32_t lapic_read(struct lapic *l, uint32_t offset, uint64_t now_tsc);
struct lapic_effect lapic_write(struct lapic *l, uint32_t offset, uint32_t value, uint64_t now_tsc);

/* RDMSR, WRMSR of MSR_IA32_X2APIC_FIRST to LAST. False is #GP, and nothing was changed: not in x2APIC mode, no such
 * register in it, not readable or writable, reserved bits. */
bool lapic_rdmsr(const struct lapic *l, uint32_t msr, uint64_t now_tsc, uint64_t *value);
bool lapic_wrmsr(struct lapic *l, uint32_t msr, uint64_t value, uint64_t now_tsc, struct lapic_effect *effect);

/* x2APIC mode has the register, and it can be read. */
bool lapic_msr_is_readable(uint32_t msr);

/* What the CPU has put into the page for the guest: lapic_write() or lapic_wrmsr() is to judge it. */
uint32_t lapic_written(const struct lapic *l, uint32_t offset);

/* WRMSR of IA32_APIC_BASE. False is #GP: a reserved bit, an address other than LAPIC_PAGE_GPA, or a change of mode that
 * does not exist. Disabling the APIC puts it into its state at power-up. Then ask lapic_timer_left() anew. */
bool lapic_base_write(struct lapic *l, uint64_t value);

/* IA32_TSC_DEADLINE: reads 0 and ignores writes unless LVT timer is in that mode. Each value is taken. */
uint64_t lapic_deadline_read(const struct lapic *l, uint64_t now_tsc);
struct lapic_effect lapic_deadline_write(struct lapic *l, uint64_t value, uint64_t now_tsc);

/* CR8, 0 to 15. */
uint32_t lapic_cr8(const struct lapic *l);
void lapic_set_cr8(struct lapic *l, uint32_t cr8);

uint32_t lapic_lvt(const struct lapic *l, enum lapic_lvt lvt);

/* ---- interrupts ---- */

/* ipi, sent by the APIC with id sender_id, is meant for l: shorthand, destination and l's mode say so. For LAPIC_LOWEST
 * one of the targets is to be chosen. A globally disabled APIC is never a target. For a message that no APIC sent
 * (LAPIC_NO_SENDER) the shorthand is LAPIC_TO_DESTINATION. */
#define LAPIC_NO_SENDER 0xffffffffu
bool lapic_is_target(const struct lapic *l, const struct lapic_ipi *ipi, uint32_t sender_id);

/* A fixed or lowest-priority interrupt arrives. False: it is lost (APIC disabled by either switch, or an illegal
 * vector, which goes to ESR). IPIs are edge-triggered. */
bool lapic_accept(struct lapic *l, uint8_t vector, bool level);

/* It is enabled by both switches: it takes interrupts, and lets the CPU have them. */
bool lapic_takes_interrupts(const struct lapic *l);

/* Joins `posted` with IRR. Only by the page's owner. */
void lapic_merge(struct lapic *l);

/* The highest vector in IRR and `posted`, in ISR; -1: none. */
int lapic_requested(const struct lapic *l);
int lapic_in_service(const struct lapic *l);

/* Word i of 8 of TMR: bit n stands for vector 32 * i + n. */
uint32_t lapic_level_triggered(const struct lapic *l, unsigned i);

/* The vector that the CPU should take now: the highest in IRR, if its class is above that of PPR; else -1, as when the
 * APIC is disabled by either switch. */
int lapic_pending(const struct lapic *l);

/* The CPU takes lapic_pending(): from IRR to ISR. */
void lapic_take(struct lapic *l, uint8_t vector);

/* The CPU could not take after all what it took last, which is the highest in service: from ISR back to IRR. */
void lapic_put_back(struct lapic *l);

/* The processor priority. */
uint8_t lapic_ppr(const struct lapic *l);

/* ---- timer ---- */

#define LAPIC_TIMER_NEVER UINT64_MAX

/* TSC ticks until the timer's next interrupt; 0: due; LAPIC_TIMER_NEVER: not armed, or masked. */
uint64_t lapic_timer_left(const struct lapic *l, uint64_t now_tsc);

/* Lets the timer catch up: if it is due, the interrupt arrives, once for all periods that passed. True if it was
 * accepted. A call too early or too many does nothing. */
bool lapic_timer_fire(struct lapic *l, uint64_t now_tsc);

/* The guest's TSC was set, by so much ahead (modulo 2^64): counts go on undisturbed, deadlines stay where they are. */
void lapic_tsc_moved(struct lapic *l, uint64_t delta_tsc);

#endif
