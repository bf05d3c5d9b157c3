/* syscred.c - system calls about who a process is: pids, groups, sessions, users.              (lab 4) */
#include "kern/boot/initcall.h"
#include "kern/proc/proc.h"
#include "kern/trap/syscall.h"
#include "kern/trap/usercopy.h"
#include "lib/abi/errno.h"

/* ---- processes ---- */

static long sys_getpid(void) { return current_proc()->pid; }
static long sys_gettid(void) { return current()->tid; }

static long
sys_getppid(void)
{
	struct proc *parent = __atomic_load_n(&current_proc()->parent, __ATOMIC_RELAXED);

	return parent ? parent->pid : 0;      /* a parent stays in memory as long as it has children */
}

static long
sys_set_tid_address(uint64_t uaddr)
{
	current()->clear_child_tid = uaddr;
	return current()->tid;
}

/* ---- groups and sessions ---- */

/* The process meant by `pid` (0: the caller), referenced, or NULL. */
static struct proc *
proc_or_self(int pid)
{
	return pid == 0 ? proc_get(current_proc()) : proc_find(pid);
}

static long
sys_getpgid(int pid)
{
	struct proc *p = proc_or_self(pid);
	long r;

	if (!p)
		return -ESRCH;
	r = p->pgid;
	proc_put(p);
	return r;
}

static long
sys_getpgrp(void)
{
	return current_proc()->pgid;
}

static long
sys_getsid(int pid)
{
	struct proc *p = proc_or_self(pid);
	long r;

	if (!p)
		return -ESRCH;
	r = p->sid;
	proc_put(p);
	return r;
}

static int
same_session(struct proc *p, void *arg)
{
	return p->sid == *(int *)arg;
}

/* setpgid(2)'s rules. `joins`: pgid is an existing group of our session. Requires: tree_lock. */
static int
setpgid_allowed(const struct proc *p, int pgid, bool joins)
{
	const struct proc *me = current_proc();

	if (p != me && p->parent != me)
		return -ESRCH;
	if (p != me && p->sid != me->sid)
		return -EPERM;
	if (p != me && p->exec_done)
		return -EACCES;
	if (p->sid == p->pid || (pgid != p->pid && !joins))
		return -EPERM;
	return 0;
}

static long
sys_setpgid(int pid, int pgid)
{
	struct proc *p;
	int sid = current_proc()->sid, err;
	bool joins;

	if (pgid < 0)
		return -EINVAL;
	p = proc_or_self(pid);
	if (!p)
		return -ESRCH;
	if (pgid == 0)
		pgid = p->pid;
	joins = proc_group_each(pgid, same_session, &sid) == 1;
	spin_lock(&tree_lock);
	err = setpgid_allowed(p, pgid, joins);
	if (!err)
		p->pgid = pgid;
	spin_unlock(&tree_lock);
	proc_put(p);
	return err;
}

static int
anyone(struct proc *p, void *arg)
{
	(void)p;
	(void)arg;
	return 1;
}

static long
sys_setsid(void)
{
	struct proc *p = current_proc();

	if (proc_group_each(p->pid, anyone, NULL) == 1)
		return -EPERM;                /* there is a group of our number: we lead it, or led it */
	spin_lock(&tree_lock);
	p->sid = p->pgid = p->pid;
	spin_unlock(&tree_lock);
	return p->pid;
}

/* ---- users ---- */

static long sys_getuid(void) { return current_proc()->cred.uid; }
static long sys_geteuid(void) { return current_proc()->cred.euid; }
static long sys_getgid(void) { return current_proc()->cred.gid; }
static long sys_getegid(void) { return current_proc()->cred.egid; }

/* May the caller become `id`? -1 stands for "leave as it is". */
static bool
may_be(uint32_t id, uint32_t r, uint32_t e, uint32_t s)
{
	return current_proc()->cred.euid == 0 || id == -1u || id == r || id == e || id == s;
}

static long
sys_setresuid(uint32_t r, uint32_t e, uint32_t s)
{
	struct proc *p = current_proc();
	struct cred c = p->cred;

	if (!may_be(r, c.uid, c.euid, c.suid) || !may_be(e, c.uid, c.euid, c.suid) ||
	    !may_be(s, c.uid, c.euid, c.suid))
		return -EPERM;
	c.uid = r == -1u ? c.uid : r;
	c.euid = e == -1u ? c.euid : e;
	c.suid = s == -1u ? c.suid : s;
	spin_lock(&p->lock);
	p->cred = c;
	spin_unlock(&p->lock);
	return 0;
}

static long
sys_setresgid(uint32_t r, uint32_t e, uint32_t s)
{
	struct proc *p = current_proc();
	struct cred c = p->cred;

	if (!may_be(r, c.gid, c.egid, c.sgid) || !may_be(e, c.gid, c.egid, c.sgid) ||
	    !may_be(s, c.gid, c.egid, c.sgid))
		return -EPERM;
	c.gid = r == -1u ? c.gid : r;
	c.egid = e == -1u ? c.egid : e;
	c.sgid = s == -1u ? c.sgid : s;
	spin_lock(&p->lock);
	p->cred = c;
	spin_unlock(&p->lock);
	return 0;
}

static long
sys_setuid(uint32_t id)
{
	if (id == -1u)
		return -EINVAL;
	return current_proc()->cred.euid == 0 ? sys_setresuid(id, id, id) : sys_setresuid(-1, id, -1);
}

static long
sys_setgid(uint32_t id)
{
	if (id == -1u)
		return -EINVAL;
	return current_proc()->cred.euid == 0 ? sys_setresgid(id, id, id) : sys_setresgid(-1, id, -1);
}

/* setreuid(2): the saved id follows the effective one when the real one is set or the effective one changes.
 * */
static long
sys_setreuid(uint32_t r, uint32_t e)
{
	uint32_t old = current_proc()->cred.uid, now = e == -1u ? current_proc()->cred.euid : e;

	return sys_setresuid(r, e, r != -1u || (e != -1u && e != old) ? now : -1u);
}

static long
sys_setregid(uint32_t r, uint32_t e)
{
	uint32_t old = current_proc()->cred.gid, now = e == -1u ? current_proc()->cred.egid : e;

	return sys_setresgid(r, e, r != -1u || (e != -1u && e != old) ? now : -1u);
}

static long
put3(uint64_t ua, uint64_t ub, uint64_t uc, uint32_t a, uint32_t b, uint32_t c)
{
	return store_user32(ua, a) || store_user32(ub, b) || store_user32(uc, c) ? -EFAULT : 0;
}

static long
sys_getresuid(uint64_t r, uint64_t e, uint64_t s)
{
	const struct cred *c = &current_proc()->cred;

	return put3(r, e, s, c->uid, c->euid, c->suid);
}

static long
sys_getresgid(uint64_t r, uint64_t e, uint64_t s)
{
	const struct cred *c = &current_proc()->cred;

	return put3(r, e, s, c->gid, c->egid, c->sgid);
}

static long
sys_getgroups(int n, uint64_t ulist)
{
	const struct cred *c = &current_proc()->cred;

	if (n == 0)
		return c->ngroups;
	if (n < (int)c->ngroups)
		return -EINVAL;
	return copyout(ulist, c->groups, c->ngroups * 4) ? -EFAULT : (long)c->ngroups;
}

static long
sys_setgroups(uint64_t n, uint64_t ulist)
{
	struct proc *p = current_proc();
	struct cred c = p->cred;

	if (c.euid != 0)
		return -EPERM;
	if (n > sizeof c.groups / sizeof c.groups[0])
		return -EINVAL;
	if (copyin(c.groups, ulist, n * 4))
		return -EFAULT;
	c.ngroups = n;
	spin_lock(&p->lock);
	p->cred = c;
	spin_unlock(&p->lock);
	return 0;
}

static void
syscred_init(void)
{
	SYSCALL_REG(getpid, sys_getpid);
	SYSCALL_REG(gettid, sys_gettid);
	SYSCALL_REG(getppid, sys_getppid);
	SYSCALL_REG(set_tid_address, sys_set_tid_address);
	SYSCALL_REG(getpgid, sys_getpgid);
	SYSCALL_REG(getpgrp, sys_getpgrp);
	SYSCALL_REG(setpgid, sys_setpgid);
	SYSCALL_REG(getsid, sys_getsid);
	SYSCALL_REG(setsid, sys_setsid);
	SYSCALL_REG(getuid, sys_getuid);
	SYSCALL_REG(geteuid, sys_geteuid);
	SYSCALL_REG(getgid, sys_getgid);
	SYSCALL_REG(getegid, sys_getegid);
	SYSCALL_REG(setuid, sys_setuid);
	SYSCALL_REG(setgid, sys_setgid);
	SYSCALL_REG(setreuid, sys_setreuid);
	SYSCALL_REG(setregid, sys_setregid);
	SYSCALL_REG(setresuid, sys_setresuid);
	SYSCALL_REG(setresgid, sys_setresgid);
	SYSCALL_REG(getresuid, sys_getresuid);
	SYSCALL_REG(getresgid, sys_getresgid);
	SYSCALL_REG(getgroups, sys_getgroups);
	SYSCALL_REG(setgroups, sys_setgroups);
}

INITCALL(4, syscred_init);
