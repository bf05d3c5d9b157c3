/* conin.c - bytes that somebody types.                                                         (lab 4)
 *
 * Idea.       Lab 1's consoles are polled. Here their interrupts (serial port, keyboard) are routed to one
 *             handler that empties them all: into a ring, or to the hook of who knows better (the tty).
 *             Where no interrupt can be had, a thread looks fifty times a second.
 * Interface.  conin_set_hook, conin_wait.
 * Locks.      conin_lock guards the ring and the hook's installation; not held while the hook runs.
 */
#include "kern/proc/conin.h"
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/boot/kbd.h"
#include "kern/boot/serial.h"
#include "kern/proc/waitq.h"
#include "kern/trap/apic.h"
#include "kern/trap/clock.h"
#include "kern/trap/trap.h"

#define RING 256

#define POLL_NS 20000000ul

static struct spinlock conin_lock = SPINLOCK("console input", RANK(4, 30));
static struct waitq conin_waitq = WAITQ(conin_waitq);
static uint8_t ring[RING];            /* [conin_lock] bytes nread .. nwrite - 1, as in a pipe */
static uint32_t nread, nwrite;
static void (*hook)(uint8_t ch);      /* [a] */

static void
conin_byte(uint8_t ch)
{
	void (*fn)(uint8_t) = __atomic_load_n(&hook, __ATOMIC_ACQUIRE);

	if (fn) {
		fn(ch);
		return;
	}
	spin_lock(&conin_lock);
	if (nwrite - nread < RING)
		ring[nwrite++ % RING] = ch;
	spin_unlock(&conin_lock);
	waitq_wake_all(&conin_waitq);
}

/* Empty all consoles. Interrupts off. */
static void
conin_drain(void *arg)
{
	int ch;

	(void)arg;
	while ((ch = cons_getc()) >= 0)
		conin_byte(ch);
}

void
conin_set_hook(void (*fn)(uint8_t ch))
{
	bool on = irq_save();

	__atomic_store_n(&hook, fn, __ATOMIC_RELEASE);
	while (nread != nwrite)
		fn(ring[nread++ % RING]);
	irq_restore(on);
}

int
conin_wait(void)
{
	int err, ch = 0;

	spin_lock(&conin_lock);
	err = wait_event_intr(&conin_waitq, nread != nwrite, &conin_lock);
	if (!err)
		ch = ring[nread++ % RING];
	spin_unlock(&conin_lock);
	return err ? err : ch;
}

static void
poll_thread(void *arg)
{
	for (;;) {
		bool on = irq_save();

		conin_drain(NULL);
		irq_restore(on);
		thread_sleep_until(clock_ns() + POLL_NS, false);
	}
	(void)arg;
}

static bool
route(int isa_irq, const char *name)
{
	int vector = irq_alloc_vector();

	return vector >= 0 && irq_register(vector, conin_drain, NULL, name) == 0 &&
		ioapic_route_isa(isa_irq, vector) == 0;
}

static void
conin_init(void)
{
	bool serial = route(SERIAL_ISA_IRQ, "serial") && serial_enable_rx_irq();
	bool keyboard = route(KBD_ISA_IRQ, "keyboard") && kbd_enable_irq();
	struct thread *t;

	if (serial || keyboard)
		return;
	t = thread_create("conin", poll_thread, NULL);
	if (t)
		thread_start(t);
}

INITCALL(4, conin_init);
