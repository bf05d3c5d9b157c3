/* panic.c - the kernel's last words.                                                          (lab 1)
 *
 * Idea.       Stop everybody else, say where and why, who was running, which locks were held and how we
 *             got here; then leave QEMU at once, or stand still. Upper layers add facts through
 *             panic_register.
 * Invariants. I1 exactly one CPU panics; others that want to stop silently.  I2 a panic inside panic ends it.
 * Locks.      Takes none, breaks the console's.
 */
#include "kern/boot/print.h"
#include "kern/boot/bootinfo.h"
#include "kern/boot/cpu.h"
#include "kern/boot/spinlock.h"
#include "lib/kern/string.h"

#define DEBUG_EXIT_PORT 0xf4          /* QEMU: -device isa-debug-exit,iobase=0xf4,iosize=4 */
#define NFACT 8
#define NFRAME 24
#define FRAME_MAX 32768               /* no function's stack frame is larger */

static int panic_cpu = -1;            /* [a] I1 */
static void (*facts[NFACT])(void);
static int nfacts;
static void (*stop_hook)(void);
static void (*reboot_hook)(int seconds);

void
panic_register(void (*fn)(void))
{
	if (nfacts < NFACT)
		facts[nfacts++] = fn;
}

void
panic_set_stop_hook(void (*fn)(void))
{
	stop_hook = fn;
}

void
panic_set_reboot_hook(void (*fn)(int seconds))
{
	reboot_hook = fn;
}

bool
panicking(void)
{
	return __atomic_load_n(&panic_cpu, __ATOMIC_RELAXED) >= 0;
}

/* QEMU exits with status code * 2 + 1. */
void
debug_exit(int code)
{
	outl(DEBUG_EXIT_PORT, (uint32_t)code);
}

/* Print the call chain that starts at frame pointer rbp (0: our caller's), a line for each frame: the return
 * address and the function that called. Stops at the first implausible frame. Hint: -fno-omit-frame-pointer
 * keeps at [rbp] the caller's rbp and at [rbp + 8] the return address. */
void
backtrace_print(uint64_t rbp)
{
	uint64_t off, next;
	const char *name;

	if (rbp == 0)
		rbp = (uint64_t)__builtin_frame_address(0);
	for (int i = 0; i < NFRAME && rbp >= 0xffff800000000000ul && rbp % 8 == 0; i++, rbp = next) {
		next = ((uint64_t *)rbp)[0];
		uint64_t ret = ((uint64_t *)rbp)[1];

		if (!(name = ksym_find(ret - 1, &off)))
			break;
		klog(LOG_ERR, "  %016lx  %s+%#lx\n", ret, name, off + 1);
		if (next <= rbp || next - rbp > FRAME_MAX)
			break;
	}
}

static _Noreturn void
stand_still(void)
{
	for (;;)
		asm volatile("cli; hlt");
}

static void
print_locks_held(struct cpu *c)
{
	for (int i = 0; i < c->nheld && i < NHELD; i++)
		klog(LOG_ERR, "%s%s (rank %u)", i ? ", " : "  locks held: ", c->held[i]->name, c->held[i]->rank);
	klog(LOG_ERR, c->nheld > 0 ? "\n" : "  locks held: none\n");
}

static void
leave(void)
{
	char v[8];
	int seconds = 0;

	debug_exit(DEBUG_EXIT_PANIC);
	if (reboot_hook && cmdline_get("panic", v, sizeof v) > 0) {
		for (int i = 0; v[i] >= '0' && v[i] <= '9'; i++)
			seconds = seconds * 10 + v[i] - '0';
		if (seconds > 0)
			reboot_hook(seconds);
	}
}

/* Requires: nothing at all. Does not return. Called by panic() and assert(). */
_Noreturn void
panic_at(const char *file, int line, const char *fmt, ...)
{
	struct cpu *c = cpu_self();
	int nobody = -1;
	va_list ap;

	irq_off();
	if (!__atomic_compare_exchange_n(&panic_cpu, &nobody, c->id, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		if (nobody == c->id) {               /* I2 */
			cons_break_lock();
			klog(LOG_ERR, "\npanic inside panic: %s:%d\n", file, line);
			leave();
		}
		stand_still();
	}
	if (stop_hook)
		stop_hook();
	cons_break_lock();
	klog(LOG_ERR, "\npanic: %s:%d: ", file, line);
	va_start(ap, fmt);
	kvlog(LOG_ERR, fmt, ap);
	va_end(ap);
	klog(LOG_ERR, "\n  cpu %d\n", c->id);
	print_locks_held(c);
	for (int i = 0; i < nfacts; i++)
		facts[i]();
	klog(LOG_ERR, "backtrace:\n");
	backtrace_print((uint64_t)__builtin_frame_address(0));
	leave();
	klog(LOG_ERR, "halted.\n");
	stand_still();
}

/* In lab 1 the console itself may be what is not written: straight to the first serial port, which QEMU keeps
 * ready. */
static void
todo_put(const char *s)
{
	for (; *s; s++)
		outb(0x3f8, (uint8_t)*s);
}

/* Requires: nothing at all. Does not return. */
_Noreturn void
lab_todo(int lab, const char *name, const char *where, ...)
{
	if (lab > 1)
		panic("lab %d: %s is not written yet, see %s", lab, name, where);
	todo_put("\r\nlab 1: ");
	todo_put(name);
	todo_put(" is not written yet, see ");
	todo_put(where);
	todo_put("\r\n");
	debug_exit(DEBUG_EXIT_PANIC);
	stand_still();
}
