/* Emits nothing: fails to compile if the generated values are not those of the list. */
#include "arch/abi/offsets_headers.h"
#include "offsets.h"

#define ABI_VALUE(name, value) _Static_assert(GEN_##name == (int64_t)(value), #name);
#include "arch/abi/offsets.def"
