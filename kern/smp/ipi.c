/* ipi.c - what CPUs tell each other: look at your queue, forget a translation, stop.         (lab 13)
 *
 * Idea.       A TLB shootdown is a request that must be answered before its page can be reused. Each CPU has
 *             one outgoing request, and an inbox with one bit per sender:
 *
 *                 sender s                                     target t
 *                 request[s] = { tree, va }                    bits = take inbox[t]
 *                 request[s].waiting = targets                 for each s in bits:
 *                 inbox[t] |= 1 << s; IPI to t                     flush as request[s] says
 *                 until waiting == 0: answer own inbox             clear t in request[s].waiting
 *
 *             Targets are the CPUs that may have the tree in CR3: pt_load announces a tree before it loads
 *             it, and the sender changed the entry before it asks. Either the sender sees the announcement,
 *             or the CPU's walk sees the new entry.
 * Interface.  ipi_init fills lab 1's panic and spin-wait slots, lab 2's tlb_ops, lab 3's NMI, lab 4's kick.
 * Invariants. I1 request[s] is written only by CPU s, interrupts off, while request[s].waiting == 0.
 *             I2 answering takes no lock and waits for nobody.
 * Deadlock.   A CPU that cannot take the IPI has interrupts off. Then it is (a) in a shootdown of its own: it
 *             answers while it waits; (b) spinning for a spinlock: spin_lock calls our slot, and it answers;
 *             or (c) computing: it comes to (a), (b) or interrupts on by itself, because it waits for nobody.
 *             By I2 an answer always completes. So every sender gets its answers whatever locks it holds.
 *             CPUs that were stopped (panic, power-off) are not online and are not waited for.
 * Locks.      None: I1 and atomic bits.
 */
#include "kern/smp/smp.h"
#include "kern/boot/print.h"
#include "kern/boot/spinlock.h"
#include "kern/mem/pagetable.h"
#include "kern/proc/aspace.h"
#include "kern/proc/sched.h"
#include "kern/trap/apic.h"
#include "kern/trap/trap.h"

#define CR4_PGE (1ul << 7)
#define STOP_SPINS 100000000   /* a CPU that has not stopped by then is beyond help */

/* key: I I1; a atomic */
struct request {
	uint64_t root;             /* [I] whose translations; the kernel's: on all CPUs */
	uint64_t va;               /* [I] */
	bool all;                  /* [I] everything of that tree, not only va */
	uint32_t waiting;          /* [a] bit t: CPU t has not answered */
} __attribute__((aligned(64)));

static struct request request[NCPU];
static struct { uint32_t bits; } __attribute__((aligned(64))) inbox[NCPU];    /* [a] bit s: look at request[s] */
static bool stopping;                                                         /* [a] */

/* ---- shootdown ---- */

static void
flush_everything(void)
{
	write_cr4(read_cr4() & ~CR4_PGE);        /* global entries go only this way (SDM vol. 3, 4.10.4.1) */
	write_cr4(read_cr4() | CR4_PGE);
}

/* Do what a request says on this CPU. A CPU that idles in a user tree leaves it instead: it will not be asked
 * again. */
static void
flush_local(const struct request *r)
{
	struct cpu *c = cpu_self();

	if (r->root == kernel_pt.root) {
		if (r->all)
			flush_everything();
		else
			invlpg(r->va);
	} else if (c->pt_root == r->root) {
		if (c->thread == c->idle && c->aspace)
			aspace_switch(NULL);
		else if (r->all)
			write_cr3(read_cr3());
		else
			invlpg(r->va);
	}
}

/* Answer all requests in this CPU's inbox. Requires: interrupts off. */
static void
tlb_answer(void)
{
	int me = this_cpu->id;
	uint32_t bits;

	if (__atomic_load_n(&inbox[me].bits, __ATOMIC_RELAXED) == 0)
		return;
	bits = __atomic_exchange_n(&inbox[me].bits, 0, __ATOMIC_ACQ_REL);
	for (; bits; bits &= bits - 1) {
		struct request *r = &request[__builtin_ctz(bits)];

		flush_local(r);
		__atomic_fetch_and(&r->waiting, ~(1u << me), __ATOMIC_ACQ_REL);
	}
}

static void
tlb_interrupt(void *arg)
{
	(void)arg;
	tlb_answer();
}

/* The CPUs that may hold translations of the tree. Requires: the entry has been changed. */
static uint32_t
targets_find(uint64_t root)
{
	uint32_t targets = 0;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (int i = 0; i < NCPU; i++)
		if (i != this_cpu->id && cpus[i].online && (root == kernel_pt.root || cpus[i].pt_root == root))
			targets |= 1u << i;
	return targets;
}

/* Wait until nobody who still runs owes us an answer. */
static void
answers_await(struct request *r)
{
	uint32_t waiting;

	while ((waiting = __atomic_load_n(&r->waiting, __ATOMIC_ACQUIRE)) != 0 && !panicking()) {
		tlb_answer();
		for (int i = 0; i < NCPU; i++)
			if (waiting & 1u << i && !cpus[i].online)
				__atomic_fetch_and(&r->waiting, ~(1u << i), __ATOMIC_ACQ_REL);
		cpu_relax();
	}
}

/* tlb_ops.flush: all other CPUs forget the translation of va (all: every one) in the tree; returns when they
 * have. May be called with interrupts off and spinlocks held, see Deadlock above. */
static void
tlb_shootdown(struct pagetable *pt, uint64_t va, bool all)
{
	bool on;
	struct request *r;
	uint32_t targets;

	if (ncpus == 1)
		return;
	on = irq_save();
	r = &request[this_cpu->id];
	targets = targets_find(va >= USER_END ? kernel_pt.root : pt->root);

	if (targets) {
		r->root = va >= USER_END ? kernel_pt.root : pt->root;
		r->va = va;
		r->all = all;
		__atomic_store_n(&r->waiting, targets, __ATOMIC_RELEASE);
		for (uint32_t t = targets; t; t &= t - 1) {
			int i = __builtin_ctz(t);

			/* A bit that was set already has its IPI on the way or its answerer at work. */
			if (__atomic_fetch_or(&inbox[i].bits, 1u << this_cpu->id, __ATOMIC_ACQ_REL) == 0)
				lapic_ipi(cpus[i].apic_id, VEC_IPI_TLB);
		}
		answers_await(r);
	}
	irq_restore(on);
}

static const struct tlb_ops smp_tlb_ops = { .flush = tlb_shootdown };

/* The calling CPU is online from now on: requests sent before its interrupt controller could hear them are
 * answered here, and translations from before it could be asked are forgotten. Requires: interrupts off. */
void
tlb_join(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	flush_everything();
	tlb_answer();
}

/* ---- look at your queue ---- */

static void
kick(int cpu)
{
	if (cpus[cpu].online)
		lapic_ipi(cpus[cpu].apic_id, VEC_IPI_RESCHED);
}

/* Nothing to do: it ends `hlt`, and on the way to user mode this_cpu->work, set by the sender, is seen. */
static void
kicked(void *arg)
{
	(void)arg;
}

/* ---- stop ---- */

/* NMI, which no interrupt flag can hold off: stand still if asked to. An NMI for another reason is not ours. */
static bool
stop_nmi(struct trapframe *tf)
{
	(void)tf;
	if (!__atomic_load_n(&stopping, __ATOMIC_ACQUIRE))
		return false;
	cpu_self()->online = false;
	for (;;)
		asm volatile("cli; hlt");
}

/* Make all other CPUs stand still for good: before panic prints, and before power-off. */
static void
others_stop(void)
{
	bool running = true;

	if (__atomic_exchange_n(&stopping, true, __ATOMIC_ACQ_REL))
		return;
	for (int i = 0; i < NCPU; i++)
		if (i != this_cpu->id && cpus[i].online)
			lapic_nmi(cpus[i].apic_id);
	for (long n = 0; running && n < STOP_SPINS / NCPU; n++) {
		running = false;
		for (int i = 0; i < NCPU; i++)
			running |= i != this_cpu->id && cpus[i].online;
		cpu_relax();
	}
}

/* Fill the slots of the labs below. Before the first other CPU starts. */
void
ipi_init(void)
{
	irq_register(VEC_IPI_TLB, tlb_interrupt, NULL, "TLB shootdown");
	irq_register(VEC_IPI_RESCHED, kicked, NULL, "reschedule");
	trap_register(VEC_NMI, stop_nmi);
	spin_set_wait_hook(tlb_answer);
	tlb_register(&smp_tlb_ops);
	sched_set_kick(kick);
	panic_set_stop_hook(others_stop);
	shutdown_register(others_stop);
}
