/* sched.h - who runs next: one run queue per CPU.                                            (lab 4)
 * Contracts are above the functions in sched.c. */
#ifndef KERN_PROC_SCHED_H
#define KERN_PROC_SCHED_H

#include "kern/proc/thread.h"

/* give up the CPU; returns when chosen again. No spinlock held; asserts */
void schedule(void);
void thread_yield(void);
/* Sleep until thread_wake. Protocol (waitq.h does it for you): thread_prepare_sleep, check the condition,
 * thread_sleep. */
void thread_prepare_sleep(bool interruptible);
void thread_sleep(void);                         /* returns at once if woken since thread_prepare_sleep */
void thread_cancel_sleep(void);
bool thread_wake(struct thread *t);              /* from any context; false: it was not sleeping */
void thread_interrupt(struct thread *t);         /* set intr and end an interruptible sleep */
void thread_sleep_timed(uint64_t deadline_ns);   /* thread_sleep, but not beyond the deadline (0: none) */
/* 0: time came; -EINTR-like -ERESTARTSYS when interrupted */
int  thread_sleep_until(uint64_t deadline_ns, bool interruptible);

void thread_set_tls(uint64_t fs, uint64_t gs);   /* of the current thread */
void thread_enqueue(struct thread *t);           /* thread.c: a new thread may run from now on */
void sched_first_step(void);                     /* thread.c: what a new thread does first */
/* thread.c: frees a dead thread, on the next one's stack */
void sched_set_reaper(void (*fn)(struct thread *t));

/* run queue and idle thread of the calling CPU (boot CPU: by INITCALL) */
void sched_init_cpu(void);
/* become this CPU's idle thread (lab 13's CPUs; the boot CPU from main) */
_Noreturn void sched_start_cpu(void);
/* lab 13: interrupt another CPU: it looks at its queue if idle or going to user mode */
void sched_set_kick(void (*fn)(int cpu));
void sched_kick(int cpu);                        /* call it; nothing without lab 13 or for this CPU */
uint64_t sched_idle_ns(int cpu);                 /* time this CPU was idle: /proc/stat */
void sched_busy_ns(int cpu, uint64_t *user_ns, uint64_t *sys_ns);    /* the rest of its time, sampled */
uint64_t sched_switches(void);
void thread_times(struct thread *t, uint64_t *user_ns, uint64_t *sys_ns);
/* runnable threads, 1/5/15 min, fixed point 16.16; returns running+ready now */
int  sched_loadavg(uint64_t avg[3]);
/* Call fn for every thread, under the list's lock: fn must not sleep or lock above it. */
void thread_each(void (*fn)(struct thread *t, void *arg), void *arg);

#endif
