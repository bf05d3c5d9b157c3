/* trace.c - a ring of events for each CPU.                                                   (lab 1)
 *
 * Idea.       Printing while a race is on changes the race, and a machine that has stopped prints nothing. So
 *             events only go to memory: the last NEVENT of each CPU, with the time-stamp counter.
 * Interface.  trace() (trace.h). From outside: trace_rings[cpu], the newest event is at (n - 1) % NEVENT.
 * Locks.      None: a CPU writes its own ring only, with interrupts off.
 */
#include "kern/boot/trace.h"
#include "kern/boot/bootinfo.h"
#include "kern/boot/cpu.h"
#include "kern/boot/initcall.h"

#define NEVENT 32

struct trace_event {
	uint64_t tsc;
	const char *what;
	uint64_t a, b;
};

static struct trace_ring {
	uint64_t n;                /* events ever noted */
	struct trace_event event[NEVENT];
} trace_rings[NCPU];

bool trace_on;

void
trace_add(const char *what, uint64_t a, uint64_t b)
{
	bool on = irq_save();
	struct trace_ring *r = &trace_rings[this_cpu->id];

	r->event[r->n++ % NEVENT] = (struct trace_event){ rdtsc(), what, a, b };
	irq_restore(on);
}

static void
trace_init(void)
{
	char w[2];

	trace_on = cmdline_get("trace", w, sizeof w) == 1 && w[0] == '1';
}

INITCALL(1, trace_init);
