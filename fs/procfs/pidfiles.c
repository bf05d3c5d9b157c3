/* pidfiles.c - what /proc/PID says about a process.                                           (lab 10)
 *
 * Idea.       Each show function gets the process referenced, so it may end while it is described: then its
 *             address space is gone and the text says what is left of it, as for a zombie.
 * Interface.  None: a table, registered on the last lines.
 * Locks.      tree_lock for parents and ids, p->lock for threads: copied out first, printed afterwards.
 */
#include "fs/procfs/procfs.h"
#include "fs/vfs/tty.h"
#include "kern/boot/initcall.h"
#include "kern/mem/kheap.h"
#include "kern/trap/clock.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

#define TICK (NSEC / 100)

/* What a process looks like at one moment. */
struct snapshot {
	char name[16], state;
	int ppid, pgid, sid, nthreads, exit_signal, exit_status, cpu;
	uint64_t utime, stime, cutime, cstime, switches;
	uint64_t vsize, rss;       /* bytes, pages */
	uint64_t start_stack, arg_start, arg_end, env_start, env_end, brk_start;
	struct cred cred;
};

/* R, S, D of the process's threads: the liveliest. Requires: p->lock. */
static char
threads_state(struct proc *p, struct snapshot *o)
{
	char state = 'S';

	list_for_each(t, &p->threads, struct thread, proc_link) {
		if (t->state == T_READY || t->state == T_RUNNING)
			state = 'R';
		else if (t->state == T_SLEEPING && !t->intr_sleep && state != 'R')
			state = 'D';
		o->cpu = t->cpu;
		o->switches += t->nswitch;
	}
	return state;
}

static void
snapshot_memory(struct proc *p, struct snapshot *o)
{
	struct aspace *as = proc_aspace(p);

	if (!as)
		return;
	o->vsize = mm_total_pages(as) * PAGE_SIZE;
	o->rss = as->rss;
	o->start_stack = as->stack_top;
	o->arg_start = as->arg_start;
	o->arg_end = as->arg_end;
	o->env_start = as->env_start;
	o->env_end = as->env_end;
	o->brk_start = as->brk_start;
	aspace_put(as);
}

static void
snapshot_take(struct proc *p, struct snapshot *o)
{
	memset(o, 0, sizeof *o);
	snapshot_memory(p, o);
	proc_times(p, &o->utime, &o->stime);
	spin_lock(&p->lock);
	memcpy(o->name, p->name, sizeof o->name);
	o->name[sizeof o->name - 1] = '\0';
	o->nthreads = p->nthreads;
	o->state = threads_state(p, o);
	o->cred = p->cred;
	spin_unlock(&p->lock);
	spin_lock(&tree_lock);
	o->ppid = p->parent ? p->parent->pid : 0;
	o->pgid = p->pgid;
	o->sid = p->sid;
	o->cutime = p->cutime_ns;
	o->cstime = p->cstime_ns;
	o->exit_signal = p->exit_signal;
	o->exit_status = p->state == P_ZOMBIE ? p->status : 0;
	if (o->nthreads == 0)
		o->nthreads = 1;         /* a zombie: its last thread counts */
	if (p->state == P_ZOMBIE)
		o->state = 'Z';
	else if (p->stopped)
		o->state = 'T';
	spin_unlock(&tree_lock);
}

/* ---- stat, statm, status ---- */

/* proc(5) numbers the fields from 1; the first two are before this. */
static int
show_stat(struct seq *s, struct proc *p)
{
	struct snapshot o;

	snapshot_take(p, &o);
	struct tty *t = ttyjob_of(p);
	seq_printf(s, "%d (%s) %c %d %d %d %d %d 0 ", p->pid, o.name, o.state, o.ppid, o.pgid, o.sid,
		t ? (int)MKDEV(5, 1) : 0, t ? t->fg : -1);
	seq_printf(s, "%lu 0 %lu 0 %lu %lu %lu %lu ", p->minflt, p->majflt, o.utime / TICK, o.stime / TICK,
		o.cutime / TICK, o.cstime / TICK);
	seq_printf(s, "%d %d %d 0 %lu ", 20 + p->nice, p->nice, o.nthreads, p->start_ns / TICK);
	seq_printf(s, "%lu %lu %lu 0 0 %lu 0 0 0 0 0 0 0 0 0 ", o.vsize, o.rss, p->rlim[RLIMIT_RSS].rlim_cur,
		o.start_stack);
	seq_printf(s, "%d %d 0 0 0 0 0 0 0 %lu %lu %lu %lu %lu %d\n", o.exit_signal, o.cpu, o.brk_start, o.arg_start,
		o.arg_end, o.env_start, o.env_end, o.exit_status);
	return 0;
}

static int
show_statm(struct seq *s, struct proc *p)
{
	struct snapshot o;

	snapshot_take(p, &o);
	seq_printf(s, "%lu %lu 0 0 0 %lu 0\n", o.vsize / PAGE_SIZE, o.rss, o.vsize / PAGE_SIZE);
	return 0;
}

static const char *
state_name(char c)
{
	switch (c) {
	case 'R': return "running";
	case 'S': return "sleeping";
	case 'D': return "disk sleep";
	case 'T': return "stopped";
	case 'Z': return "zombie";
	}
	return "unknown";
}

static int
show_status(struct seq *s, struct proc *p)
{
	struct snapshot o;

	snapshot_take(p, &o);
	const struct cred *c = &o.cred;
	seq_printf(s, "Name:\t%s\nUmask:\t%04o\nState:\t%c (%s)\n", o.name, p->umask, o.state, state_name(o.state));
	seq_printf(s, "Tgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\n", p->pid, p->pid, o.ppid);
	seq_printf(s, "Uid:\t%u\t%u\t%u\t%u\n", c->uid, c->euid, c->suid, c->euid);
	seq_printf(s, "Gid:\t%u\t%u\t%u\t%u\nFDSize:\t64\nGroups:\t", c->gid, c->egid, c->sgid, c->egid);
	for (uint32_t i = 0; i < c->ngroups; i++)
		seq_printf(s, "%u ", c->groups[i]);
	seq_printf(s, "\n");
	if (o.vsize) {
		seq_printf(s, "VmPeak:\t%8lu kB\nVmSize:\t%8lu kB\n", o.vsize / 1024, o.vsize / 1024);
		seq_printf(s, "VmHWM:\t%8lu kB\nVmRSS:\t%8lu kB\n", o.rss * 4, o.rss * 4);
	}
	seq_printf(s, "Threads:\t%d\n", o.nthreads);
	seq_printf(s, "voluntary_ctxt_switches:\t%lu\nnonvoluntary_ctxt_switches:\t0\n", o.switches);
	return 0;
}

/* ---- memory of the process ---- */

/* Bytes [lo, hi) of its memory, up to a page's worth more than 128 KiB. */
static int
show_memory(struct seq *s, struct aspace *as, uint64_t lo, uint64_t hi)
{
	char *buf = kmalloc(PAGE_SIZE);
	int err = buf ? 0 : -ENOMEM;

	if (hi - lo > 132 * 1024)
		hi = lo + 132 * 1024;
	while (!err && lo < hi) {
		size_t n = hi - lo < PAGE_SIZE ? hi - lo : PAGE_SIZE;
		err = aspace_read(as, buf, lo, n);
		if (!err)
			seq_put(s, buf, n);
		lo += n;
	}
	kfree(buf);
	return err == -EFAULT ? 0 : err;   /* it unmapped its arguments: then there are none */
}

static int
show_cmdline(struct seq *s, struct proc *p)
{
	struct aspace *as = proc_aspace(p);

	if (!as)
		return 0;
	int err = show_memory(s, as, as->arg_start, as->arg_end);
	aspace_put(as);
	return err;
}

static int
show_environ(struct seq *s, struct proc *p)
{
	struct aspace *as;
	int err = proc_may_look(p);

	if (err || !(as = proc_aspace(p)))
		return err;
	err = show_memory(s, as, as->env_start, as->env_end);
	aspace_put(as);
	return err;
}

static int
show_auxv(struct seq *s, struct proc *p)
{
	struct aspace *as;
	int err = proc_may_look(p);

	if (err || !(as = proc_aspace(p)))
		return err;
	size_t n = 0;
	while (n < sizeof as->auxv / 8 && (n % 2 || as->auxv[n]))
		n++;
	seq_put(s, as->auxv, (n + 2) * 8 < sizeof as->auxv ? (n + 2) * 8 : sizeof as->auxv);
	aspace_put(as);
	return 0;
}

static int
show_comm(struct seq *s, struct proc *p)
{
	struct snapshot o;

	snapshot_take(p, &o);
	seq_printf(s, "%s\n", o.name);
	return 0;
}

/* ---- limits ---- */

static void
show_limit(struct seq *s, uint64_t v)
{
	if (v == RLIM_INFINITY)
		seq_printf(s, "%-20s ", "unlimited");
	else
		seq_printf(s, "%-20lu ", v);
}

static int
show_limits(struct seq *s, struct proc *p)
{
	static const struct { const char *name, *unit; } rows[RLIM_NLIMITS] = {
		{ "Max cpu time", "seconds" }, { "Max file size", "bytes" }, { "Max data size", "bytes" },
		{ "Max stack size", "bytes" }, { "Max core file size", "bytes" }, { "Max resident set", "bytes" },
		{ "Max processes", "processes" }, { "Max open files", "files" }, { "Max locked memory", "bytes" },
		{ "Max address space", "bytes" }, { "Max file locks", "locks" }, { "Max pending signals", "signals" },
		{ "Max msgqueue size", "bytes" }, { "Max nice priority", "" }, { "Max realtime priority", "" },
		{ "Max realtime timeout", "us" },
	};

	seq_printf(s, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		seq_printf(s, "%-25s ", rows[i].name);
		show_limit(s, p->rlim[i].rlim_cur);
		show_limit(s, p->rlim[i].rlim_max);
		seq_printf(s, "%-10s\n", rows[i].unit);
	}
	return 0;
}

#define PID_FILE(name_, mode_, fn) \
	{ .dir = PROC_PID, .name = (name_), .mode = S_IFREG | (mode_), .show = (fn) }

static struct proc_entry table[] = {
	PID_FILE("stat", 0444, show_stat),
	PID_FILE("statm", 0444, show_statm),
	PID_FILE("status", 0444, show_status),
	PID_FILE("cmdline", 0444, show_cmdline),
	PID_FILE("comm", 0444, show_comm),
	PID_FILE("environ", 0400, show_environ),
	PID_FILE("auxv", 0400, show_auxv),
	PID_FILE("limits", 0444, show_limits),
};

static void
pidfiles_init(void)
{
	procfs_register(table, sizeof table / sizeof table[0]);
}
INITCALL(10, pidfiles_init);
