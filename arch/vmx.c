#include "arch/vmx.h"

uint8_t l1d_flush_buffer[L1D_FLUSH_BYTES] __attribute__((aligned(L1D_FLUSH_BYTES)));
