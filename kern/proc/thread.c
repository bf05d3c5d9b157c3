/* thread.c - threads come and go.                                                              (lab 4)
 *
 * Idea.       A new thread's stack is built to look as if it had once called switch_stacks: the first switch
 *             to it "returns" into thread_first.
 *
 *                 kstack top ->  | user frame (user threads only) |
 *                                | 0 (end of backtraces)          |
 *                                | address of thread_first        |
 *                 rsp ->         | six zero registers             |
 *
 *             A thread cannot free the stack it stands on: the next thread to run on that CPU does
 *             (thread_free).
 * Interface.  thread_create, thread_create_user, thread_start; thread_exit; thread_each.
 * Invariants. I1 every thread but the idle ones is in all_threads from creation to thread_free.
 * Locks.      threads_lock: the list, and t->proc of a thread that leaves.
 */
#include "kern/proc/thread.h"
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "kern/mem/pagetable.h"
#include "kern/proc/sched.h"
#include "lib/kern/string.h"

#define SWITCH_WORDS 6                /* what switch_stacks pops before it returns */

/* A user thread and its FPU area in one piece. */
struct user_thread {
	struct thread t;
	struct fpu fpu;
};

static struct spinlock threads_lock = SPINLOCK("threads", RANK(4, 8));
static struct list all_threads = LIST_INIT(all_threads);

/* Where a new thread begins. */
static _Noreturn void
thread_first(void)
{
	struct thread *t = current();

	sched_first_step();
	if (t->fn) {
		t->fn(t->arg);
		thread_exit();
	}
	irq_off();
	trap_return(thread_frame(t));
}

/* Common part: tid, stack, lists. `t` is zeroed. Returns: false when out of memory or tids. */
static bool
thread_setup(struct thread *t, const char *name, int tid, size_t frame)
{
	uint64_t *sp;

	t->tid = tid ? tid : tid_alloc();
	if (t->tid < 0)
		return false;
	t->kstack = (uint64_t)kstack_alloc();
	if (!t->kstack) {
		if (!tid)
			tid_free(t->tid);
		return false;
	}
	t->name = name;
	t->state = T_READY;
	t->mutex_rank = UINT32_MAX;
	t->cpu = cpu_self()->id;
	list_init(&t->run_link);
	list_init(&t->proc_link);
	sp = (uint64_t *)(t->kstack - (frame + 15) / 16 * 16);
	*--sp = 0;
	*--sp = 0;                            /* keeps rsp = 8 mod 16 at a function's entry */
	*--sp = (uint64_t)thread_first;
	for (int i = 0; i < SWITCH_WORDS; i++)
		*--sp = 0;
	t->rsp = (uint64_t)sp;
	spin_lock(&threads_lock);
	list_push_back(&all_threads, &t->all_link);
	spin_unlock(&threads_lock);
	return true;
}

/* A kernel thread that will run fn(arg) and end when it returns. Not queued: thread_start. Returns: NULL: no
 * memory. */
struct thread *
thread_create(const char *name, void (*fn)(void *), void *arg)
{
	struct thread *t = kzalloc(sizeof *t);

	if (!t)
		return NULL;
	t->fn = fn;
	t->arg = arg;
	if (!thread_setup(t, name, 0, 0)) {
		kfree(t);
		return NULL;
	}
	return t;
}

/* A user thread that begins with the registers in *tf; tid 0: takes a new one. Not queued, in no process
 * yet. */
struct thread *
thread_create_user(const char *name, int tid, const struct trapframe *tf)
{
	struct user_thread *u = kzalloc(sizeof *u);

	if (!u)
		return NULL;
	u->t.fpu = &u->fpu;
	if (!thread_setup(&u->t, name, tid, sizeof *tf)) {
		kfree(u);
		return NULL;
	}
	fpu_fresh(&u->fpu);
	*thread_frame(&u->t) = *tf;
	return &u->t;
}

/* Let it run. */
void
thread_start(struct thread *t)
{
	thread_enqueue(t);
}

/* Free a thread that no CPU runs and that is in no queue. A process's main thread leaves the number to the
 * process. */
static void
thread_free(struct thread *t)
{
	spin_lock(&threads_lock);
	list_remove(&t->all_link);
	spin_unlock(&threads_lock);
	kstack_free((void *)t->kstack);
	kfree(t);
}

/* Undo thread_create*, of a thread that was never started. A user thread's tid is its process's business. */
void
thread_destroy(struct thread *t)
{
	if (t->fn)
		tid_free(t->tid);
	thread_free(t);
}

/* The current thread leaves its process: from now on thread_each shows it as a kernel thread. */
void
thread_detach(void)
{
	spin_lock(&threads_lock);
	current()->proc = NULL;
	spin_unlock(&threads_lock);
}

/* The current thread ends. Requires: no locks held; a user thread has left its process (proc_leave). */
_Noreturn void
thread_exit(void)
{
	struct thread *t = current();

	assert(t->nmutex == 0);
	if (t->fn)
		tid_free(t->tid);
	irq_off();
	t->state = T_DEAD;
	schedule();
	panic("a dead thread runs");
}

/* The user registers, at the top of the kernel stack: valid while the thread is in a slow system call or a
 * trap. */
struct trapframe *
thread_frame(struct thread *t)
{
	assert(t->fpu);
	return (struct trapframe *)t->kstack - 1;
}

/* Call fn for every thread, under threads_lock: fn must neither sleep nor take a lock of this lab or above.
 * */
void
thread_each(void (*fn)(struct thread *t, void *arg), void *arg)
{
	spin_lock(&threads_lock);
	list_for_each(t, &all_threads, struct thread, all_link)
		fn(t, arg);
	spin_unlock(&threads_lock);
}

static void
thread_init(void)
{
	sched_set_reaper(thread_free);
}

INITCALL(4, thread_init);
