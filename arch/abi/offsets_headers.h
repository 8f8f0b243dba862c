/* What the expressions of offsets.def need. */
#ifndef ARCH_ABI_OFFSETS_HEADERS_H
#define ARCH_ABI_OFFSETS_HEADERS_H

#include <stddef.h>
#include <stdint.h>

#include "arch/abi/bench_guest.h"
#include "arch/abi/entry_plan.h"
#include "arch/abi/regs.h"
#include "arch/address.h"
#include "arch/defs/cpuid.h"
#include "arch/defs/cr.h"
#include "arch/defs/msr.h"
#include "arch/defs/multiboot1.h"
#include "arch/defs/multiboot2.h"
#include "arch/defs/multiboot2_header.h"
#include "arch/defs/pte.h"
#include "arch/defs/segment.h"
#include "arch/defs/uart.h"
#include "arch/percpu.h"
#include "arch/trap.h"
#include "arch/vmx.h"

#endif
