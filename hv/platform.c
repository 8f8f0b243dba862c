/* placeholder of the branch `platform` */
#include "hv/platform.h"
#include "hv/vm.h"
void platform_reset(struct vm *vm) { (void)vm; }
uint64_t platform_left(const struct vm *vm, uint64_t now_tsc) { (void)vm; (void)now_tsc; return PLATFORM_NEVER; }
void platform_fire(struct vm *vm, uint64_t now_tsc) { (void)vm; (void)now_tsc; }
bool platform_extint(const struct vm *vm) { (void)vm; return false; }
uint8_t platform_extint_take(struct vm *vm) { (void)vm; return 0; }
void platform_eoi(struct vm *vm, uint8_t vector) { (void)vm; (void)vector; }
void platform_tsc_moved(struct vm *vm, uint64_t delta_tsc) { (void)vm; (void)delta_tsc; }
bool platform_receive(struct vm *vm, uint8_t byte) { (void)vm; (void)byte; return false; }
