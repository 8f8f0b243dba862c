#include "hv/policy/uart16550.h"

#define IER_RECEIVED    (1u << 0)
#define IER_THRE        (1u << 1)
#define IER_LINE_STATUS (1u << 2)
#define IER_MODEM       (1u << 3)
#define IER_WRITABLE    0x0fu

/* IIR, in the order of priority. "Interrupt Control Functions". */
#define IIR_LINE_STATUS 0x06u
#define IIR_RECEIVED    0x04u
#define IIR_TIMEOUT     0x0cu
#define IIR_THRE        0x02u
#define IIR_MODEM       0x00u

#define FCR_KEPT (UART_FCR_ENABLE | 3u << 6)

#define MCR_OUT1     (1u << 2)
#define MCR_LOOP     (1u << 4)
#define MCR_WRITABLE 0x1fu

#define MSR_RI          (1u << 6)
#define MSR_DELTA_SHIFT 4         /* from CTS, DSR, DCD to the bit that says it changed */
#define MSR_RI_TRAILING (1u << 2) /* RI's says that it went off */

/* The bits 6 and 7 of FCR: bytes in the FIFO that cause an interrupt. */
static const uint8_t trigger_bytes[] = {1, 4, 8, 14};

static bool has_fifo(const struct uart16550 *u)
{
	return u->fcr & UART_FCR_ENABLE;
}

static bool is_loop(const struct uart16550 *u)
{
	return u->mcr & MCR_LOOP;
}

static unsigned capacity(const struct uart16550 *u)
{
	return has_fifo(u) ? UART_FIFO_BYTES : 1;
}

void uart16550_reset(struct uart16550 *u)
{
	*u = (struct uart16550){.dll = UART_DIVISOR_115200, .lcr = UART_LCR_8N1};
}

/* ---- interrupts ---- */

static uint8_t interrupt(const struct uart16550 *u)
{
	if ((u->ier & IER_LINE_STATUS) && u->error)
		return IIR_LINE_STATUS;
	if ((u->ier & IER_RECEIVED) && u->fifo_count)
		return has_fifo(u) && u->fifo_count < trigger_bytes[u->fcr >> 6] ? IIR_TIMEOUT : IIR_RECEIVED;
	if ((u->ier & IER_THRE) && u->thre)
		return IIR_THRE;
	if ((u->ier & IER_MODEM) && u->delta)
		return IIR_MODEM;
	return UART_IIR_NONE;
}

bool uart16550_line(const struct uart16550 *u)
{
	return interrupt(u) != UART_IIR_NONE;
}

/* ---- received bytes ---- */

static void fifo_clear(struct uart16550 *u)
{
	u->fifo_first = 0;
	u->fifo_count = 0;
}

static void fifo_put(struct uart16550 *u, uint8_t byte)
{
	u->fifo[(u->fifo_first + u->fifo_count) % UART_FIFO_BYTES] = byte;
	u->fifo_count++;
}

static uint8_t fifo_get(struct uart16550 *u)
{
	uint8_t byte = u->fifo[u->fifo_first];

	if (!u->fifo_count)
		return 0;
	u->fifo_first = (u->fifo_first + 1) % UART_FIFO_BYTES;
	u->fifo_count--;
	return byte;
}

bool uart16550_receive(struct uart16550 *u, uint8_t byte)
{
	if (is_loop(u) || u->fifo_count >= capacity(u))
		return false;
	fifo_put(u, byte);
	return true;
}

/* On an overrun the FIFO keeps what it has; without FIFO the new byte replaces the old one. */
static void loop_back(struct uart16550 *u, uint8_t byte)
{
	if (u->fifo_count >= capacity(u)) {
		u->error |= UART_LSR_OE;
		if (has_fifo(u))
			return;
		fifo_clear(u);
	}
	fifo_put(u, byte);
}

/* ---- modem lines ---- */

/* In loopback our own outputs come back: RTS, DTR, OUT1 and OUT2 as CTS, DSR, RI and DCD. */
static uint8_t modem_lines(const struct uart16550 *u)
{
	if (!is_loop(u))
		return UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD;
	return (uint8_t)((u->mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) | (u->mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
			 (u->mcr & MCR_OUT1 ? MSR_RI : 0) | (u->mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0));
}

static void mcr_write(struct uart16550 *u, uint8_t value)
{
	const uint8_t before = modem_lines(u);
	uint8_t after;

	u->mcr = value & MCR_WRITABLE;
	after = modem_lines(u);
	u->delta |= (uint8_t)(((before ^ after) & (UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD)) >> MSR_DELTA_SHIFT);
	if (before & ~after & MSR_RI)
		u->delta |= MSR_RI_TRAILING;
}

/* ---- registers ---- */

static uint8_t iir_read(struct uart16550 *u)
{
	const uint8_t id = interrupt(u);

	if (id == IIR_THRE)
		u->thre = false;
	return id | (has_fifo(u) ? UART_IIR_FIFO : 0);
}

static uint8_t lsr_read(struct uart16550 *u)
{
	const uint8_t error = u->error;

	u->error = 0;
	return error | UART_LSR_THRE | UART_LSR_TEMT | (u->fifo_count ? UART_LSR_DR : 0);
}

static uint8_t msr_read(struct uart16550 *u)
{
	const uint8_t delta = u->delta;

	u->delta = 0;
	return modem_lines(u) | delta;
}

static void fcr_write(struct uart16550 *u, uint8_t value)
{
	/* The other bits are only taken together with ENABLE. A change of that bit empties the FIFO. */
	const uint8_t fcr = value & UART_FCR_ENABLE ? value & FCR_KEPT : 0;

	if (((u->fcr ^ fcr) & UART_FCR_ENABLE) || (fcr && (value & UART_FCR_CLEAR_RX)))
		fifo_clear(u);
	u->fcr = fcr;
}

static struct uart16550_effect thr_write(struct uart16550 *u, uint8_t byte)
{
	const bool before = uart16550_line(u);
	bool between;

	u->thre = false;
	between = uart16550_line(u);
	if (is_loop(u))
		loop_back(u, byte);
	u->thre = true;
	return (struct uart16550_effect){
		.sent = !is_loop(u),
		.byte = byte,
		.line_fell = before && !between && uart16550_line(u),
	};
}

static bool has_latch(const struct uart16550 *u)
{
	return u->lcr & UART_LCR_DLAB;
}

uint8_t uart16550_read(struct uart16550 *u, unsigned reg)
{
	switch (reg) {
	case UART_RBR:
		return has_latch(u) ? u->dll : fifo_get(u);
	case UART_IER:
		return has_latch(u) ? u->dlm : u->ier;
	case UART_IIR:
		return iir_read(u);
	case UART_LCR:
		return u->lcr;
	case UART_MCR:
		return u->mcr;
	case UART_LSR:
		return lsr_read(u);
	case UART_MSR:
		return msr_read(u);
	default:
		return u->scratch;
	}
}

struct uart16550_effect uart16550_write(struct uart16550 *u, unsigned reg, uint8_t value)
{
	switch (reg) {
	case UART_THR:
		if (!has_latch(u))
			return thr_write(u, value);
		u->dll = value;
		break;
	case UART_IER:
		if (has_latch(u)) {
			u->dlm = value;
			break;
		}
		/* The transmitter is empty: whoever begins to ask hears of it. */
		if (value & ~u->ier & IER_THRE)
			u->thre = true;
		u->ier = value & IER_WRITABLE;
		break;
	case UART_FCR:
		fcr_write(u, value);
		break;
	case UART_LCR:
		u->lcr = value;
		break;
	case UART_MCR:
		mcr_write(u, value);
		break;
	case UART_LSR: /* "for factory testing" */
	case UART_MSR:
		break;
	default:
		u->scratch = value;
		break;
	}
	return (struct uart16550_effect){.sent = false};
}
