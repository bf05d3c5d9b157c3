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

/* A process has three ids of each kind: real (whose it is), effective (as whom it acts), saved (whom it may
 * become again). The functions below are written once for users and for groups. */
enum id_kind { USER, GROUP };

/* Change the three ids, -1 leaving one as it is: root to anything, others to what one of the three is now.
 * Returns: 0; -EPERM and nothing is changed. */
static long
ids_set(enum id_kind kind, uint32_t real, uint32_t effective, uint32_t saved)
{
	struct proc *p = current_proc();
	struct cred c = p->cred;
	uint32_t *const ids[2][3] = { { &c.uid, &c.euid, &c.suid }, { &c.gid, &c.egid, &c.sgid } };
	uint32_t *const *id = ids[kind];
	const uint32_t old[3] = { *id[0], *id[1], *id[2] }, new[3] = { real, effective, saved };

	for (int i = 0; i < 3; i++) {
		if (new[i] == -1u)
			continue;
		if (p->cred.euid != 0 && new[i] != old[0] && new[i] != old[1] && new[i] != old[2])
			return -EPERM;
		*id[i] = new[i];
	}
	spin_lock(&p->lock);
	p->cred = c;
	spin_unlock(&p->lock);
	return 0;
}

/* setuid(2): root becomes the other for good, others only act as it. */
static long
id_set(enum id_kind kind, uint32_t id)
{
	if (id == -1u)
		return -EINVAL;
	return current_proc()->cred.euid == 0 ? ids_set(kind, id, id, id) : ids_set(kind, -1, id, -1);
}

/* setreuid(2): the saved id follows the effective one if the real one is set or the effective one changes. */
static long
id_pair_set(enum id_kind kind, uint32_t r, uint32_t e)
{
	const struct cred *c = &current_proc()->cred;
	uint32_t old = kind == USER ? c->uid : c->gid;
	uint32_t now = e != -1u ? e : kind == USER ? c->euid : c->egid;

	return ids_set(kind, r, e, r != -1u || (e != -1u && e != old) ? now : -1u);
}

static long sys_setresuid(uint32_t r, uint32_t e, uint32_t s) { return ids_set(USER, r, e, s); }
static long sys_setresgid(uint32_t r, uint32_t e, uint32_t s) { return ids_set(GROUP, r, e, s); }
static long sys_setuid(uint32_t id) { return id_set(USER, id); }
static long sys_setgid(uint32_t id) { return id_set(GROUP, id); }
static long sys_setreuid(uint32_t r, uint32_t e) { return id_pair_set(USER, r, e); }
static long sys_setregid(uint32_t r, uint32_t e) { return id_pair_set(GROUP, r, e); }

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
