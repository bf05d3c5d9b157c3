/* serial.c - the first serial port, a 16550 UART, polled.                                     (lab 1)
 *
 * Interface.  Registers console "ttyS0". Lab 7's tty may add the receive interrupt: serial_enable_rx_irq.
 */
#include "kern/boot/serial.h"
#include "kern/boot/cpu.h"
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"

#define COM1 0x3f8
enum { DATA = 0, IER = 1, FCR = 2, LCR = 3, MCR = 4, LSR = 5, SCR = 7 };      /* 16550 data sheet */
enum { LSR_DATA = 0x01, LSR_THRE = 0x20 };
#define FIFO_SIZE 16
#define WAIT_TSC 2000000000ul         /* give up on a transmitter that is silent for about a second */

static bool present, stuck;

/* Wait until the transmit FIFO is empty. Returns false when the device does not answer: the bytes are
 * dropped then, and the next call tries only once, so that a dead line does not stop the machine. */
static bool
tx_ready(void)
{
	uint64_t start = rdtsc();

	while (!(inb(COM1 + LSR) & LSR_THRE)) {
		if (stuck || rdtsc() - start > WAIT_TSC) {
			stuck = true;
			return false;
		}
		cpu_relax();
	}
	stuck = false;
	return true;
}

/* console.put: send n bytes, FIFO_SIZE of them for each time the transmitter is empty. Gives up when it does not
 * become so. */
static void
serial_put(struct console *c, const char *s, size_t n)
{
	int room = 0;

	(void)c;
	for (size_t i = 0; i < n; i++) {
		if (room == 0) {
			if (!tx_ready())
				return;
			room = FIFO_SIZE;
		}
		outb(COM1 + DATA, (uint8_t)s[i]);
		room--;
	}
}

static int
serial_get(struct console *c)
{
	(void)c;
	return inb(COM1 + LSR) & LSR_DATA ? inb(COM1 + DATA) : -1;
}

/* Have ISA interrupt 4 raised when input arrives. Returns: false when there is no such device. */
bool
serial_enable_rx_irq(void)
{
	if (present)
		outb(COM1 + IER, 0x01);
	return present;
}

static struct console serial_console = { .name = "ttyS0", .put = serial_put, .get = serial_get };

/* Is there a UART? The scratch register keeps what is written; a missing device reads as 0xff. */
static bool
serial_probe(void)
{
	outb(COM1 + SCR, 0x5a);
	if (inb(COM1 + SCR) != 0x5a)
		return false;
	outb(COM1 + SCR, 0xa5);
	return inb(COM1 + SCR) == 0xa5;
}

static void
serial_init(void)
{
	present = serial_probe();
	if (!present)
		return;
	outb(COM1 + IER, 0);
	outb(COM1 + LCR, 0x80);               /* divisor latch: 115200 baud */
	outb(COM1 + DATA, 1);
	outb(COM1 + IER, 0);
	outb(COM1 + LCR, 0x03);               /* 8 bits, no parity, 1 stop */
	outb(COM1 + FCR, 0x07);               /* FIFOs on and cleared, interrupt at the first byte */
	outb(COM1 + MCR, 0x0b);               /* DTR, RTS, OUT2: lets the interrupt through */
	console_register(&serial_console);
}

INITCALL(1, serial_init);
