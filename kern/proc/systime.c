/* systime.c - system calls about time: clocks, sleeping, what was used.                        (lab 4) */
#include "kern/boot/initcall.h"
#include "kern/proc/proc.h"
#include "kern/proc/sched.h"
#include "kern/trap/clock.h"
#include "kern/trap/syscall.h"
#include "kern/trap/usercopy.h"
#include "lib/abi/errno.h"
#include "lib/abi/time.h"
#include "lib/kern/string.h"

#define MAX_SEC (INT64_MAX / (int64_t)NSEC)
#define TICK_NS (NSEC / 100)          /* times(2) counts hundredths of seconds, as AT_CLKTCK says */

static struct timespec
ns_timespec(uint64_t ns)
{
	return (struct timespec){ ns / NSEC, ns % NSEC };
}

static struct timeval
ns_timeval(uint64_t ns)
{
	return (struct timeval){ ns / NSEC, ns % NSEC / 1000 };
}

/* CPU time of the current thread, now. */
static uint64_t
thread_ns(void)
{
	bool on = irq_save();
	uint64_t ns = current()->run_ns + clock_ns() - current()->start_ns;

	irq_restore(on);
	return ns;
}

static int
clock_read(int clock, uint64_t *ns)
{
	uint64_t u, s;

	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
		*ns = clock_wall_ns();
		return 0;
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_BOOTTIME:
		*ns = clock_ns();
		return 0;
	case CLOCK_PROCESS_CPUTIME_ID:
		proc_times(current_proc(), &u, &s);
		*ns = u + s;
		return 0;
	case CLOCK_THREAD_CPUTIME_ID:
		*ns = thread_ns();
		return 0;
	default:
		return -EINVAL;
	}
}

static long
sys_clock_gettime(int clock, uint64_t uts)
{
	struct timespec ts;
	uint64_t ns;
	int err = clock_read(clock, &ns);

	if (err)
		return err;
	ts = ns_timespec(ns);
	return copyout(uts, &ts, sizeof ts);
}

static long
sys_clock_getres(int clock, uint64_t uts)
{
	bool coarse = clock == CLOCK_REALTIME_COARSE || clock == CLOCK_MONOTONIC_COARSE;
	struct timespec ts = { 0, coarse ? 4000000 : 1 };
	uint64_t ns;

	if (clock_read(clock, &ns))
		return -EINVAL;
	return uts ? copyout(uts, &ts, sizeof ts) : 0;
}

static long
sys_clock_settime(int clock, uint64_t uts)
{
	struct timespec ts;

	if (clock != CLOCK_REALTIME)
		return -EINVAL;
	if (copyin(&ts, uts, sizeof ts))
		return -EFAULT;
	if (ts.tv_sec < 0 || ts.tv_sec > MAX_SEC || (uint64_t)ts.tv_nsec >= NSEC)
		return -EINVAL;
	if (current_proc()->cred.euid != 0)
		return -EPERM;
	clock_wall_set(ts.tv_sec * NSEC + ts.tv_nsec);
	return 0;
}

static long
sys_gettimeofday(uint64_t utv, uint64_t utz)
{
	struct timeval tv = ns_timeval(clock_wall_ns());
	struct timezone tz = { 0, 0 };

	if (utv && copyout(utv, &tv, sizeof tv))
		return -EFAULT;
	return utz ? copyout(utz, &tz, sizeof tz) : 0;
}

static long
sys_settimeofday(uint64_t utv, uint64_t utz)
{
	struct timeval tv;

	(void)utz;
	if (current_proc()->cred.euid != 0)
		return -EPERM;
	if (!utv)
		return 0;
	if (copyin(&tv, utv, sizeof tv))
		return -EFAULT;
	if (tv.tv_sec < 0 || tv.tv_sec > MAX_SEC || (uint64_t)tv.tv_usec >= 1000000)
		return -EINVAL;
	clock_wall_set(tv.tv_sec * NSEC + tv.tv_usec * 1000);
	return 0;
}

static long
sys_time(uint64_t ut)
{
	int64_t t = clock_wall_ns() / NSEC;

	return ut && copyout(ut, &t, sizeof t) ? -EFAULT : t;
}

static long
sys_times(uint64_t ubuf)
{
	struct proc *p = current_proc();
	struct tms t;
	uint64_t u, s;

	proc_times(p, &u, &s);
	t = (struct tms){ u / TICK_NS, s / TICK_NS, p->cutime_ns / TICK_NS, p->cstime_ns / TICK_NS };
	return ubuf && copyout(ubuf, &t, sizeof t) ? -EFAULT : (long)(clock_ns() / TICK_NS);
}

/* ---- sleeping ---- */

/* Sleep until `deadline` of clock_ns(). A relative sleep that a signal interrupts tells in *urem what was
 * left, and can be gone on with: lab 11 then calls it again with t->restarting set. */
static long
sleep_relative(uint64_t deadline, uint64_t urem)
{
	struct thread *t = current();
	struct timespec rem;
	uint64_t now;

	if (t->restarting)
		deadline = t->restart_deadline;
	t->restarting = false;
	if (thread_sleep_until(deadline, true) == 0)
		return 0;
	t->restart_deadline = deadline;
	now = clock_ns();
	rem = ns_timespec(deadline > now ? deadline - now : 0);
	if (urem && copyout(urem, &rem, sizeof rem))
		return -EFAULT;
	return -ERESTART_RESTARTBLOCK;
}

/* Sleep until a clock shows `when`; the wall clock may be set meanwhile, so look at it again now and then. */
static long
sleep_absolute(int clock, uint64_t when)
{
	uint64_t now, step;

	while (clock_read(clock, &now) == 0 && now < when) {
		step = when - now < NSEC || clock == CLOCK_MONOTONIC ? when - now : NSEC;
		if (thread_sleep_until(clock_ns() + step, true))
			return -ERESTARTNOHAND;
	}
	return 0;
}

static long
sys_clock_nanosleep(int clock, int flags, uint64_t ureq, uint64_t urem)
{
	struct timespec ts;
	uint64_t ns, now;

	if (clock == CLOCK_THREAD_CPUTIME_ID || clock_read(clock, &now))
		return -EINVAL;
	if (copyin(&ts, ureq, sizeof ts))
		return -EFAULT;
	if (ts.tv_sec < 0 || (uint64_t)ts.tv_nsec >= NSEC)
		return -EINVAL;
	ns = ts.tv_sec >= MAX_SEC / 2 ? (uint64_t)INT64_MAX / 2 : ts.tv_sec * NSEC + ts.tv_nsec;
	if (flags & TIMER_ABSTIME)
		return sleep_absolute(clock, ns);
	return sleep_relative(clock_ns() + ns, urem);
}

static long
sys_nanosleep(uint64_t ureq, uint64_t urem)
{
	return sys_clock_nanosleep(CLOCK_MONOTONIC, 0, ureq, urem);
}

/* ---- usage ---- */

static long
sys_getrusage(int who, uint64_t uru)
{
	struct proc *p = current_proc();
	struct rusage ru;
	uint64_t u, s;

	memset(&ru, 0, sizeof ru);
	if (who == RUSAGE_CHILDREN) {
		u = p->cutime_ns;
		s = p->cstime_ns;
	} else if (who == RUSAGE_SELF || who == RUSAGE_THREAD) {
		proc_times(p, &u, &s);
		ru.ru_maxrss = p->as->rss * 4;
		ru.ru_minflt = p->minflt;
		ru.ru_majflt = p->majflt;
		ru.ru_nvcsw = current()->nswitch;
	} else {
		return -EINVAL;
	}
	ru.ru_utime = ns_timeval(u);
	ru.ru_stime = ns_timeval(s);
	return copyout(uru, &ru, sizeof ru);
}

static void
systime_init(void)
{
	SYSCALL_REG(clock_gettime, sys_clock_gettime);
	SYSCALL_REG(clock_getres, sys_clock_getres);
	SYSCALL_REG(clock_settime, sys_clock_settime);
	SYSCALL_REG(gettimeofday, sys_gettimeofday);
	SYSCALL_REG(settimeofday, sys_settimeofday);
	SYSCALL_REG(time, sys_time);
	SYSCALL_REG(times, sys_times);
	SYSCALL_REG(nanosleep, sys_nanosleep);
	SYSCALL_REG(clock_nanosleep, sys_clock_nanosleep);
	SYSCALL_REG(getrusage, sys_getrusage);
}

INITCALL(4, systime_init);
