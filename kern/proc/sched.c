/* sched.c - who runs next.                                                                     (lab 4)
 *
 * Idea.       Each CPU has a queue of READY threads, first come, first served. A thread runs until it
 *             sleeps, or until somebody else has waited for a slice; it is then put at the end of the queue
 *             on its way back to user mode. A CPU with an empty queue takes a thread from another queue, or
 *             halts. The slice timer runs while the CPU does not idle, and is not reprogrammed at each switch:
 *             when it fires and others wait, the thread that has run since it was set has had its slice. It
 *             also looks whether it met user or kernel code: so times are split, without a clock on every call.
 *
 *                 cpu 0: running A, ready B -> C          cpu 1: running idle      (takes B)
 *
 * Interface.  schedule; thread_prepare_sleep, thread_sleep, thread_wake (waitq.h wraps them);
 *             sched_start_cpu.
 * Invariants. I1 a READY thread is in exactly one queue, that of t->cpu, or on its way there in the hands of
 *             one CPU.
 *             I2 the running thread is in no queue; t->state is RUNNING, or SLEEPING if it is about
 *             to sleep.
 *             I3 the queue's lock is held across the switch: whoever holds it sees no thread half
 *             switched.
 *             I4 while a thread of an address space runs here, that space is in CR3. A kernel
 *             thread runs in whatever is there (no CR3 write to idle and back).
 * Locks.      rq->lock (RANK(4, 5), the lowest of this lab): all of struct runq, and the [r] fields of its
 *             threads. Two of them are never held at once.
 */
#include "kern/proc/sched.h"
#include "kern/boot/bootinfo.h"
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/boot/trace.h"
#include "kern/mem/kheap.h"
#include "kern/proc/aspace.h"
#include "kern/trap/clock.h"
#include "kern/trap/syscall.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

#define SLICE_NS 10000000ul           /* unless slice=MICROSECONDS says otherwise */
#define LOAD_PERIOD_NS (5 * NSEC)
#define MSR_FS_BASE 0xc0000100        /* SDM vol. 4, table 2-2 */
#define MSR_KERNEL_GS_BASE 0xc0000102

/* key: l lock; c this CPU, interrupts off */
struct runq {
	struct spinlock lock;
	struct list ready;         /* [l] I1 */
	int nready;                /* [l] its length; read without lock as a hint */
	int cpu;
	struct thread *running;    /* [l] */
	struct thread *idle;
	uint64_t switches;         /* [l] */
	uint64_t slice_mark;       /* [l] value of switches when the slice timer was set */
	bool slice_armed;          /* [l] */
	uint64_t user_ns, sys_ns;  /* [l] as the threads' fields of this name: all that ran here */
	bool preempt;              /* [c] the running thread's slice is over */
	uint64_t fs_base, gs_base; /* [c] what the MSRs hold */
};

void switch_stacks(uint64_t *save_rsp, uint64_t load_rsp);

static struct runq runqs[NCPU];
static uint64_t slice_ns = SLICE_NS;                /* [I] after sched_init */
static struct thread boot_idle = { .name = "idle/0", .state = T_RUNNING };
static void (*kick_fn)(int cpu);
static void (*reaper)(struct thread *t);

void sched_set_kick(void (*fn)(int cpu)) { kick_fn = fn; }
void sched_set_reaper(void (*fn)(struct thread *t)) { reaper = fn; }

void
sched_kick(int cpu)
{
	if (kick_fn && cpu != cpu_self()->id)
		kick_fn(cpu);
}

/* ---- what a switch changes besides the stack ---- */

/* Load an address space on this CPU; NULL: the kernel's own, which has no user half. Requires: interrupts
 * off. */
void
aspace_switch(struct aspace *as)
{
	struct cpu *c = cpu_self();

	if (c->aspace == as)
		return;
	pt_load(as ? &as->pt : &kernel_pt);
	__atomic_store_n(&c->aspace, as, __ATOMIC_RELEASE);
}

/* Make the MSRs hold the thread's TLS bases. Writing one is slow, but what was written last is still there for certain only
 * if it was 0: user code that loads FS or GS with a selector makes the base 0 (SDM vol. 3, 3.4.4). */
static inline void
tls_load(struct runq *rq, const struct thread *t)
{
	if (rq->fs_base != t->fs_base || t->fs_base) {
		rq->fs_base = t->fs_base;
		wrmsr(MSR_FS_BASE, t->fs_base);
	}
	if (rq->gs_base != t->gs_base || t->gs_base) {
		rq->gs_base = t->gs_base;
		wrmsr(MSR_KERNEL_GS_BASE, t->gs_base);
	}
}

/* Set the current thread's FS and GS bases. Requires: canonical addresses. */
void
thread_set_tls(uint64_t fs, uint64_t gs)
{
	bool on = irq_save();

	current()->fs_base = fs;
	current()->gs_base = gs;
	tls_load(cpu_self()->sched, current());
	irq_restore(on);
}

/* ---- queues ---- */

static void
slice_arm(struct runq *rq)
{
	rq->slice_armed = true;
	rq->slice_mark = rq->switches;
	clock_slice(slice_ns);
}

/* Requires: rq->lock. */
static void
queue_add(struct runq *rq, struct thread *t)
{
	t->state = T_READY;
	list_push_back(&rq->ready, &t->run_link);
	rq->nready++;
}

/* Requires: rq->lock. Returns: the first READY thread, out of the queue, or NULL. */
static struct thread *
queue_take(struct runq *rq)
{
	struct list *l = list_pop_front(&rq->ready);

	if (!l)
		return NULL;
	rq->nready--;
	return list_entry(l, struct thread, run_link);
}

/* A CPU with nothing to do, or -1. No locks: a wrong guess costs a little time. */
static int
cpu_find_idle(void)
{
	for (int i = 0; ncpus > 1 && i < NCPU; i++)
		if (cpus[i].online && runqs[i].idle && runqs[i].running == runqs[i].idle &&
		    runqs[i].nready == 0)
			return i;
	return -1;
}

/* After queue_add: see to it that somebody notices: rq's CPU; and if that is busy an idle one, which steals.
 * (Looked for after queue_add: a CPU that goes idle meanwhile looks into our queue before it halts.)
 * Requires: rq->lock. Returns: the CPUs to kick, one bit each. */
static uint32_t
queue_notify(struct runq *rq)
{
	bool idle = rq->running == rq->idle;
	int helper = idle && rq->nready == 1 ? -1 : cpu_find_idle();
	uint32_t kick = helper < 0 ? 0 : 1u << helper;

	if (!idle || rq->cpu == cpu_self()->id)
		return kick;                      /* its slice timer, or we ourselves, will see to it */
	return kick | 1u << rq->cpu;
}

static void
kick_all(uint32_t kick)
{
	for (; kick; kick &= kick - 1)
		sched_kick(__builtin_ctz(kick));
}

/* Put a READY thread that is in no queue into the queue of `cpu`. */
static void
queue_put(struct thread *t, int cpu)
{
	struct runq *rq = &runqs[cpu];
	uint32_t kick;

	spin_lock(&rq->lock);
	t->cpu = cpu;
	queue_add(rq, t);
	kick = queue_notify(rq);
	spin_unlock(&rq->lock);
	kick_all(kick);
}

/* A CPU with nothing to do, `last` before others, else `last`. */
static int
cpu_choose(int last)
{
	int idle;

	if (ncpus == 1 || (runqs[last].running == runqs[last].idle && runqs[last].nready == 0))
		return last;
	idle = cpu_find_idle();
	return idle < 0 ? last : idle;
}

/* A new thread may run from now on, on this CPU or an idle one. */
void
thread_enqueue(struct thread *t)
{
	bool on = irq_save();

	t->state = T_READY;
	queue_put(t, cpu_choose(cpu_self()->id));
	irq_restore(on);
}

/* ---- switching ---- */

/* First act of every thread that gets the CPU, after switch_stacks: ends what the previous one began.
 * Returns: the previous thread if it is DEAD: to be freed when interrupts are on again. */
static struct thread *
switch_finish(void)
{
	struct cpu *c = cpu_self();
	struct runq *rq = c->sched;
	struct thread *prev = c->prev;

	prev = prev->state == T_DEAD ? prev : NULL;
	spin_unlock(&rq->lock);
	return prev;
}

/* A new thread's first step (thread.c). Returns with interrupts on. */
void
sched_first_step(void)
{
	struct thread *dead = switch_finish();

	irq_on();
	if (dead)
		reaper(dead);
}

/* Make `next` the running thread in everything but the stack. Requires: rq->lock. */
static void
switch_state(struct cpu *c, struct runq *rq, struct thread *prev, struct thread *next)
{
	uint64_t now = clock_ns();

	trace("switch", prev->tid, next->tid);
	prev->run_ns += now - prev->start_ns;
	next->start_ns = now;
	next->nswitch++;
	rq->switches++;
	next->state = T_RUNNING;
	next->cpu = rq->cpu;
	rq->running = next;
	rq->preempt = false;
	if (!rq->slice_armed && next != rq->idle)
		slice_arm(rq);
	c->prev = prev;
	c->thread = next;
	c->mutex_rank = next->mutex_rank;
	fpu_switch(prev->fpu, next->fpu);
	if (next->as) {
		aspace_switch(next->as);
		tls_load(rq, next);
	}
	if (next->fpu)
		trap_set_kstack(next->kstack);
	c->thread_work = next->intr || next->killed;
}

/* schedule found nobody to switch to. An idle thread that wants to sleep is the boot code of an upper lab,
 * waiting: it gets an interrupt's time of rest and then looks at its condition again, as every sleeper does.
 * Requires: rq->lock; returns without it, interrupts off. */
static void
nobody_else(struct runq *rq, struct thread *prev)
{
	bool rest = prev->state != T_RUNNING;

	prev->state = T_RUNNING;
	spin_unlock(&rq->lock);
	if (rest) {
		cpu_idle();
		irq_off();
	}
}

/* Give up the CPU: run the next READY thread, or idle.
 *
 * Requires: no spinlock held, not in an interrupt handler. Interrupts may be on or off, and are the same
 *           afterwards.
 * Does:     a thread whose state is RUNNING goes to the end of the queue; SLEEPING and DEAD ones go nowhere.
 * Returns:  when this thread is chosen again.
 */
void
schedule(void)
{
	bool on = irq_save();
	struct cpu *c = cpu_self();
	struct runq *rq = c->sched;
	struct thread *prev = c->thread, *next;

	if (c->nheld || c->in_irq)
		panic("sleep with %d spinlock(s) held, in %d interrupt(s)", c->nheld, c->in_irq);
	spin_lock(&rq->lock);
	c->need_resched = false;
	rq->preempt = false;
	next = queue_take(rq);
	if (!next && (prev->state == T_RUNNING || prev == rq->idle)) {
		nobody_else(rq, prev);
		irq_restore(on);
		return;
	}
	if (prev == rq->idle)
		prev->state = T_READY;
	else if (prev->state == T_RUNNING)
		queue_add(rq, prev);
	if (!next)
		next = rq->idle;
	switch_state(c, rq, prev, next);
	switch_stacks(&prev->rsp, next->rsp);
	prev = switch_finish();                  /* another CPU perhaps, and surely another `prev` */
	irq_restore(on);
	if (prev)
		reaper(prev);
}

/* Let the others run first. */
void
thread_yield(void)
{
	schedule();
}

/* Did the timer interrupt user code? Then its frame is the one on top of the kernel stack. */
static bool
user_interrupted(struct thread *t)
{
	return t->fpu && ((struct trapframe *)t->kstack - 1)->vector == VEC_TIMER;
}

static void
count_slice(struct runq *rq, struct thread *t)
{
	if (user_interrupted(t)) {
		t->user_ns += slice_ns;
		rq->user_ns += slice_ns;
	} else {
		t->sys_ns += slice_ns;
		rq->sys_ns += slice_ns;
	}
}

/* The slice timer, in interrupt context. */
static void
slice_over(void)
{
	struct runq *rq = cpu_self()->sched;

	spin_lock(&rq->lock);
	rq->slice_armed = false;
	if (rq->running != rq->idle) {
		count_slice(rq, rq->running);
		if (rq->nready > 0 && rq->slice_mark == rq->switches)
			cpu_self()->need_resched = rq->preempt = true;
		slice_arm(rq);
	}
	spin_unlock(&rq->lock);
}

/* On the way back to user mode: switch if the slice is over. */
static void
sched_user_return(struct trapframe *tf)
{
	(void)tf;
	irq_off();
	if (cpu_self()->need_resched) {
		cpu_self()->need_resched = false;
		if (((struct runq *)cpu_self()->sched)->preempt)
			schedule();
	}
	irq_on();
}

/* ---- sleep and wake ----
 *
 * The race that this protocol closes, in two columns:
 *
 *     sleeper                                    waker
 *     if (!condition)
 *                                                condition = true
 *                                                wake the sleeper: it is awake, nothing to do
 *         sleep                                  ... and nobody wakes it any more
 *
 * So the sleeper first says SLEEPING (thread_prepare_sleep), becomes findable, and only then looks at the
 * condition. A wake in between makes it RUNNING again, and thread_sleep returns at once.
 */

/* The current thread is about to sleep: between here and thread_sleep (or thread_cancel_sleep) a wake is not
 * lost. `interruptible`: thread_interrupt wakes it too. */
void
thread_prepare_sleep(bool interruptible)
{
	struct thread *t = current();

	t->intr_sleep = interruptible;
	__atomic_store_n(&t->state, T_SLEEPING, __ATOMIC_RELEASE);
	/* the caller's next lock operation orders this store before its look at the condition */
}

/* Sleep until woken; at once if woken since thread_prepare_sleep. */
void
thread_sleep(void)
{
	schedule();
}

/* Not to sleep after all. */
void
thread_cancel_sleep(void)
{
	__atomic_store_n(&current()->state, T_RUNNING, __ATOMIC_RELEASE);
}

/* Lock the queue of the CPU that t belongs to, which may change until we have it. */
static struct runq *
runq_lock_of(struct thread *t)
{
	for (;;) {
		int cpu = __atomic_load_n(&t->cpu, __ATOMIC_RELAXED);

		spin_lock(&runqs[cpu].lock);
		if (t->cpu == cpu)
			return &runqs[cpu];
		spin_unlock(&runqs[cpu].lock);
	}
}

/* Wake t if it sleeps (and, with `intr`, sleeps interruptibly). */
static bool
wake(struct thread *t, bool intr)
{
	struct runq *rq = runq_lock_of(t);
	int cpu = rq->cpu, target;
	uint32_t kick = 0;

	if (t->state != T_SLEEPING || (intr && !t->intr_sleep)) {
		spin_unlock(&rq->lock);
		return false;
	}
	if (rq->running == t) {                  /* has not gone yet: it will find itself awake */
		t->state = T_RUNNING;
		if (intr)
			cpus[cpu].thread_work = true;        /* no switch to it will look at t->intr */
		spin_unlock(&rq->lock);
		return true;
	}
	target = cpu_choose(cpu);
	if (target == cpu) {
		queue_add(rq, t);
		kick = queue_notify(rq);
	} else {
		t->state = T_READY;              /* in no queue, and nobody but us looks for it (I1) */
	}
	spin_unlock(&rq->lock);
	if (target != cpu)
		queue_put(t, target);
	else
		kick_all(kick);
	return true;
}

/* Wake a sleeping thread. From any context; the caller makes sure that t exists. Returns: false if it was
 * not sleeping. */
bool
thread_wake(struct thread *t)
{
	return wake(t, false);
}

/* There is a signal, or worse, for t: end an interruptible sleep, or let it notice on its way to user mode.
 * */
void
thread_interrupt(struct thread *t)
{
	int cpu;

	__atomic_store_n(&t->intr, true, __ATOMIC_SEQ_CST);
	if (wake(t, true))
		return;                          /* and may be gone */
	cpu = __atomic_load_n(&t->cpu, __ATOMIC_RELAXED);
	if (__atomic_load_n(&runqs[cpu].running, __ATOMIC_RELAXED) != t)
		return;                          /* the switch to it will look (switch_state) */
	cpus[cpu].thread_work = true;
	sched_kick(cpu);
}

struct sleep_timer {
	struct timer timer;
	struct thread *thread;
};

static void
sleep_timer_fire(struct timer *t)
{
	thread_wake(container_of(t, struct sleep_timer, timer)->thread);
}

/* Sleep once, until woken or until the deadline (0: none). After thread_prepare_sleep. May wake early. */
void
thread_sleep_timed(uint64_t deadline_ns)
{
	struct sleep_timer st;

	if (!deadline_ns) {
		schedule();
		return;
	}
	st.thread = current();
	timer_init(&st.timer, sleep_timer_fire);
	timer_arm(&st.timer, deadline_ns);
	schedule();
	timer_cancel(&st.timer);
}

/* Sleep until clock_ns() reaches the deadline (UINT64_MAX: for ever). Returns: 0; -ERESTARTSYS when
 * interrupted before. */
int
thread_sleep_until(uint64_t deadline_ns, bool interruptible)
{
	while (clock_ns() < deadline_ns) {
		thread_prepare_sleep(interruptible);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (interruptible && thread_interrupted()) {
			thread_cancel_sleep();
			return -ERESTARTSYS;
		}
		thread_sleep_timed(deadline_ns == UINT64_MAX ? 0 : deadline_ns);
	}
	return 0;
}

/* ---- CPUs ---- */

/* Take a thread from the queue of another CPU into ours. Interrupts off. Returns: false, they have none. */
static bool
steal(struct runq *rq)
{
	for (int i = 1; i < NCPU; i++) {
		struct runq *from = &runqs[(rq->cpu + i) % NCPU];
		struct thread *t;

		if (__atomic_load_n(&from->nready, __ATOMIC_RELAXED) == 0)
			continue;
		spin_lock(&from->lock);
		t = queue_take(from);
		spin_unlock(&from->lock);
		if (t) {
			queue_put(t, rq->cpu);
			return true;
		}
	}
	return false;
}

/* Become this CPU's idle thread: run what is ready, help others, else halt until an interrupt. */
_Noreturn void
sched_start_cpu(void)
{
	struct cpu *c = cpu_self();
	struct runq *rq = c->sched;

	for (;;) {
		irq_off();
		if (c->aspace && c->aspace->dying)
			aspace_switch(NULL);
		if (rq->nready == 0 && !steal(rq))
			cpu_idle();
		irq_on();
		schedule();
	}
}

static struct thread *
idle_new(int cpu)
{
	static char names[NCPU][8];
	struct thread *t = cpu == 0 ? &boot_idle : kzalloc(sizeof *t);

	if (!t)
		panic("no memory for the idle thread of cpu %d", cpu);
	memcpy(names[cpu], "idle/0", 7);
	names[cpu][5] = (char)('0' + cpu);
	t->name = names[cpu];
	t->state = T_RUNNING;
	t->mutex_rank = UINT32_MAX;
	t->cpu = cpu;
	t->start_ns = clock_ns();
	list_init(&t->run_link);
	list_init(&t->all_link);
	list_init(&t->proc_link);
	return t;
}

/* Give the calling CPU a run queue; the code that runs now becomes its idle thread. Once per CPU, interrupts
 * off or early. */
void
sched_init_cpu(void)
{
	struct cpu *c = cpu_self();
	struct runq *rq = &runqs[c->id];
	struct thread *t = idle_new(c->id);

	spin_init(&rq->lock, "runq", RANK(4, 5));
	list_init(&rq->ready);
	rq->cpu = c->id;
	rq->running = t;
	rq->fs_base = rdmsr(MSR_FS_BASE);
	rq->gs_base = rdmsr(MSR_KERNEL_GS_BASE);
	c->sched = rq;
	c->idle = t;
	c->thread = t;
	__atomic_store_n(&rq->idle, t, __ATOMIC_RELEASE);
}

/* ---- numbers for /proc ---- */

/* CPU time of a thread: exact in the sum, split by samples. */
void
thread_times(struct thread *t, uint64_t *user_ns, uint64_t *sys_ns)
{
	uint64_t now = clock_ns(), run = t->run_ns;

	if (t->state == T_RUNNING && now > t->start_ns)
		run += now - t->start_ns;
	*sys_ns = t->sys_ns < run ? t->sys_ns : run;
	*user_ns = run - *sys_ns;
}

/* Nanoseconds that the CPU has idled. */
uint64_t
sched_idle_ns(int cpu)
{
	struct runq *rq = &runqs[cpu];
	uint64_t ns = 0;

	if (!rq->idle)
		return 0;
	spin_lock(&rq->lock);
	ns = rq->idle->run_ns;
	if (rq->running == rq->idle)
		ns += clock_ns() - rq->idle->start_ns;
	spin_unlock(&rq->lock);
	return ns;
}

/* Nanoseconds that the CPU has run user and kernel code, in whole slices. */
void
sched_busy_ns(int cpu, uint64_t *user_ns, uint64_t *sys_ns)
{
	*user_ns = __atomic_load_n(&runqs[cpu].user_ns, __ATOMIC_RELAXED);
	*sys_ns = __atomic_load_n(&runqs[cpu].sys_ns, __ATOMIC_RELAXED);
}

uint64_t
sched_switches(void)
{
	uint64_t n = 0;

	for (int i = 0; i < NCPU; i++)
		n += __atomic_load_n(&runqs[i].switches, __ATOMIC_RELAXED);
	return n;
}

static int
count_runnable(void)
{
	int n = 0;

	for (int i = 0; i < NCPU; i++)
		if (runqs[i].idle)
			n += runqs[i].nready + (runqs[i].running != runqs[i].idle);
	return n;
}

static uint64_t loadavg[3];           /* 16.16; guarded by load_lock */
static uint64_t load_time;
static struct spinlock load_lock = SPINLOCK("loadavg", RANK(4, 14));

/* How many threads want a CPU: now (returned), and averaged over 1, 5 and 15 minutes in 16.16 fixed point.
 * The averages are brought up to date when asked for: nothing ticks for them. Each 5 seconds that have
 * passed move an average towards the present number by the factor that Linux uses (e^(-5/60), e^(-5/300),
 * e^(-5/900), in 1/2048). */
int
sched_loadavg(uint64_t avg[3])
{
	static const uint64_t factor[3] = { 1884, 2014, 2037 };
	int now = count_runnable();
	uint64_t periods, others = now > 0 ? now - 1 : 0;        /* the asker does not count */

	spin_lock(&load_lock);
	periods = (clock_ns() - load_time) / LOAD_PERIOD_NS;
	load_time += periods * LOAD_PERIOD_NS;
	for (uint64_t n = periods < 1000 ? periods : 1000; n > 0; n--)
		for (int i = 0; i < 3; i++)
			loadavg[i] = (loadavg[i] * factor[i] + (others << 16) * (2048 - factor[i])) >> 11;
	for (int i = 0; i < 3; i++)
		avg[i] = loadavg[i];
	spin_unlock(&load_lock);
	return now;
}

/* The kernel word slice=: how long a thread may run while others wait, 100 to 1000000 microseconds. */
static void
slice_init(void)
{
	char word[8];
	uint64_t us = 0;

	if (cmdline_get("slice", word, sizeof word) <= 0)
		return;
	for (int i = 0; word[i] >= '0' && word[i] <= '9'; i++)
		us = us * 10 + (uint64_t)(word[i] - '0');
	if (us >= 100 && us <= 1000000)
		slice_ns = us * 1000;
}

static void
sched_init(void)
{
	slice_init();
	sched_init_cpu();
	clock_set_slice_hook(slice_over);
	user_return_register(sched_user_return);
}

INITCALL(4, sched_init);
