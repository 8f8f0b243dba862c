#include "hv/ports.h"

#include "arch/defs/power.h"
#include "arch/defs/uart.h"
#include "hv/console.h"
#include "hv/exit.h"
#include "hv/vm.h"

static const char shutdown_word[] = BOCHS_SHUTDOWN_TEXT;

static bool is_uart(uint16_t port)
{
	return port >= UART_COM1 && port < UART_COM1 + UART_PORTS;
}

/* A 16550 that is always ready to send and never receives; without interrupts for now. */
static uint8_t uart_read(struct vm_console *uart, unsigned reg)
{
	const bool latch = (uart->uart_lcr & UART_LCR_DLAB) != 0;

	switch (reg) {
	case UART_RBR:
		return latch ? uart->uart_dll : 0;
	case UART_IER:
		return latch ? uart->uart_dlm : uart->uart_ier;
	case UART_IIR:
		return UART_IIR_NONE | UART_IIR_FIFO;
	case UART_LCR:
		return uart->uart_lcr;
	case UART_MCR:
		return uart->uart_mcr;
	case UART_LSR:
		return UART_LSR_THRE | UART_LSR_TEMT;
	case UART_MSR:
		return UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD;
	default:
		return uart->uart_scratch;
	}
}

/* True: a line went to the host's console. */
static bool uart_write(struct vm *vm, unsigned reg, uint8_t value)
{
	struct vm_console *uart = &vm->console;
	const bool latch = (uart->uart_lcr & UART_LCR_DLAB) != 0;

	switch (reg) {
	case UART_THR:
		if (!latch)
			return vm_console_put(vm, value);
		uart->uart_dll = value;
		break;
	case UART_IER:
		if (latch)
			uart->uart_dlm = value;
		else
			uart->uart_ier = value & 0x0f;
		break;
	case UART_LCR:
		uart->uart_lcr = value;
		break;
	case UART_MCR:
		uart->uart_mcr = value & 0x1f;
		break;
	case UART_SCR:
		uart->uart_scratch = value;
		break;
	}
	return false;
}

/* A wider access to the UART is as many bytes at successive ports; beyond them nothing answers. */
static uint32_t uart_read_wide(struct vm *vm, uint16_t port, unsigned size_bytes)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < size_bytes; i++) {
		const uint16_t at = (uint16_t)(port + i);
		const uint8_t byte = is_uart(at) ? uart_read(&vm->console, at - UART_COM1) : 0xff;

		value |= (uint32_t)byte << (8 * i);
	}
	return value;
}

static bool uart_write_wide(struct vm *vm, uint16_t port, unsigned size_bytes, uint32_t value)
{
	bool shown = false;

	for (unsigned i = 0; i < size_bytes; i++)
		if (is_uart((uint16_t)(port + i)))
			shown |= uart_write(vm, port + i - UART_COM1, (uint8_t)(value >> (8 * i)));
	return shown;
}

static void shutdown_write(struct vcpu *vcpu, uint8_t letter)
{
	uint8_t *seen = &vcpu->shutdown_letters;

	*seen = letter == (uint8_t)shutdown_word[*seen] ? *seen + 1 : 0;
	if (shutdown_word[*seen] != '\0')
		return;
	*seen = 0;
	console_line("[%s] shutdown by port 0x%x", vcpu->vm->cfg.name, BOCHS_SHUTDOWN_PORT);
	vm_power_off(vcpu->vm);
}

uint32_t port_read(struct vcpu *vcpu, uint16_t port, unsigned size_bytes)
{
	if (is_uart(port))
		return uart_read_wide(vcpu->vm, port, size_bytes);
	vcpu->stats.unanswered++;
	return (uint32_t)exit_all_ones(size_bytes);
}

bool port_write(struct vcpu *vcpu, uint16_t port, unsigned size_bytes, uint32_t value)
{
	struct vm *vm = vcpu->vm;

	if (is_uart(port))
		return uart_write_wide(vm, port, size_bytes, value);
	if (port == QEMU_DEBUG_EXIT_PORT) {
		console_line("[%s] exit code %lu", vm->cfg.name, (uint64_t)value << 1 | 1);
		vm_power_off(vm);
		return true;
	}
	if (port == BOCHS_SHUTDOWN_PORT) {
		shutdown_write(vcpu, (uint8_t)value);
		return false;
	}
	vcpu->stats.unanswered++;
	return false;
}
