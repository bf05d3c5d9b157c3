/* poll.c - waiting for several files at once: poll, ppoll, select, pselect6.                  (lab 7)
 *
 * Idea.       Each file's poll op puts a waiter of ours on its queues and says what holds now. If nothing
 *             does, sleep until one of the queues is woken, leave them all, and ask again.
 *
 *               prepare_sleep -> poll(f, ctx) for each f -> something ready? cancel : sleep -> off the queues
 *               -> again
 *
 * Interface.  poll_wait (file.h); system calls poll ppoll select pselect6.
 * Invariants. I1 files stay referenced while our waiters are on their queues.  I2 no waiter is queued when a
 * call returns.
 * Locks.      None of its own.
 */
#include "fs/vfs/fd.h"
#include "kern/boot/initcall.h"
#include "kern/mem/kheap.h"
#include "kern/proc/sigslot.h"
#include "kern/trap/clock.h"
#include "kern/trap/syscall.h"
#include "kern/trap/usercopy.h"
#include "lib/abi/errno.h"
#include "lib/abi/sysno.h"
#include "lib/kern/string.h"

#define CHUNK 14
#define NO_DEADLINE 0
#define AT_ONCE 1            /* a deadline that has always passed */

struct chunk {
	struct chunk *next;
	int n;
	struct waiter w[CHUNK];
};

/* One round: the waiters that are queued. The first chunk needs no allocation. */
struct pollctx {
	struct chunk first;
	struct chunk *last;
	bool failed;               /* no memory for one more */
};

/* One file that is waited for. */
struct item {
	struct file *f;            /* referenced; NULL: not open */
	int want, got;             /* POLL* */
};

/* A file's poll op: wake the caller of poll when q is woken. ctx NULL: nothing to do. */
void
poll_wait(struct pollctx *ctx, struct waitq *q)
{
	if (!ctx || ctx->failed)
		return;
	if (ctx->last->n == CHUNK) {
		struct chunk *c = kzalloc(sizeof *c);
		if (!c) {
			ctx->failed = true;
			return;
		}
		ctx->last->next = c;
		ctx->last = c;
	}
	struct waiter *w = &ctx->last->w[ctx->last->n++];
	w->q = NULL;
	w->thread = current();
	waitq_add(q, w);
}

static void
ctx_begin(struct pollctx *ctx)
{
	ctx->first.next = NULL;
	ctx->first.n = 0;
	ctx->last = &ctx->first;
	ctx->failed = false;
}

static void
ctx_end(struct pollctx *ctx)
{
	struct chunk *c = &ctx->first;

	while (c) {
		struct chunk *next = c->next;
		for (int i = 0; i < c->n; i++)
			waitq_del(&c->w[i]);
		if (c != &ctx->first)
			kfree(c);
		c = next;
	}
}

/* Ask all files; returns how many have something to report. */
static int
ask_all(struct item *items, int n, struct pollctx *ctx)
{
	int ready = 0;

	for (int i = 0; i < n; i++) {
		struct item *it = &items[i];
		int now = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
		if (!it->f)
			continue;
		if (it->f->ops->poll)
			now = it->f->ops->poll(it->f, ready ? NULL : ctx);
		it->got = now & (it->want | POLLERR | POLLHUP | POLLNVAL);
		ready += it->got != 0;
	}
	return ready;
}

/* Wait until something holds or the deadline has passed (NO_DEADLINE, AT_ONCE).
 *
 * Returns:  number of items with something to report, 0 at the deadline, -ERESTARTNOHAND when interrupted,
 *           -ENOMEM.
 */
static int
wait_items(struct item *items, int n, int already, uint64_t deadline)
{
	struct pollctx ctx;
	struct waitq never = WAITQ(never);

	for (;;) {
		struct waiter w = { .thread = current() };
		bool asleep = !already && deadline != AT_ONCE;
		ctx_begin(&ctx);
		if (asleep)
			thread_prepare_sleep(true);
		int ready = already + ask_all(items, n, asleep ? &ctx : NULL);
		int err = ctx.failed ? -ENOMEM : 0;
		if (ready || err || !asleep) {
			if (asleep)
				thread_cancel_sleep();
			ctx_end(&ctx);
			return ready ? ready : err;
		}
		waitq_add(&never, &w);
		err = wait_step(&w, WAIT_INTR, deadline);
		ctx_end(&ctx);
		if (err) {
			ready = ask_all(items, n, NULL);
			return ready ? ready : err == -ETIMEDOUT ? 0 : -ERESTARTNOHAND;
		}
	}
}

static void
put_items(struct item *items, int n)
{
	for (int i = 0; i < n; i++)
		if (items[i].f)
			file_put(items[i].f);
	kfree(items);
}

/* ---- poll ---- */

static long
do_poll(uint64_t ufds, uint32_t n, uint64_t deadline)
{
	if (n > current_proc()->rlim[RLIMIT_NOFILE].rlim_cur || n > 65536)
		return -EINVAL;
	struct pollfd *p = kmalloc(n * sizeof *p + 1);
	struct item *items = kzalloc(n * sizeof *items + 1);
	int err = p && items ? copyin(p, ufds, n * sizeof *p) : -ENOMEM, bad = 0;

	for (uint32_t i = 0; i < n && !err; i++) {
		items[i].want = p[i].events;
		items[i].f = p[i].fd < 0 ? NULL : fd_get(p[i].fd);
		if (p[i].fd >= 0 && !items[i].f) {
			items[i].got = POLLNVAL;
			bad++;
		}
	}
	long r = err ? err : wait_items(items, n, bad, deadline);
	for (uint32_t i = 0; i < n && r >= 0; i++) {
		uint64_t at = ufds + i * sizeof *p + offsetof(struct pollfd, revents);
		int16_t got = items[i].got;
		if (copyout(at, &got, sizeof got))
			r = -EFAULT;
	}
	if (items)
		put_items(items, err ? 0 : n);
	kfree(p);
	return r;
}

static long
sys_poll(uint64_t ufds, uint32_t n, int ms)
{
	return do_poll(ufds, n, ms < 0 ? NO_DEADLINE : ms == 0 ? AT_ONCE : clock_ns() + ms * 1000000ul);
}

/* A user timespec (0: none) as a deadline. */
static int
deadline_of(uint64_t uts, uint64_t *deadline)
{
	struct timespec ts;

	*deadline = NO_DEADLINE;
	if (!uts)
		return 0;
	if (copyin(&ts, uts, sizeof ts))
		return -EFAULT;
	if (ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec >= (int64_t)NSEC)
		return -EINVAL;
	if (ts.tv_sec < (int64_t)(INT64_MAX / NSEC / 2))
		*deadline = ts.tv_sec || ts.tv_nsec ? clock_ns() + ts.tv_sec * NSEC + ts.tv_nsec : AT_ONCE;
	return 0;
}

/* The signal mask that holds for this call only. */
static int
use_mask(uint64_t umask)
{
	uint64_t mask;

	if (!umask)
		return 0;
	if (copyin(&mask, umask, sizeof mask))
		return -EFAULT;
	proc_signal_mask(mask);
	return 0;
}

static long
sys_ppoll(uint64_t ufds, uint32_t n, uint64_t uts, uint64_t umask, size_t size)
{
	uint64_t deadline;

	if (umask && size != 8)
		return -EINVAL;
	int err = deadline_of(uts, &deadline);
	if (!err)
		err = use_mask(umask);
	return err ? err : do_poll(ufds, n, deadline);
}

/* ---- select ---- */

enum { SET_READ, SET_WRITE, SET_EXCEPT, NSET };
static const int set_events[NSET] = { POLLIN, POLLOUT, POLLPRI };
static const int set_ready[NSET] = { POLLIN | POLLHUP | POLLERR, POLLOUT | POLLERR, POLLPRI };

struct sets {
	uint64_t bits[NSET][FD_SETSIZE / 64];
};

static bool
in_set(const struct sets *s, int set, int fd)
{
	return s->bits[set][fd / 64] >> fd % 64 & 1;
}

/* Turn the sets into items, one per descriptor. 0 or -EBADF. */
static int
items_of_sets(const struct sets *s, int n, struct item *items)
{
	for (int fd = 0; fd < n; fd++) {
		for (int i = 0; i < NSET; i++)
			if (in_set(s, i, fd))
				items[fd].want |= set_events[i];
		if (!items[fd].want)
			continue;
		items[fd].f = fd_get(fd);
		if (!items[fd].f)
			return -EBADF;
	}
	return 0;
}

/* Which of the asked-for bits hold; returns how many bits are set in all. */
static int
sets_of_items(struct sets *s, int n, const struct item *items)
{
	int count = 0;

	for (int fd = 0; fd < n; fd++)
		for (int i = 0; i < NSET; i++) {
			if (!in_set(s, i, fd))
				continue;
			if (items[fd].got & set_ready[i])
				count++;
			else
				s->bits[i][fd / 64] &= ~(1ul << fd % 64);
		}
	return count;
}

static long
do_select(int n, const uint64_t uset[NSET], uint64_t deadline)
{
	struct sets s;

	if (n < 0)
		return -EINVAL;
	if (n > FD_SETSIZE)
		n = FD_SETSIZE;
	size_t bytes = (n + 63) / 64 * 8;
	memset(&s, 0, sizeof s);
	for (int i = 0; i < NSET; i++)
		if (uset[i] && copyin(s.bits[i], uset[i], bytes))
			return -EFAULT;
	struct item *items = kzalloc(n * sizeof *items + 1);
	if (!items)
		return -ENOMEM;
	long r = items_of_sets(&s, n, items);
	if (!r)
		r = wait_items(items, n, 0, deadline);
	if (r >= 0)
		r = sets_of_items(&s, n, items);
	put_items(items, n);
	for (int i = 0; i < NSET && r >= 0; i++)
		if (uset[i] && copyout(uset[i], s.bits[i], bytes))
			r = -EFAULT;
	return r;
}

/* select writes the time that is left back, as Linux does. */
static long
sys_select(int n, uint64_t ur, uint64_t uw, uint64_t ue, uint64_t utv)
{
	uint64_t uset[NSET] = { ur, uw, ue }, deadline = NO_DEADLINE;
	struct timeval tv;

	if (utv) {
		if (copyin(&tv, utv, sizeof tv))
			return -EFAULT;
		if (tv.tv_sec < 0 || tv.tv_usec < 0)
			return -EINVAL;
		if (tv.tv_sec < (int64_t)(INT64_MAX / NSEC / 2))
			deadline = tv.tv_sec || tv.tv_usec ? clock_ns() + tv.tv_sec * NSEC + tv.tv_usec * 1000 : AT_ONCE;
	}
	long r = do_select(n, uset, deadline);
	if (deadline > AT_ONCE) {
		uint64_t now = clock_ns(), left = deadline > now ? deadline - now : 0;
		tv = (struct timeval){ left / NSEC, left % NSEC / 1000 };
		(void)copyout(utv, &tv, sizeof tv);
	}
	return r;
}

static long
sys_pselect6(int n, uint64_t ur, uint64_t uw, uint64_t ue, uint64_t uts, uint64_t usig)
{
	uint64_t uset[NSET] = { ur, uw, ue }, sig[2] = { 0, 0 }, deadline;

	int err = deadline_of(uts, &deadline);
	if (!err && usig && copyin(sig, usig, sizeof sig))
		err = -EFAULT;
	if (!err && sig[0] && sig[1] != 8)
		err = -EINVAL;
	if (!err)
		err = use_mask(sig[0]);
	return err ? err : do_select(n, uset, deadline);
}

static void
poll_init(void)
{
	SYSCALL_REG(poll, sys_poll);
	SYSCALL_REG(ppoll, sys_ppoll);
	SYSCALL_REG(select, sys_select);
	SYSCALL_REG(pselect6, sys_pselect6);
}
INITCALL(7, poll_init);
