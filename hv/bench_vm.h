/* The VMs of `bench`: built like any other from a kernel in the image (arch/bench_guest.asm), but run by nobody else
 * than who calls here, on pCPU 0. */
#ifndef HV_BENCH_VM_H
#define HV_BENCH_VM_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/abi/bench_guest.h"
#include "hv/vcpu.h"

/* What its IA32_ARCH_CAPABILITIES makes of FB_CLEAR_DIS. */
enum bench_wish {
	BENCH_WISH_HOST, /* as a VM with `cpu = "host"` */
	BENCH_WISH_FAST, /* wants it: VERW is to be fast */
	BENCH_WISH_CLEAR /* has FB_CLEAR: must not have it */
};

/* Starts VM number 0 or 1, until it waits for its first order: one entry has been made. NULL, or why not. */
const char *bench_vm_start(unsigned number, enum bench_wish wish);
void bench_vm_stop(unsigned number);

/* How many samples one order may ask for, so that the audit can take the rows of each before they are overwritten. */
uint32_t bench_vm_samples_max(void);

/* Carries out an order: order->count exits at least, and one for HLT. False: the guest did not come to its end in time,
 * or crashed. The VM is loaded here before, if it is not. */
bool bench_vm_run(unsigned number, const struct bench_guest_order *order);

/* Carries out the order of before once more. Host and guest touch nothing that they would not in a slice of any VM. */
bool bench_vm_run_again(unsigned number);

/* The samples of the last order. */
const uint32_t *bench_vm_samples(unsigned number);

/* The counts since the VM's start: those that `stats` prints of a VM. */
const struct vcpu_stats *bench_vm_stats(unsigned number);

#endif
