/* test_smp.c - lab 13 tested: every CPU runs, locks exclude, shootdowns reach everybody and cannot deadlock. (lab 13)
 *
 * Idea.       One kernel thread per CPU. Kernel threads are not preempted, so threads that wait for each
 *             other by spinning prove that each has a CPU of its own.
 */
#include "kern/boot/ktest.h"
#include "kern/boot/spinlock.h"
#include "kern/mem/pagetable.h"
#include "kern/proc/sched.h"
#include "kern/trap/clock.h"

#define PATIENCE (60 * NSEC)
#define ROUNDS (ncpus > 4 ? 8u : 30u)    /* each needs all CPUs at once: slow where the host has fewer */

static uint64_t deadline;
static uint32_t seen, ready, done;               /* [a] */

static bool
too_late(void)
{
	return clock_ns() > deadline;
}

/* Run fn in ncpus - 1 threads and here; wait for all. */
static void
everywhere(void (*fn)(void *))
{
	int n = 0;

	seen = ready = done = 0;
	deadline = clock_ns() + PATIENCE;
	for (int i = 1; i < ncpus; i++) {
		struct thread *t = thread_create("test", fn, NULL);

		CHECK(t != NULL);
		if (t) {
			thread_start(t);
			n++;
		}
	}
	CHECK_EQ(n, ncpus - 1);
	if (n == ncpus - 1)
		fn(NULL);
	while (__atomic_load_n(&done, __ATOMIC_ACQUIRE) < (uint32_t)ncpus && !too_late())
		thread_sleep_until(clock_ns() + 1000000, false);
	CHECK_EQ(done, ncpus);
	thread_sleep_until(clock_ns() + 5000000, false);        /* they free themselves */
}

/* Wait by spinning until all threads are here: each then has a CPU. */
static void
barrier(void)
{
	__atomic_fetch_or(&seen, 1u << this_cpu->id, __ATOMIC_ACQ_REL);
	__atomic_fetch_add(&ready, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(&ready, __ATOMIC_ACQUIRE) < (uint32_t)ncpus && !too_late())
		cpu_relax();
}

static void
leave(void)
{
	__atomic_fetch_add(&done, 1, __ATOMIC_ACQ_REL);
}

/* ---- everybody counts ---- */

static struct spinlock lock = SPINLOCK("test", RANK(13, 90));
static uint64_t plain_count, atomic_count;

static void
count(void *arg)
{
	(void)arg;
	barrier();
	for (int i = 0; i < 1000; i++) {
		__atomic_fetch_add(&atomic_count, 1, __ATOMIC_RELAXED);
		spin_lock(&lock);
		plain_count++;
		spin_unlock(&lock);
	}
	leave();
}

KTEST(13, smp_count)
{
	uint32_t every = (1u << ncpus) - 1, used = 0;
	uint64_t rounds = 0;

	/* On a busy host two threads may share a CPU for a while: among a few rounds every CPU has its turn. */
	atomic_count = plain_count = 0;
	for (; used != every && rounds < 10; rounds++) {
		everywhere(count);
		used |= seen;
	}
	CHECK_EQ(used, every);
	CHECK_EQ(atomic_count, rounds * 1000 * ncpus);
	CHECK_EQ(plain_count, rounds * 1000 * ncpus);
}

/* ---- shootdown ---- */

static volatile uint32_t *window;                /* one page, mapped to frame[0] or frame[1] */
static pte_t *window_pte;
static struct page *frame[2];
static uint32_t round_now, round_acks;           /* [a] */
static uint64_t wrong;                           /* [a] */

static void
window_turn(uint32_t round)
{
	*window_pte = (*window_pte & ~PTE_ADDR) | page_phys(frame[round & 1]);
	tlb_flush_page(&kernel_pt, (uint64_t)window);
}

/* CPU 0 of the game turns the window round and round; after each turn the others must see the other frame. */
static void
watch(void *arg)
{
	static uint32_t chosen;
	bool turner;

	(void)arg;
	barrier();
	turner = __atomic_fetch_add(&chosen, 1, __ATOMIC_ACQ_REL) % ncpus == 0;
	for (uint32_t r = 1; r <= ROUNDS && !too_late(); r++) {
		if (turner) {
			while (__atomic_load_n(&round_acks, __ATOMIC_ACQUIRE) < (r - 1) * (ncpus - 1) && !too_late())
				cpu_relax();
			window_turn(r);
			__atomic_store_n(&round_now, r, __ATOMIC_RELEASE);
		} else {
			while (__atomic_load_n(&round_now, __ATOMIC_ACQUIRE) < r && !too_late())
				(void)*window;          /* keeps the translation in the TLB */
			if (*window != (r & 1))
				__atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
			__atomic_fetch_add(&round_acks, 1, __ATOMIC_ACQ_REL);
		}
	}
	leave();
}

static void
window_open(void)
{
	for (int i = 0; i < 2; i++) {
		frame[i] = page_alloc_zero(PG_KERNEL);
		*(uint32_t *)page_virt(frame[i]) = i;
	}
	window = map_device(page_phys(frame[0]), PAGE_SIZE);
	window_pte = pt_walk(&kernel_pt, (uint64_t)window, false);
}

static void
window_close(void)
{
	unmap_device((void *)window, PAGE_SIZE);
	page_unref(frame[0]);
	page_unref(frame[1]);
}

KTEST(13, smp_shootdown)
{
	window_open();
	round_now = round_acks = 0;
	wrong = 0;
	everywhere(watch);
	CHECK_EQ(round_now, ROUNDS);
	CHECK_EQ(wrong, 0);
	window_close();
}

/* All CPUs shoot at each other at once, interrupts off; half of the time holding a lock that the others want. */
static void
crossfire(void *arg)
{
	(void)arg;
	barrier();
	for (uint32_t i = 0; i < ROUNDS && !too_late(); i++) {
		bool on = irq_save();

		if (i & 1)
			spin_lock(&lock);
		tlb_flush_page(&kernel_pt, (uint64_t)window);
		if (i & 1)
			spin_unlock(&lock);
		irq_restore(on);
	}
	leave();
}

KTEST(13, smp_crossfire)
{
	window_open();
	everywhere(crossfire);
	CHECK(!too_late());
	window_close();
}

/* ---- kernel stacks run out of addresses ---- */

#define HOARD 16                                 /* more than a CPU caches: half of them get new addresses */
#define HOARDS 8192u                             /* all CPUs together: all addresses are used up several times */

static uint64_t refused;                         /* [a] */

static void
stacks(void *arg)
{
	void *top[HOARD];

	(void)arg;
	barrier();
	for (uint32_t i = 0; i < HOARDS / ncpus && !too_late(); i++) {
		for (int k = 0; k < HOARD; k++)
			if (!(top[k] = kstack_alloc()))
				__atomic_fetch_add(&refused, 1, __ATOMIC_RELAXED);
		for (int k = 0; k < HOARD; k++)
			if (top[k])
				kstack_free(top[k]);
	}
	leave();
}

/* While one CPU makes stale addresses usable again, another that wants a stack gets one, too, only later. */
KTEST(13, smp_stacks)
{
	refused = 0;
	everywhere(stacks);
	CHECK_EQ(refused, 0);
}

/* ---- sleeping and waking across CPUs ---- */

static struct thread *ping_thread;
static uint32_t pings;                           /* [a] */

static void
pong(void *arg)
{
	(void)arg;
	while (__atomic_load_n(&pings, __ATOMIC_ACQUIRE) < ROUNDS && !too_late()) {
		thread_wake(ping_thread);
		cpu_relax();
	}
	leave();
}

KTEST(13, smp_wake)
{
	struct thread *t = thread_create("pong", pong, NULL);

	if (ncpus == 1) {                        /* a spinning waker needs a CPU of its own */
		thread_destroy(t);
		return;
	}
	pings = done = 0;
	deadline = clock_ns() + PATIENCE;
	ping_thread = current();
	thread_start(t);
	while (pings < ROUNDS && !too_late()) {
		thread_prepare_sleep(false);
		thread_sleep();
		__atomic_fetch_add(&pings, 1, __ATOMIC_ACQ_REL);
	}
	while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE) && !too_late())
		thread_sleep_until(clock_ns() + 1000000, false);
	thread_sleep_until(clock_ns() + 5000000, false);
	CHECK_EQ(done, 1);
}

KTEST_MANUAL(13, smp_panic)
{
	panic("asked for, with %d CPUs", ncpus);
}
