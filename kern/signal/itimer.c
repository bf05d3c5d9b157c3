/* itimer.c - a process's alarm clock: setitimer(ITIMER_REAL) and alarm.                        (lab 11)
 *
 * Idea.       One timer per process; when it fires it sends SIGALRM and, with an interval, arms itself again.
 *             ITIMER_VIRTUAL and ITIMER_PROF would need a tick while a thread runs; this system has none.
 * Locks.      p->lock guards deadline and interval; the timer itself is armed and cancelled by the process's
 *             threads.
 */
#include "kern/boot/initcall.h"
#include "kern/signal/signal.h"
#include "kern/trap/syscall.h"
#include "kern/trap/usercopy.h"
#include "lib/abi/errno.h"
#include "lib/abi/time.h"
#include "lib/kern/list.h"

#define MAX_SEC 1000000000l           /* thirty years */
#define MIN_INTERVAL (NSEC / 2000)    /* between two firings: a faster timer would leave no time for others */

static void
itimer_fire(struct timer *t)
{
	struct sigstate *s = container_of(t, struct sigstate, real);
	struct proc *p = s->proc;
	uint64_t next = 0;

	spin_lock(&p->lock);
	if (s->real_deadline && s->real_interval)
		next = s->real_deadline + s->real_interval;
	if (next && next < clock_ns() + MIN_INTERVAL)
		next = clock_ns() + (s->real_interval > MIN_INTERVAL ? s->real_interval : MIN_INTERVAL);
	s->real_deadline = next;
	spin_unlock(&p->lock);
	if (next)
		timer_arm(t, next);
	signal_send(p, NULL, SIGALRM, NULL);
}

void
itimer_init(struct sigstate *s)
{
	timer_init(&s->real, itimer_fire);
}

void
itimer_cancel(struct sigstate *s)
{
	spin_lock(&s->proc->lock);
	s->real_deadline = s->real_interval = 0;
	spin_unlock(&s->proc->lock);
	timer_cancel(&s->real);
	/* a firing that had looked before we stored 0 may have armed it again */
	timer_cancel(&s->real);
}

/* What is left of it, and its interval. */
static void
itimer_read(struct sigstate *s, uint64_t *left, uint64_t *interval)
{
	uint64_t now = clock_ns();

	spin_lock(&s->proc->lock);
	*interval = s->real_interval;
	*left = s->real_deadline > now ? s->real_deadline - now : s->real_deadline ? 1000 : 0;
	spin_unlock(&s->proc->lock);
}

static void
itimer_write(struct sigstate *s, uint64_t value, uint64_t interval)
{
	uint64_t deadline = value ? clock_ns() + value : 0;

	itimer_cancel(s);
	spin_lock(&s->proc->lock);
	s->real_deadline = deadline;
	s->real_interval = interval;
	spin_unlock(&s->proc->lock);
	if (deadline)
		timer_arm(&s->real, deadline);
}

static int
timeval_ns(const struct timeval *tv, uint64_t *ns)
{
	if (tv->tv_sec < 0 || tv->tv_usec < 0 || tv->tv_usec >= 1000000)
		return -EINVAL;
	*ns = (tv->tv_sec > MAX_SEC ? MAX_SEC : tv->tv_sec) * NSEC + tv->tv_usec * 1000;
	return 0;
}

static struct timeval
ns_timeval(uint64_t ns)
{
	return (struct timeval){ ns / NSEC, ns % NSEC / 1000 };
}

static long
sys_getitimer(int which, uint64_t ucur)
{
	struct itimerval it;
	uint64_t left, interval;

	if (which != ITIMER_REAL)
		return -EINVAL;
	itimer_read(sigstate(current_proc()), &left, &interval);
	it = (struct itimerval){ ns_timeval(interval), ns_timeval(left) };
	return copyout(ucur, &it, sizeof it);
}

static long
sys_setitimer(int which, uint64_t unew, uint64_t uold)
{
	struct itimerval it = { 0 };
	uint64_t value, interval, left, old_interval;

	if (which != ITIMER_REAL)
		return -EINVAL;
	if (unew && copyin(&it, unew, sizeof it))
		return -EFAULT;
	if (timeval_ns(&it.it_value, &value) || timeval_ns(&it.it_interval, &interval))
		return -EINVAL;
	itimer_read(sigstate(current_proc()), &left, &old_interval);
	itimer_write(sigstate(current_proc()), value, interval);
	it = (struct itimerval){ ns_timeval(old_interval), ns_timeval(left) };
	return uold ? copyout(uold, &it, sizeof it) : 0;
}

/* Returns: seconds that the old alarm had left, rounded, but never 0 if there was one. */
static long
sys_alarm(uint32_t seconds)
{
	uint64_t left, interval;

	itimer_read(sigstate(current_proc()), &left, &interval);
	itimer_write(sigstate(current_proc()), seconds * NSEC, 0);
	return left == 0 ? 0 : left < NSEC ? 1 : (long)((left + NSEC / 2) / NSEC);
}

static void
itimer_setup(void)
{
	SYSCALL_REG(getitimer, sys_getitimer);
	SYSCALL_REG(setitimer, sys_setitimer);
	SYSCALL_REG(alarm, sys_alarm);
}

INITCALL(11, itimer_setup);
