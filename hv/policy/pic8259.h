/* The pair of 8259A interrupt controllers of a PC, with the edge/level registers of later chipsets. Pure. Nothing here
 * locks: one caller at a time. After any call but pic8259_output() ask pic8259_output() anew.
 *
 * As in other emulators, an edge stays requested until it is acknowledged even if the line falls meanwhile (the 8259A
 * would make it a spurious interrupt), so devices may pulse. The master's input 2 follows the slave's INT as a level,
 * and an acknowledgement looks at both chips at one moment: so there are spurious interrupts of the master (its level
 * 7), but none of the slave.
 *
 * Sources: Intel 8259A data sheet, "Programming the 8259A"; ICH10 data sheet, "8259 Interrupt Controllers",
 * "Edge/Level Triggered Mode". */
#ifndef HV_POLICY_PIC8259_H
#define HV_POLICY_PIC8259_H

#include <stdbool.h>
#include <stdint.h>

#define PIC8259_MASTER      0x20  /* and 0x21 */
#define PIC8259_SLAVE       0xa0  /* and 0xa1 */
#define PIC8259_ELCR        0x4d0 /* and 0x4d1 */
#define PIC8259_LINES       16
#define PIC8259_CASCADE_IRQ 2

enum pic8259_expects {
	PIC8259_OCW, /* the initialisation is complete */
	PIC8259_ICW2,
	PIC8259_ICW3,
	PIC8259_ICW4,
};

/* Bit n of a mask is input n. */
struct pic8259_chip {
	uint8_t lines;   /* their levels */
	uint8_t latched; /* edges seen and not yet acknowledged */
	uint8_t level;   /* ELCR: inputs that are level-triggered */
	uint8_t imr, isr;
	uint8_t vector_base;
	uint8_t lowest; /* the input with the lowest priority; the next one has the highest */
	enum pic8259_expects expects;
	bool wants_icw3, wants_icw4;
	bool auto_eoi, rotate_on_auto_eoi;
	bool special_mask, special_fully_nested;
	bool reads_isr, polled; /* what the next read gives */
};

struct pic8259 {
	struct pic8259_chip master, slave;
};

/* As firmware leaves it: vectors 0x08 and 0x70, everything masked, all edge-triggered. */
void pic8259_reset(struct pic8259 *p);

/* Byte accesses to the six ports; a read may acknowledge (poll mode). A port that is not one of them reads all ones. */
uint8_t pic8259_read(struct pic8259 *p, uint16_t port);
void pic8259_write(struct pic8259 *p, uint16_t port, uint8_t value);

/* A device's line; that of PIC8259_CASCADE_IRQ is not one. */
void pic8259_set_line(struct pic8259 *p, unsigned irq, bool level);

/* INT of the master: the CPU, when it takes external interrupts, should acknowledge. */
bool pic8259_output(const struct pic8259 *p);

/* A rising edge on this line would request something: it is not masked, and not requested already. */
bool pic8259_hears(const struct pic8259 *p, unsigned irq);

/* INTA: the vector that the CPU is to take. If nothing is requested any more, the master's spurious vector. */
uint8_t pic8259_acknowledge(struct pic8259 *p);

#endif
