/* Does a machine whose only CPU waits for SIPI, while its 8254 has interrupts for it, leave its pCPU to others? */
#include "arch/defs/pc.h"
#include "guest/lib/apic.h"
#include "guest/lib/cpu.h"
#include "guest/lib/fault.h"
#include "guest/lib/guest.h"
#include "guest/lib/print.h"

/* Intel 8259A data sheet, "Initialization Command Words". */
#define PIC_MASTER   0x20
#define PIC_ICW1     0x11 /* cascaded, ICW4 follows */
#define PIC_VECTORS  0x40
#define PIC_CASCADE  4    /* bit of the input */
#define PIC_ICW4     0x01 /* 8086 */
#define PIC_ONLY_PIT 0xfe

/* 8254, mode 2, low byte then high byte: 18 times a second. */
#define PIT_CHANNEL0 0x40
#define PIT_MODE2    0x34
#define PIT_RELOAD   0xff

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	(void)magic;
	(void)info;
	fault_install();
	apic_enable(false);
	outb(PIC_MASTER, PIC_ICW1);
	outb(PIC_MASTER_DATA, PIC_VECTORS);
	outb(PIC_MASTER_DATA, PIC_CASCADE);
	outb(PIC_MASTER_DATA, PIC_ICW4);
	outb(PIC_MASTER_DATA, PIC_ONLY_PIT);
	outb(PIT_CONTROL, PIT_MODE2);
	outb(PIT_CHANNEL0, PIT_RELOAD);
	outb(PIT_CHANNEL0, PIT_RELOAD);
	print("initwait: waiting\n");
	apic_send(APIC_ICR_DELIVERY_INIT | APIC_ICR_ASSERT, apic_id());
	print("initwait: still here\n");
}
