/* sysproc.c - the remaining system calls of a process: ending, limits, names, the machine.     (lab 4) */
#include "kern/boot/initcall.h"
#include "kern/mem/page.h"
#include "kern/proc/proc.h"
#include "kern/proc/random.h"
#include "kern/proc/sched.h"
#include "kern/trap/apic.h"
#include "kern/trap/clock.h"
#include "kern/trap/syscall.h"
#include "kern/trap/usercopy.h"
#include "lib/abi/errno.h"
#include "lib/abi/mman.h"
#include "lib/abi/reboot.h"
#include "lib/abi/sched.h"
#include "lib/abi/sysinfo.h"
#include "lib/abi/utsname.h"
#include "lib/abi/wait.h"
#include "lib/kern/string.h"

static long
sys_exit(int code)
{
	proc_leave(W_EXITCODE(code & 0xff, 0));
}

static long
sys_exit_group(int code)
{
	proc_exit(W_EXITCODE(code & 0xff, 0));
}

static long
sys_sched_yield(void)
{
	thread_yield();
	return 0;
}

/* ---- limits ---- */

/* Read and, with `new`, replace a limit. Only root raises a hard one. */
static int
limit_change(struct proc *p, uint32_t which, const struct rlimit *new, struct rlimit *old)
{
	int err = 0;

	if (which >= RLIM_NLIMITS || (new && new->rlim_cur > new->rlim_max))
		return -EINVAL;
	spin_lock(&p->lock);
	*old = p->rlim[which];
	if (new && new->rlim_max > old->rlim_max && current_proc()->cred.euid != 0)
		err = -EPERM;
	else if (new)
		p->rlim[which] = *new;
	spin_unlock(&p->lock);
	return err;
}

static long
sys_prlimit64(int pid, uint32_t which, uint64_t unew, uint64_t uold)
{
	struct rlimit new, old;
	struct proc *p;
	int err;

	if (unew && copyin(&new, unew, sizeof new))
		return -EFAULT;
	p = pid == 0 ? proc_get(current_proc()) : proc_find(pid);
	if (!p)
		return -ESRCH;
	if (p != current_proc() && current_proc()->cred.euid != 0 && current_proc()->cred.uid != p->cred.uid)
		err = -EPERM;
	else
		err = limit_change(p, which, unew ? &new : NULL, &old);
	proc_put(p);
	if (!err && uold && copyout(uold, &old, sizeof old))
		err = -EFAULT;
	return err;
}

static long
sys_getrlimit(uint32_t which, uint64_t uold)
{
	struct rlimit old;
	int err = limit_change(current_proc(), which, NULL, &old);

	return err ? err : copyout(uold, &old, sizeof old);
}

static long
sys_setrlimit(uint32_t which, uint64_t unew)
{
	return sys_prlimit64(0, which, unew, 0);
}

static long
sys_umask(uint32_t mask)
{
	return __atomic_exchange_n(&current_proc()->umask, mask & 0777, __ATOMIC_RELAXED);
}

/* Priorities are remembered, not obeyed: the scheduler knows one class. As the raw call: 20 - nice. */
static long
sys_getpriority(int which, int who)
{
	struct proc *p = which == PRIO_PROCESS && who ? proc_find(who) : proc_get(current_proc());
	long r;

	if (which < PRIO_PROCESS || which > PRIO_USER || !p) {
		if (p)
			proc_put(p);
		return p ? -EINVAL : -ESRCH;
	}
	r = 20 - p->nice;
	proc_put(p);
	return r;
}

static long
sys_setpriority(int which, int who, int nice)
{
	struct proc *p = which == PRIO_PROCESS && who ? proc_find(who) : proc_get(current_proc());
	int err = 0;

	if (!p)
		return -ESRCH;
	nice = nice < -20 ? -20 : nice > 19 ? 19 : nice;
	if (which < PRIO_PROCESS || which > PRIO_USER)
		err = -EINVAL;
	else if (nice < p->nice && current_proc()->cred.euid != 0)
		err = -EACCES;
	else
		p->nice = nice;
	proc_put(p);
	return err;
}

/* ---- the thread ---- */

static long
sys_arch_prctl(int code, uint64_t addr)
{
	struct thread *t = current();

	if ((code == ARCH_SET_FS || code == ARCH_SET_GS) && addr >= USER_END)
		return -EPERM;
	switch (code) {
	case ARCH_SET_FS:
		thread_set_tls(addr, t->gs_base);
		return 0;
	case ARCH_SET_GS:
		thread_set_tls(t->fs_base, addr);
		return 0;
	case ARCH_GET_FS:
		return copyout(addr, &t->fs_base, sizeof t->fs_base);
	case ARCH_GET_GS:
		return copyout(addr, &t->gs_base, sizeof t->gs_base);
	default:
		return -EINVAL;
	}
}

static long
sys_prctl(int what, uint64_t arg)
{
	struct proc *p = current_proc();
	char name[16] = "";
	long n;

	switch (what) {
	case PR_SET_NAME:
		n = copyinstr(name, arg, sizeof name);
		if (n == -EFAULT)
			return n;
		name[15] = '\0';
		spin_lock(&p->lock);
		memcpy(p->name, name, sizeof name);
		spin_unlock(&p->lock);
		return 0;
	case PR_GET_NAME:
		return copyout(arg, p->name, sizeof p->name);
	case PR_GET_DUMPABLE:
		return 1;
	case PR_SET_DUMPABLE:
		return arg <= 1 ? 0 : -EINVAL;
	default:
		return -EINVAL;
	}
}

static long
sys_sched_getaffinity(int pid, uint64_t size, uint64_t umask)
{
	uint64_t mask = (1ul << ncpus) - 1;

	if (size < sizeof mask || size % sizeof mask)
		return -EINVAL;
	if (pid != 0) {
		struct proc *p = proc_find(pid);

		if (!p)
			return -ESRCH;
		proc_put(p);
	}
	return copyout(umask, &mask, sizeof mask) ? -EFAULT : (long)sizeof mask;
}

static long
sys_getcpu(uint64_t ucpu, uint64_t unode)
{
	uint32_t cpu = __atomic_load_n(&current()->cpu, __ATOMIC_RELAXED);

	if (ucpu && store_user32(ucpu, cpu))
		return -EFAULT;
	return unode ? store_user32(unode, 0) : 0;
}

static long
sys_getrandom(uint64_t ubuf, uint64_t n, uint32_t flags)
{
	uint8_t buf[256];
	uint64_t done = 0;

	if (flags & ~7u)
		return -EINVAL;
	if (n > INT32_MAX)
		n = INT32_MAX;
	while (done < n && !(done && current()->intr)) {
		uint64_t part = n - done < sizeof buf ? n - done : sizeof buf;

		random_bytes(buf, part);
		if (copyout(ubuf + done, buf, part))
			return done ? (long)done : -EFAULT;
		done += part;
	}
	return done;
}

/* Memory until lab 5: the break moves up and down, all pages at once. Returns: the break, changed or not. */
static long
sys_brk(uint64_t want)
{
	struct aspace *as = current()->as;
	uint64_t from = PAGE_UP(as->brk), to = PAGE_UP(want);

	if (want < as->brk_start || want > as->brk_start + (1ul << 30))
		return as->brk;
	if (to > from && aspace_map(as, from, to - from, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, NULL, 0, 0))
		return as->brk;
	as->brk = want > as->brk || to == from ? want : as->brk;
	return as->brk;
}

/* ---- the machine ---- */

static struct spinlock uts_lock = SPINLOCK("uts", RANK(4, 3));
static struct utsname uts = { .sysname = "Linux", .nodename = "eclipse", .release = "6.1.0-eclipse",
	.version = "#1 SMP Eclipse", .machine = "x86_64", .domainname = "(none)" };

void
proc_uname(struct utsname *out)
{
	spin_lock(&uts_lock);
	*out = uts;
	spin_unlock(&uts_lock);
}

static long
sys_uname(uint64_t ubuf)
{
	struct utsname u;

	proc_uname(&u);
	return copyout(ubuf, &u, sizeof u);
}

static long
sys_sethostname(uint64_t uname, uint64_t n)
{
	char name[UTSNAME_LENGTH] = "";

	if (current_proc()->cred.euid != 0)
		return -EPERM;
	if (n >= sizeof name)
		return -EINVAL;
	if (copyin(name, uname, n))
		return -EFAULT;
	spin_lock(&uts_lock);
	memcpy(uts.nodename, name, sizeof name);
	spin_unlock(&uts_lock);
	return 0;
}

static long
sys_sysinfo(uint64_t ubuf)
{
	struct sysinfo si;

	memset(&si, 0, sizeof si);
	si.uptime = clock_ns() / NSEC;
	sched_loadavg(si.loads);
	si.totalram = page_count_total() * PAGE_SIZE;
	si.freeram = page_count_free() * PAGE_SIZE;
	si.procs = proc_count();
	si.mem_unit = 1;
	return copyout(ubuf, &si, sizeof si);
}

static long
sys_reboot(uint32_t magic1, uint32_t magic2, uint32_t cmd)
{
	if (current_proc()->cred.euid != 0)
		return -EPERM;
	if (magic1 != LINUX_REBOOT_MAGIC1)
		return -EINVAL;
	if (magic2 != LINUX_REBOOT_MAGIC2 && magic2 != LINUX_REBOOT_MAGIC2A && magic2 != LINUX_REBOOT_MAGIC2B &&
	    magic2 != LINUX_REBOOT_MAGIC2C)
		return -EINVAL;
	switch (cmd) {
	case LINUX_REBOOT_CMD_POWER_OFF:
		machine_poweroff();
	case LINUX_REBOOT_CMD_RESTART:
	case LINUX_REBOOT_CMD_RESTART2:
		machine_reboot();
	case LINUX_REBOOT_CMD_HALT:
		machine_halt();
	case LINUX_REBOOT_CMD_CAD_ON:
	case LINUX_REBOOT_CMD_CAD_OFF:
		return 0;
	default:
		return -EINVAL;
	}
}

static long
sys_personality(uint64_t p)
{
	return p == 0 || (uint32_t)p == UINT32_MAX ? 0 : -EINVAL;
}

static void
sysproc_init(void)
{
	SYSCALL_REG(exit, sys_exit);
	SYSCALL_REG(exit_group, sys_exit_group);
	SYSCALL_REG(sched_yield, sys_sched_yield);
	SYSCALL_REG(prlimit64, sys_prlimit64);
	SYSCALL_REG(getrlimit, sys_getrlimit);
	SYSCALL_REG(setrlimit, sys_setrlimit);
	SYSCALL_REG(umask, sys_umask);
	SYSCALL_REG(getpriority, sys_getpriority);
	SYSCALL_REG(setpriority, sys_setpriority);
	SYSCALL_REG(arch_prctl, sys_arch_prctl);
	SYSCALL_REG(prctl, sys_prctl);
	SYSCALL_REG(sched_getaffinity, sys_sched_getaffinity);
	SYSCALL_REG(getcpu, sys_getcpu);
	SYSCALL_REG(getrandom, sys_getrandom);
	SYSCALL_REG(brk, sys_brk);
	SYSCALL_REG(uname, sys_uname);
	SYSCALL_REG(sethostname, sys_sethostname);
	SYSCALL_REG(sysinfo, sys_sysinfo);
	SYSCALL_REG(reboot, sys_reboot);
	SYSCALL_REG(personality, sys_personality);
}

INITCALL(4, sysproc_init);
