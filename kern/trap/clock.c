/* clock.c - what time it is, and being called when it is later.                              (lab 3)
 *
 * Idea.       The processor's time-stamp counter (TSC) counts; one multiplication makes nanoseconds. How fast
 *             it counts is found by looking at a timer of known speed (ACPI PM timer, else the PIT) at the
 *             same moment, twice: once at boot over one millisecond, and again from a timer after 40 ms and 1
 *             s, when the same reading error is 40 and 1000 times smaller. So nobody waits.
 *             Timers sit in a list per CPU, soonest first; the local APIC interrupts once, at the first one's
 *             time.
 * Interface.  clock.h.
 * Invariants. I1 clock_ns() never steps back: a new scale starts at the value the old one had at that moment.
 *             I2 hw_deadline <= every deadline in the queue and the slice's: the hardware may come early,
 *                never late.
 *             I3 t->cpu >= 0 exactly while t is in that CPU's queue.
 * Locks.      q->lock (RANK(3, 10)) guards the queue; not held while a timer's function runs.
 */
#include "kern/trap/clock.h"
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/boot/spinlock.h"
#include "kern/trap/apic.h"
#include "kern/trap/trap.h"

#define PM_TIMER_HZ 3579545        /* ACPI 6.4, 4.8.3.3 */
#define PIT_HZ 1193182
#define MSEC (NSEC / 1000)
#define NEVER UINT64_MAX

/* ns = ns0 + (tsc - tsc0) * mult / 2^32. key: I immutable once `scale` points to it */
struct scale {
	uint64_t tsc0, ns0, mult;
};

/* A moment seen on the TSC, on the timer of known speed, and on the local APIC's timer. */
struct sample {
	uint64_t tsc;
	uint32_t ref, lapic;
};

/* key: l lock; c this CPU only, interrupts off */
struct timer_queue {
	struct spinlock lock;
	struct list timers;        /* [l] soonest first */
	struct timer *running;     /* [a] its function is being called */
	uint64_t hw_deadline;      /* [c] I2 */
	uint64_t slice_end;        /* [c] NEVER: none */
};

static struct scale scales[4];
static const struct scale *scale = &scales[0];   /* [a] */
static uint64_t wall_offset;                     /* [a] clock_wall_ns() - clock_ns() */
static struct timer_queue queues[NCPU];
static void (*slice_hook)(void);

/* The timer of known speed. [I] after clock_init */
static uint64_t ref_hz;                          /* 0: there is none */
static uint32_t ref_mask;
static uint32_t (*ref_read)(void);
static uint64_t tsc_hz;                          /* as known so far */
static struct sample first;
static struct timer refine_timer;

/* ---- now ---- */

/* A TSC read just before another CPU made the scale lies before its start: that counts as the start. */
static uint64_t
scale_ns(const struct scale *s, uint64_t tsc)
{
	uint64_t ticks = (int64_t)(tsc - s->tsc0) < 0 ? 0 : tsc - s->tsc0;

	return s->ns0 + (uint64_t)((unsigned __int128)ticks * s->mult >> 32);
}

uint64_t
clock_ns(void)
{
	return scale_ns(__atomic_load_n(&scale, __ATOMIC_ACQUIRE), rdtsc());
}

uint64_t
clock_wall_ns(void)
{
	return clock_ns() + __atomic_load_n(&wall_offset, __ATOMIC_RELAXED);
}

void
clock_wall_set(uint64_t ns)
{
	__atomic_store_n(&wall_offset, ns - clock_ns(), __ATOMIC_RELAXED);
}

/* ---- calibration ---- */

/* a * b / c without losing the upper half of the product; 0 when the result does not fit. */
static uint64_t
muldiv(uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t hi, lo;

	asm("mulq %3" : "=a"(lo), "=d"(hi) : "a"(a), "r"(b));
	if (hi >= c)
		return 0;
	asm("divq %2" : "+a"(lo), "+d"(hi) : "r"(c));
	return lo;
}

static uint32_t
pm_timer_read(void)
{
	return inl(acpi.pm_timer);
}

/* Channel 2 counts down; latch, then two bytes (8254 data sheet). */
static uint32_t
pit_read(void)
{
	uint32_t lo;

	outb(0x43, 0x80);
	lo = inb(0x42);
	return -(lo | (uint32_t)inb(0x42) << 8);
}

/* Let channel 2 run freely from 0xffff, speaker off; tell whether it moves. */
static bool
pit_start(void)
{
	uint32_t a;

	outb(0x61, (inb(0x61) & ~2) | 1);
	outb(0x43, 0xb4);                        /* channel 2, two bytes, mode 2 */
	outb(0x42, 0xff);
	outb(0x42, 0xff);
	a = pit_read();
	for (int i = 0; i < 1000; i++)
		if (pit_read() != a)
			return true;
	return false;
}

static void
ref_choose(void)
{
	if (acpi.pm_timer) {
		ref_hz = PM_TIMER_HZ;
		ref_mask = acpi.pm_timer_32 ? 0xffffffff : 0xffffff;
		ref_read = pm_timer_read;
	} else if (pit_start()) {
		ref_hz = PIT_HZ;
		ref_mask = 0xffff;
		ref_read = pit_read;
	}
}

/* Read all three as nearly at once as possible: the narrowest of a few tries, timed by the TSC on both sides. */
static struct sample
sample_take(void)
{
	struct sample best = { 0, 0, 0 };
	uint64_t width = NEVER;

	for (int i = 0; i < 5; i++) {
		uint64_t t0 = rdtsc();
		uint32_t ref = ref_hz ? ref_read() : 0;
		uint64_t t1 = rdtsc();
		uint32_t left = lapic_timer_left();

		if (t1 - t0 < width) {
			width = t1 - t0;
			best = (struct sample){ t0 + width / 2, ref, left };
		}
	}
	return best;
}

/* TSC ticks per second between two samples. */
static uint64_t
sample_hz(const struct sample *a, const struct sample *b)
{
	uint64_t ticks = (b->ref - a->ref) & ref_mask;

	return ticks ? muldiv(b->tsc - a->tsc, ref_hz, ticks) : 0;
}

/* Go on from now with a TSC of `hz` (I1). */
static void
scale_set(uint64_t hz)
{
	const struct scale *old = scale;
	struct scale *new = &scales[(old - scales + 1) % 4];
	uint64_t tsc = rdtsc();

	new->tsc0 = tsc;
	new->ns0 = old->mult ? scale_ns(old, tsc) : 0;
	new->mult = (NSEC << 32) / hz;
	tsc_hz = hz;
	__atomic_store_n(&scale, new, __ATOMIC_RELEASE);
}

/* Timer: look again over a longer time. The PIT goes round in 55 ms, the PM timer at least in 4.6 s: if the
 * machine stood still for so long (a suspended host), the answer is far off and ignored. */
static void
clock_refine(struct timer *t)
{
	struct sample now = sample_take();
	uint64_t hz = sample_hz(&first, &now);

	if (hz > tsc_hz - tsc_hz / 32 && hz < tsc_hz + tsc_hz / 32)
		scale_set(hz);
	if (ref_mask > 0xffff && clock_ns() < NSEC / 2)
		timer_arm(t, clock_ns() + NSEC);
}

/* Over one millisecond: how fast are the TSC and the local APIC's timer? */
static void
calibrate(void)
{
	struct sample second;
	uint64_t hz, lapic_hz = 0;

	ref_choose();
	lapic_timer_count(UINT32_MAX);
	first = second = sample_take();
	for (int i = 0; ref_hz && i < 1000000 && ((second.ref - first.ref) & ref_mask) < ref_hz / 1000; i++)
		second = sample_take();
	hz = ref_hz ? sample_hz(&first, &second) : 0;
	if (hz)
		lapic_hz = muldiv(first.lapic - second.lapic, hz, second.tsc - first.tsc);
	if (!hz || !lapic_hz) {
		klog(LOG_WARN, "clock: no timer of known speed: guessing 1 GHz\n");
		ref_hz = 0;
		hz = NSEC;
		lapic_hz = NSEC / 16;
	}
	scale_set(hz);
	lapic_timer_set_hz(lapic_hz);
	kprintf("clock: TSC %lu MHz by %s\n", hz / 1000000, !ref_hz ? "guess" : ref_mask > 0xffff ? "PM timer" : "PIT");
}

/* ---- wall time from the CMOS clock (MC146818 data sheet) ---- */

static uint8_t
cmos_read(int reg)
{
	outb(0x70, reg);
	return inb(0x71);
}

/* Read the six fields outside an update, which lasts 2 ms at most. */
static void
cmos_fields(uint8_t f[6])
{
	static const uint8_t reg[6] = { 0, 2, 4, 7, 8, 9 };

	for (int i = 0; i < 10000 && cmos_read(0x0a) & 0x80; i++)
		cpu_relax();
	for (int i = 0; i < 6; i++)
		f[i] = cmos_read(reg[i]);
}

/* Days from 1970-01-01 to a date of this century, counting years from March so that the leap day comes last. */
static uint64_t
days_since_1970(uint64_t year, uint64_t month, uint64_t day)
{
	if (month <= 2) {
		year--;
		month += 12;
	}
	return 365 * year + year / 4 - year / 100 + year / 400 + (153 * (month - 3) + 2) / 5 + day - 1 - 719468;
}

/* Nanoseconds since 1970, or 0 when there is no clock or it shows nonsense. Its time is taken as UTC. */
static uint64_t
cmos_time(void)
{
	uint8_t f[6], mode = cmos_read(0x0b);
	bool pm;

	cmos_fields(f);
	pm = !(mode & 2) && f[2] & 0x80;
	f[2] &= 0x7f;
	if (!(mode & 4))                         /* binary-coded decimal */
		for (int i = 0; i < 6; i++)
			f[i] = (f[i] & 15) + (f[i] >> 4) * 10;
	if (!(mode & 2))                         /* twelve hours: 12 am is 0 */
		f[2] = f[2] % 12 + (pm ? 12 : 0);
	if (f[0] > 59 || f[1] > 59 || f[2] > 23 || f[3] < 1 || f[3] > 31 || f[4] < 1 || f[4] > 12 || f[5] > 99)
		return 0;
	return (days_since_1970(2000 + f[5], f[4], f[3]) * 86400 + f[2] * 3600u + f[1] * 60u + f[0]) * NSEC;
}

/* ---- timers ---- */

static struct timer_queue *
queue_self(void)
{
	return &queues[this_cpu->id];
}

/* Make the hardware come no later than `deadline` (I2). Interrupts off. */
static void
hw_arm(struct timer_queue *q, uint64_t deadline)
{
	uint64_t now;

	if (deadline >= q->hw_deadline)
		return;
	now = clock_ns();
	q->hw_deadline = deadline;
	lapic_timer_oneshot(deadline > now ? deadline - now : 1);
}

void
timer_init(struct timer *t, void (*fn)(struct timer *t))
{
	list_init(&t->link);
	t->fn = fn;
	t->deadline = 0;
	t->cpu = -1;
}

/* Take t out of the queue it is in, if it is in one. Returns whether it was. */
static bool
timer_remove(struct timer *t)
{
	int cpu;

	while ((cpu = __atomic_load_n(&t->cpu, __ATOMIC_ACQUIRE)) >= 0) {
		struct timer_queue *q = &queues[cpu];
		bool mine;

		spin_lock(&q->lock);
		mine = t->cpu == cpu;            /* else it fired, or moved, meanwhile: look again */
		if (mine) {
			list_remove(&t->link);
			__atomic_store_n(&t->cpu, -1, __ATOMIC_RELEASE);
		}
		spin_unlock(&q->lock);
		if (mine)
			return true;
	}
	return false;
}

/* Call t->fn(t) when clock_ns() reaches `deadline`, on this CPU, in interrupt context. If t is armed already,
 * the new deadline replaces the old one. Nobody else may arm or cancel t at the same time.
 *
 * Hint: most new deadlines are late ones, so the search starts at the end of the list.
 */
void
timer_arm(struct timer *t, uint64_t deadline)
{
	struct timer_queue *q;
	struct list *at;
	bool on = irq_save();

	timer_remove(t);
	q = queue_self();
	t->deadline = deadline;
	spin_lock(&q->lock);
	for (at = q->timers.prev; at != &q->timers; at = at->prev)
		if (list_entry(at, struct timer, link)->deadline <= deadline)
			break;
	list_add_after(at, &t->link);
	__atomic_store_n(&t->cpu, this_cpu->id, __ATOMIC_RELEASE);
	spin_unlock(&q->lock);
	hw_arm(q, deadline);
	irq_restore(on);
}

/* Is t's function running on another CPU? */
static bool
timer_running(struct timer *t)
{
	for (int i = 0; i < NCPU; i++)
		if (i != this_cpu->id && __atomic_load_n(&queues[i].running, __ATOMIC_ACQUIRE) == t)
			return true;
	return false;
}

/* Make sure that t's function is not called any more, and is not running on another CPU.
 *
 * Requires: no lock held that t's function takes.
 * Returns:  whether t was armed, so that its function was not called for the last timer_arm. */
bool
timer_cancel(struct timer *t)
{
	bool was = timer_remove(t);

	while (timer_running(t))
		cpu_relax();
	return was;
}

/* Take the first timer that is due out of the queue. */
static struct timer *
timer_due(struct timer_queue *q, uint64_t now)
{
	struct timer *t;

	spin_lock(&q->lock);
	t = list_first(&q->timers, struct timer, link);
	if (t && t->deadline > now)
		t = NULL;
	if (t) {
		list_remove(&t->link);
		__atomic_store_n(&q->running, t, __ATOMIC_RELEASE);      /* before t->cpu: timer_cancel sees one of them */
		__atomic_store_n(&t->cpu, -1, __ATOMIC_RELEASE);
	}
	spin_unlock(&q->lock);
	return t;
}

static void
timer_interrupt(void *arg)
{
	struct timer_queue *q = queue_self();
	struct timer *t;
	uint64_t next = NEVER, now = clock_ns();

	(void)arg;
	q->hw_deadline = NEVER;
	while ((t = timer_due(q, now))) {        /* due when we came: one that arms itself again cannot keep us here */
		t->fn(t);
		__atomic_store_n(&q->running, NULL, __ATOMIC_RELEASE);
	}
	if (q->slice_end <= clock_ns()) {
		q->slice_end = NEVER;
		if (slice_hook)
			slice_hook();
	}
	spin_lock(&q->lock);
	if (!list_empty(&q->timers))
		next = list_first(&q->timers, struct timer, link)->deadline;
	spin_unlock(&q->lock);
	hw_arm(q, next < q->slice_end ? next : q->slice_end);
}

void
clock_set_slice_hook(void (*fn)(void))
{
	slice_hook = fn;
}

/* Start a slice of `ns` on this CPU; 0: no slice. A timer already set for an earlier moment is left to come
 * too early: cheaper than setting it at every switch. Interrupts off. */
void
clock_slice(uint64_t ns)
{
	struct timer_queue *q = queue_self();

	q->slice_end = ns ? clock_ns() + ns : NEVER;
	if (ns)
		hw_arm(q, q->slice_end);
}

/* The calling CPU's timer queue. Requires: lapic_init_cpu ran; interrupts off. */
void
clock_init_cpu(void)
{
	struct timer_queue *q = queue_self();

	spin_init(&q->lock, "timers", RANK(3, 10));
	list_init(&q->timers);
	q->hw_deadline = q->slice_end = NEVER;
	this_cpu->timers = q;
	lapic_timer_oneshot(0);
}

static void
clock_init(void)
{
	uint64_t wall;

	calibrate();
	clock_init_cpu();
	irq_register(VEC_TIMER, timer_interrupt, NULL, "timer");
	wall = cmos_time();
	if (wall)
		clock_wall_set(wall);
	timer_init(&refine_timer, clock_refine);
	if (ref_hz)
		timer_arm(&refine_timer, clock_ns() + 40 * MSEC);
	irq_on();
}
INITCALL(3, clock_init);
