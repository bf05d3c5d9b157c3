/* smp.c - starting the other CPUs.                                                           (lab 13)
 *
 * Idea.       ACPI names the CPUs. One after the other gets a stack and a start-up IPI, makes itself ready
 *             exactly as the first one did at boot, says that it is online, and becomes its own idle thread,
 *             looking for work. `maxcpus=N` starts fewer.
 * Invariants. I1 CPUs 0 .. ncpus-1 are online, ids without gaps.  I2 one CPU starts at a time. */
#include "kern/smp/smp.h"
#include "kern/boot/bootinfo.h"
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/mem/pagetable.h"
#include "kern/proc/sched.h"
#include "kern/trap/apic.h"
#include "kern/trap/clock.h"
#include "kern/trap/trap.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

#define LOW_FIRST 0x1000ul     /* below: the BIOS's data */
#define LOW_END 0x9f000ul
#define START_NS NSEC          /* an emulated CPU on a busy host takes its time */

extern char ap_trampoline[], ap_trampoline_end[];        /* ap_entry.S */
extern uint64_t ap_stack, ap_root;
extern void (*ap_main)(void);

/* A CPU's first C code, on its own stack. Its id is the next one (I1, I2). */
static _Noreturn void
cpu_main(void)
{
	int id = ncpus;

	cpu_set_self(&cpus[id]);
	pt_init_cpu();
	trap_init_cpu(id, lapic_id());
	lapic_init_cpu();
	clock_init_cpu();
	sched_init_cpu();
	cpus[id].online = true;
	tlb_join();
	while (*(volatile int *)&ncpus <= id)    /* we count only when CPU 0 has seen us */
		cpu_relax();
	sched_start_cpu();
}

/* A page of RAM below 1 MiB (lab 2 keeps all of them out of its lists), 0: none. */
static uint64_t
low_page(void)
{
	for (int i = 0; i < bootinfo.nmem; i++) {
		const struct mem_range *r = &bootinfo.mem[i];
		uint64_t at = r->base < LOW_FIRST ? LOW_FIRST : PAGE_UP(r->base);

		if (r->type == MEM_RAM && at < LOW_END && r->len > at - r->base + PAGE_SIZE)
			return at;
	}
	return 0;
}

static bool
online_await(int id, uint64_t ns)
{
	uint64_t end = clock_ns() + ns;

	while (!cpus[id].online && clock_ns() < end)
		cpu_relax();
	return cpus[id].online;
}

/* Start the CPU with this APIC id as number ncpus.
 *
 * Returns: 0; -ENOMEM; -ETIMEDOUT: it did not come, and will do no harm if it comes later (ap_entry.S, I2). */
static int
cpu_start(uint32_t apic_id, uint64_t page)
{
	int id = ncpus, err = trap_prepare_cpu(id);
	void *stack = err ? NULL : kstack_alloc();

	if (!stack)
		return -ENOMEM;
	__atomic_store_n(&ap_stack, (uint64_t)stack, __ATOMIC_RELEASE);
	lapic_start_cpu(apic_id, page);
	if (!online_await(id, START_NS)) {
		if (__atomic_exchange_n(&ap_stack, 0, __ATOMIC_ACQ_REL)) {
			kstack_free(stack);
			return -ETIMEDOUT;
		}
		if (!online_await(id, 10 * START_NS))    /* it has taken the stack: it is coming */
			panic("CPU with APIC id %u hangs while it starts", apic_id);
	}
	ncpus++;
	return 0;
}

/* The value of maxcpus=, at most NCPU; nonsense counts as absent. */
static int
cpus_wanted(void)
{
	char word[8];
	int n = 0;

	if (cmdline_get("maxcpus", word, sizeof word) <= 0)
		return NCPU;
	for (const char *p = word; *p >= '0' && *p <= '9' && n < NCPU; p++)
		n = n * 10 + *p - '0';
	return n < 1 || n > NCPU ? NCPU : n;
}

static void
smp_init(void)
{
	int want = cpus_wanted(), err;
	uint64_t page = low_page();

	ipi_init();
	if (acpi.ncpu > 1 && want > 1 && !page) {
		klog(LOG_WARN, "smp: no memory below 1 MiB to start CPUs in\n");
		return;
	}
	if (page)
		memcpy(P2V(page), ap_trampoline, (size_t)(ap_trampoline_end - ap_trampoline));
	ap_root = kernel_pt.root;
	ap_main = cpu_main;
	for (int i = 1; i < acpi.ncpu && ncpus < want; i++) {
		err = cpu_start(acpi.apic_ids[i], page);
		if (err)
			klog(LOG_WARN, "smp: CPU with APIC id %u did not start (%d)\n", acpi.apic_ids[i], err);
	}
	kprintf("smp: %d of %d CPUs run\n", ncpus, acpi.ncpu);
}
INITCALL(13, smp_init);
