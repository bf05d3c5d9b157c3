/* clock.h - time and timers.                                                                (lab 3)
 *
 * The clock is the TSC, calibrated against the ACPI PM timer (or the PIT) over the boot itself; wall time
 * starts from the CMOS clock. Timers are per CPU, driven by the local APIC in one-shot mode: no tick when
 * nothing is due.
 */
#ifndef KERN_TRAP_CLOCK_H
#define KERN_TRAP_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include "lib/kern/list.h"

#define NSEC 1000000000ul

uint64_t clock_ns(void);                         /* since boot, monotonic on all CPUs; lock-free */
uint64_t clock_wall_ns(void);                    /* since 1970 */
void clock_wall_set(uint64_t ns);

struct timer {
	struct list link;     /* in its CPU's queue */
	uint64_t deadline;         /* clock_ns() value */
	void (*fn)(struct timer *t);   /* in interrupt context, no lock held; may re-arm */
	int cpu;                   /* queue it is on, -1: not armed */
};
void timer_init(struct timer *t, void (*fn)(struct timer *t));
void timer_arm(struct timer *t, uint64_t deadline_ns);      /* on this CPU; re-arms if armed */
bool timer_cancel(struct timer *t);              /* true: it was armed and will not fire; waits while fn runs elsewhere */

/* The scheduler's slice (lab 4): fn is called in interrupt context when the slice set on this CPU runs out. 0
 * = none. */
void clock_set_slice_hook(void (*fn)(void));
void clock_slice(uint64_t ns);

void clock_init_cpu(void);                       /* local APIC timer of the calling CPU */
#endif
