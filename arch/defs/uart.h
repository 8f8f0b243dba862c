/* The 16550 UART: registers and bits. Facts only.
 * Source: National Semiconductor PC16550D data sheet, "Registers". */
#ifndef ARCH_DEFS_UART_H
#define ARCH_DEFS_UART_H

#define UART_COM1  0x3f8
#define UART_PORTS 8

/* Offsets from the base port. */
#define UART_RBR 0 /* read */
#define UART_THR 0 /* write */
#define UART_DLL 0 /* with LCR.DLAB */
#define UART_IER 1
#define UART_DLM 1 /* with LCR.DLAB */
#define UART_IIR 2 /* read */
#define UART_FCR 2 /* write */
#define UART_LCR 3
#define UART_MCR 4
#define UART_LSR 5
#define UART_MSR 6
#define UART_SCR 7

#define UART_FCR_ENABLE   (1u << 0)
#define UART_FCR_CLEAR_RX (1u << 1)
#define UART_FCR_CLEAR_TX (1u << 2)

#define UART_LCR_8N1  0x03u
#define UART_LCR_DLAB (1u << 7)

#define UART_MCR_DTR  (1u << 0)
#define UART_MCR_RTS  (1u << 1)
#define UART_MCR_OUT2 (1u << 3)

#define UART_IIR_NONE (1u << 0) /* no interrupt is pending */
#define UART_IIR_FIFO (3u << 6)

#define UART_MSR_CTS (1u << 4)
#define UART_MSR_DSR (1u << 5)
#define UART_MSR_DCD (1u << 7)

#define UART_LSR_DR   (1u << 0)
#define UART_LSR_OE   (1u << 1)
#define UART_LSR_THRE (1u << 5)
#define UART_LSR_TEMT (1u << 6)

#define UART_FIFO_BYTES     16
#define UART_DIVISOR_115200 1

#endif
