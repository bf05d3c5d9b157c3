/* cpu.c - the table of CPUs, and the first CPU's place in it.                                (lab 1)
 *
 * Interface.  cpu_init_boot: kmain's first act. Lab 13 fills in the others and calls cpu_set_self on each.
 */
#include "kern/boot/cpu.h"

#define MSR_GS_BASE 0xc0000101        /* SDM vol. 4, table 2-2 */

struct cpu cpus[NCPU];
int ncpus = 1;

/* Make `c` the calling CPU's this_cpu. Requires: interrupts off. */
void
cpu_set_self(struct cpu *c)
{
	c->self = c;
	c->id = (int)(c - cpus);
	c->mutex_rank = UINT32_MAX;
	wrmsr(MSR_GS_BASE, (uint64_t)c);
}

/* From here on this_cpu works, and so locks, klog and panic do. */
void
cpu_init_boot(void)
{
	cpu_set_self(&cpus[0]);
	cpus[0].online = true;
}
