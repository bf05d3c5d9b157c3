/* observe_smp.c - lab 13 shown to the grader: who runs, who is told, who waits for whom.       (lab 13)
 *
 * Idea.       One kernel thread per CPU: they are not preempted, so threads that wait for each other by spinning
 *             have a CPU each. They do what the seed says and report what each of them saw. All that is random
 *             is drawn before they start, or by number 0 alone, in an order that the judge can repeat.
 * Interface.  OBSERVE (kern/boot/observe.h).
 */
#include "kern/boot/observe.h"
#include "kern/boot/print.h"
#include "kern/boot/spinlock.h"
#include "kern/mem/pagetable.h"
#include "kern/proc/aspace.h"
#include "kern/proc/sched.h"
#include "kern/proc/waitq.h"
#include "kern/trap/apic.h"
#include "kern/trap/clock.h"
#include "kern/trap/trap.h"
#include "kern/trap/usercopy.h"

#define PATIENCE (5000 * NSEC)         /* more than the judge's: a hang is to be seen as one */
#define MSR_EFER 0xc0000080
#define PAGES 4                        /* in the window */
#define FRAMES 6
#define USER_VA 0x10000000ul
#define TURNS 60

static uint64_t deadline;
static uint32_t ready, done, phase;    /* [a] */

static uint32_t
below(uint32_t n)
{
	return observe_random() % n;
}

static bool
too_late(void)
{
	return clock_ns() > deadline;
}

/* Wait by spinning until *p has reached n, or nobody can expect it any more. */
static void
spin_until(uint32_t *p, uint32_t n)
{
	while (__atomic_load_n(p, __ATOMIC_ACQUIRE) < n && !too_late())
		cpu_relax();
}

static void
add_one(uint32_t *p)
{
	__atomic_fetch_add(p, 1, __ATOMIC_ACQ_REL);
}

static void
everybody_here(void)
{
	add_one(&ready);
	spin_until(&ready, (uint32_t)ncpus);
}

/* Run fn(its number) on every CPU at once; number 0 is the calling thread. */
static void
everywhere(void (*fn)(void *))
{
	ready = done = phase = 0;
	deadline = clock_ns() + PATIENCE;
	for (long i = 1; i < ncpus; i++) {
		struct thread *t = thread_create("worker", fn, (void *)i);

		if (!t)
			panic("no memory for the grader's threads");
		thread_start(t);
	}
	fn((void *)0);
	while (__atomic_load_n(&done, __ATOMIC_ACQUIRE) < (uint32_t)ncpus && !too_late())
		thread_sleep_until(clock_ns() + 1000000, false);
	observe("came %u ended %u of %d", ready, done, ncpus);
	thread_sleep_until(clock_ns() + 5000000, false);        /* they free themselves */
}

/* ---- who is there ---- */

OBSERVE(13, cpu_count)
{
	observe("ncpus %d", ncpus);
	for (int i = 0; i < NCPU; i++)
		if (cpus[i].online)
			observe("online %d self %d id %d", i, cpus[i].self == &cpus[i], cpus[i].id);
}

struct __attribute__((packed)) table_register { uint16_t limit; uint64_t base; };

static void
show_registers(void *arg)
{
	struct table_register gdt, idt;
	uint16_t task;
	uint64_t rsp;

	(void)arg;
	everybody_here();
	asm volatile("sgdt %0; sidt %1; str %2; movq %%rsp, %3" : "=m"(gdt), "=m"(idt), "=r"(task), "=r"(rsp));
	observe("cpu %d apic %u says %u cr0 %lx cr4 %lx efer %lx idt %lx gdt %lx task %x stack %lx on %d", this_cpu->id,
		this_cpu->apic_id, lapic_id(), read_cr0() & ~8ul, read_cr4(), rdmsr(MSR_EFER), idt.base, gdt.base, task,
		rsp / KSTACK_SIZE, irq_enabled());
	add_one(&done);
}

OBSERVE(13, cpu_registers)
{
	everywhere(show_registers);
}

/* ---- every CPU's timer ---- */

#define BELLS 3                        /* timers per CPU */

static struct bell {
	struct timer timer;
	uint64_t delay;
	int rang_on;
	uint64_t armed_at, rang_at;
} bells[NCPU][BELLS];
static uint32_t rings;                 /* [a] */

static void
ring(struct timer *t)
{
	struct bell *b = container_of(t, struct bell, timer);

	b->rang_on = this_cpu->id;
	b->rang_at = clock_ns();
	add_one(&rings);
}

static void
arm_timers(void *arg)
{
	struct bell *mine = bells[(long)arg];
	int me = this_cpu->id;

	everybody_here();
	for (int i = 0; i < BELLS; i++) {
		timer_init(&mine[i].timer, ring);
		mine[i].armed_at = clock_ns();
		timer_arm(&mine[i].timer, mine[i].armed_at + mine[i].delay);
	}
	spin_until(&rings, BELLS * (uint32_t)ncpus);
	for (int i = 0; i < BELLS; i++)
		observe("timer %d of %ld, armed on %d for %lu, rang on %d after %ld", i, (long)arg, me,
			mine[i].timer.deadline - mine[i].armed_at, mine[i].rang_on,
			(long)(mine[i].rang_at - mine[i].armed_at));
	add_one(&done);
}

OBSERVE(13, cpu_timers)
{
	for (int cpu = 0; cpu < ncpus; cpu++)
		for (int i = 0; i < BELLS; i++)
			bells[cpu][i] = (struct bell){ .delay = 500000 + below(20000000), .rang_on = -1 };
	rings = 0;
	everywhere(arm_timers);
}

/* ---- a lock ---- */

static struct spinlock lock = SPINLOCK("the grader's", RANK(13, 90));
static uint32_t counts[NCPU], total;
static uint64_t plain;

static void
count(void *arg)
{
	uint32_t n = counts[(long)arg];

	everybody_here();
	for (uint32_t i = 0; i < n; i++) {
		spin_lock(&lock);
		plain++;
		spin_unlock(&lock);
	}
	add_one(&done);
}

OBSERVE(13, locks_exclude)
{
	for (int i = 0; i < ncpus; i++)
		counts[i] = 300 + below(1500);
	everywhere(count);
	observe("counted %lu", plain);
}

/* ---- shootdown ---- */

static struct page *frames[FRAMES];
static volatile uint64_t *window;      /* PAGES pages of the kernel's */
static struct aspace *space;           /* or of this address space */
static uint32_t members;               /* CPUs that have loaded it, one bit each */
static bool flush_all;

/* What does this CPU see at page i of the window? Each frame holds a number that the seed chose. */
static uint64_t
look(int i)
{
	uint64_t v = ~0ul;

	if (!space)
		return window[i * PAGE_SIZE / 8];
	if (copyin(&v, USER_VA + i * PAGE_SIZE, sizeof v) < 0)
		return ~0ul;
	return v;
}

static pte_t *
window_entry(int i)
{
	if (space)
		return pt_walk(&space->pt, USER_VA + i * PAGE_SIZE, true);
	return pt_walk(&kernel_pt, (uint64_t)window + i * PAGE_SIZE, false);
}

/* Give pages of the window other frames, and tell everybody. */
static void
turn(uint32_t n)
{
	uint64_t base = space ? USER_VA : (uint64_t)window;
	struct pagetable *pt = space ? &space->pt : &kernel_pt;

	for (int k = flush_all ? PAGES : 1; k > 0; k--) {
		int i = below(PAGES), f = below(FRAMES);
		pte_t *pte = window_entry(i);

		*pte = (*pte & ~PTE_ADDR) | page_phys(frames[f]);
		observe("turn %u page %d frame %d", n, i, f);
		if (!flush_all)
			tlb_flush_page(pt, base + i * PAGE_SIZE);
	}
	if (flush_all)
		tlb_flush_all(pt);
}

static void
see(uint32_t n)
{
	observe("see %u cpu %d: %lx %lx %lx %lx", n, this_cpu->id, look(0), look(1), look(2), look(3));
}

static void
space_load(struct aspace *as)
{
	irq_off();
	current()->as = as;
	aspace_switch(as);
	irq_on();
}

/* Number 0 turns the window; in each round the others, who have all of it in their TLBs, look at it afterwards. */
static void
turn_and_see(void *arg)
{
	bool member = space && (members & 1u << (long)arg);
	uint64_t asked = 0;

	if (member)
		space_load(space);
	everybody_here();
	for (uint32_t n = 1; n <= TURNS && !too_late(); n++) {
		if (!arg) {
			asked = irq_count(VEC_IPI_TLB);
			turn(n);
			add_one(&phase);
		} else {
			spin_until(&phase, 2 * n - 1);
		}
		if (member || !space)
			see(n);
		add_one(&total);
		spin_until(&total, n * (uint32_t)ncpus);
		if (!arg) {
			observe("asked %u: %lu", n, irq_count(VEC_IPI_TLB) - asked);
			add_one(&phase);
		} else {
			spin_until(&phase, 2 * n);
		}
	}
	if (member)
		space_load(NULL);
	add_one(&done);
}

static void
window_play(void)
{
	total = 0;
	for (int f = 0; f < FRAMES; f++) {
		frames[f] = page_alloc_zero(PG_KERNEL);
		*(uint64_t *)page_virt(frames[f]) = observe_random();
	}
	if (space) {
		for (int i = 0; i < PAGES; i++)
			if (pt_map(&space->pt, USER_VA + i * PAGE_SIZE, page_phys(frames[0]), PTE_U | PTE_W | PTE_NX) < 0)
				panic("no memory for the grader's pages");
	} else {
		window = map_device(page_phys(frames[0]), PAGES * PAGE_SIZE);
		for (int i = 0; i < PAGES; i++)
			*window_entry(i) = (*window_entry(i) & ~PTE_ADDR) | page_phys(frames[0]);
		tlb_flush_all(&kernel_pt);
	}
	everywhere(turn_and_see);
}

OBSERVE(13, shootdown_page)
{
	window_play();
}

OBSERVE(13, shootdown_all)
{
	flush_all = true;
	window_play();
}

/* The same in an address space that only some CPUs have loaded. arg: the members, one bit each. */
static void
user_play(void)
{
	if (aspace_new(&space) < 0)
		panic("no memory for the grader's address space");
	members = observe_number(0);
	window_play();
}

OBSERVE(13, shootdown_user)
{
	user_play();
}

OBSERVE(13, shootdown_user_all)
{
	flush_all = true;
	user_play();
}

/* Who has interrupts off cannot have answered: the others go in and out of such sections, number 0 flushes. A section's
 * number is odd while it lasts; where a CPU begins to count is drawn. */
static uint32_t section[NCPU];         /* [a] */

static void
sections_show(const char *when, uint32_t n)
{
	for (int i = 1; i < ncpus; i++)
		observe("%s %u section %d: %u", when, n, i, __atomic_load_n(&section[i], __ATOMIC_ACQUIRE));
}

static void
in_and_out(uint32_t me)
{
	uint32_t length = 2000 + counts[me];

	while (__atomic_load_n(&phase, __ATOMIC_ACQUIRE) == 0 && !too_late()) {
		irq_off();
		add_one(&section[me]);
		for (uint32_t i = 0; i < length; i++)
			cpu_relax();
		add_one(&section[me]);
		irq_on();
		for (uint32_t i = 0; i < 50; i++)
			cpu_relax();
	}
}

static void
flush_and_look(void *arg)
{
	everybody_here();
	if (arg)
		in_and_out((uint32_t)(long)arg);
	for (uint32_t n = 1; !arg && n <= 40; n++) {
		for (uint32_t pause = below(3000); pause > 0; pause--)
			cpu_relax();
		sections_show("before", n);
		if (below(2))
			tlb_flush_page(&kernel_pt, (uint64_t)window);
		else
			tlb_flush_all(&kernel_pt);
		sections_show("after", n);
	}
	if (!arg)
		add_one(&phase);
	add_one(&done);
}

OBSERVE(13, shootdown_waits)
{
	struct page *p = page_alloc_zero(PG_KERNEL);

	window = map_device(page_phys(p), PAGE_SIZE);
	for (int i = 0; i < ncpus; i++) {
		counts[i] = below(3000);
		section[i] = 2 * below(1000000000);
	}
	everywhere(flush_and_look);
}

/* ---- everybody asks everybody ---- */

/* arg=: how often; 1: sometimes with a lock that the others want. Interrupts are off all the time. How the dice
 * lie at the end says how many flushes have returned. */
static void
fire(void *arg)
{
	uint64_t dice = 88172645463325252ul + counts[(long)arg];

	everybody_here();
	for (uint64_t i = 0; i < observe_number(0) && !too_late(); i++) {
		bool on = irq_save(), locked;

		dice ^= dice << 13;
		dice ^= dice >> 7;
		dice ^= dice << 17;
		locked = observe_number(1) && dice % 3 == 0;
		if (locked)
			spin_lock(&lock);
		for (uint32_t wait = dice >> 20 & 7; wait > 0; wait--)
			cpu_relax();             /* requests of others come meanwhile */
		if (dice & 1024)
			tlb_flush_page(&kernel_pt, (uint64_t)window);
		else
			tlb_flush_all(&kernel_pt);
		if (locked)
			spin_unlock(&lock);
		irq_restore(on);
	}
	observe("dice of %ld, on %d: %lx", (long)arg, this_cpu->id, dice);
	add_one(&done);
}

OBSERVE(13, crossfire)
{
	struct page *p = page_alloc_zero(PG_KERNEL);

	window = map_device(page_phys(p), PAGE_SIZE);
	for (int i = 0; i < ncpus; i++)
		counts[i] = below(1 << 30);
	everywhere(fire);
}

/* ---- sleeping and waking ---- */

#define STEPS 100                      /* per CPU */

static struct waitq queue = WAITQ(queue);
static uint8_t route[STEPS * NCPU];    /* whose turn each step is: never the same twice in a row */
static uint32_t at;                    /* [a] the step */

/* The turn goes from CPU to CPU as the seed says. */
static void
pass_on(void *arg)
{
	uint32_t me = (uint32_t)(long)arg, last = STEPS * (uint32_t)ncpus, k;

	everybody_here();
	for (;;) {
		wait_event(&queue, (k = __atomic_load_n(&at, __ATOMIC_SEQ_CST)) == last || route[k] == me,
			(void *)NULL);
		if (k == last)
			break;
		if (k % 10 == 0)
			observe("step %u: turn of %u", k, me);
		__atomic_fetch_add(&at, 1, __ATOMIC_SEQ_CST);
		waitq_wake_all(&queue);
	}
	add_one(&done);
}

OBSERVE(13, wake_across)
{
	uint32_t n = (uint32_t)ncpus;

	for (uint32_t k = 0; k < STEPS * n; k++)
		route[k] = (uint8_t)(k == 0 || n == 1 ? 0 : (route[k - 1] + 1 + below(n - 1)) % n);
	everywhere(pass_on);
	observe("passed on %u", at);
}

/* Threads that compute and end: do all CPUs take some? */
static struct { uint64_t x; uint32_t rounds; } job[NCPU * 8];

static void
compute(void *arg)
{
	uint64_t end = clock_ns() + 3000000, x = job[(long)arg].x;

	for (uint32_t i = job[(long)arg].rounds; i > 0; i--)
		x = x * 6364136223846793005ul + 1442695040888963407ul;
	while (clock_ns() < end)
		cpu_relax();
	observe("job %ld ran on %d: %lx", (long)arg, this_cpu->id, x);
	add_one(&done);
}

OBSERVE(13, work_spreads)
{
	uint32_t jobs = (uint32_t)ncpus * (4 + below(5));

	done = 0;
	deadline = clock_ns() + PATIENCE;
	for (uint32_t i = 0; i < jobs; i++) {
		job[i].x = observe_random();
		job[i].rounds = 1000 + below(5000);
	}
	for (long i = 0; i < jobs; i++) {
		struct thread *t = thread_create("job", compute, (void *)i);

		if (t)
			thread_start(t);
	}
	while (__atomic_load_n(&done, __ATOMIC_ACQUIRE) < jobs && !too_late())
		thread_sleep_until(clock_ns() + 1000000, false);
}

/* ---- the end ---- */

static void
panic_one(void *arg)
{
	everybody_here();
	if ((uint64_t)arg == observe_number(0))
		panic("the grader asked for it: %lu", plain);
	if ((long)arg % 2)
		irq_off();
	for (;;)
		cpu_relax();
}

OBSERVE(13, panic_stops)
{
	plain = observe_random();
	everywhere(panic_one);
}
