/* pipe.c - a bounded byte queue between writers and readers: pipes and FIFOs.                 (lab 7)
 *
 * Idea.       A ring of 16 pages and two counters that only grow while there is something in it:
 *                 nread <= nwrite <= nread + PIPE_SIZE
 *             Readers wait while they are equal, writers while there is no room. When the last byte is read
 *             both start again at 0, so that small messages use one page over and over. Pages come with the
 *             first byte they hold.
 * Interface.  pipe2() makes two files; fifo_ops open the same thing by a name. All else goes through
 *             file_ops.
 * Invariants. I1 the line above.  I2 byte i lies in page[i / PAGE_SIZE % NPAGE], which exists, for nread <= i
 *             < nwrite.
 *             I3 a write of up to PIPE_BUF bytes is never mixed with another.  I4 freed when no file refers
 *             to it.
 *             I5 readers only wait while the ring is empty, writers while less than PIPE_BUF is free: so
 *             wakes are needed only when
 *                the ring leaves these states, and only if somebody is there.
 * Locks.      p->lock (a mutex: user copies may sleep under it) guards all fields. fifo_lock guards the list
 *             of open FIFOs and their number of users. Nothing else is taken under either but what a page
 *             fault takes.
 */
#include "fs/vfs/file.h"
#include "kern/boot/initcall.h"
#include "kern/mem/kheap.h"
#include "kern/proc/sigslot.h"
#include "kern/trap/syscall.h"
#include "kern/trap/usercopy.h"
#include "lib/abi/errno.h"
#include "lib/abi/sysno.h"
#include "lib/abi/termios.h"
#include "lib/kern/string.h"

enum { NPAGE = 16, PIPE_SIZE = NPAGE * 4096, PIPE_BUF = 4096 };

/* key: I immutable after pipe_new; l lock; f fifo_lock */
struct pipe {
	struct mutex lock;
	uint64_t nread, nwrite;    /* [l] I1 */
	uint32_t used;             /* [l], read without it by poll: nwrite - nread */
	uint32_t readers, writers; /* [l] open files of each kind */
	uint64_t ropens, wopens;   /* [l] how often a FIFO was opened, ever */
	/* [l] readers wait for data, writers for room; and both for each other in fifo_open */
	struct waitq rq, wq;
	struct page *page[NPAGE];  /* [l] I2 */

	struct list link;          /* [f] in fifos */
	struct inode *inode;       /* [I] the FIFO's, NULL: anonymous */
	uint32_t users;            /* [f] files and openers */
};

static struct mutex fifo_lock = MUTEX(fifo_lock, "fifos", RANK_VFS(41));
static struct list fifos = LIST_INIT(fifos);

static struct pipe *
pipe_new(struct inode *ip)
{
	struct pipe *p = kzalloc(sizeof *p);

	if (!p)
		return NULL;
	mutex_init(&p->lock, "pipe", RANK_VFS(40));
	waitq_init(&p->rq);
	waitq_init(&p->wq);
	list_init(&p->link);
	p->inode = ip;
	p->users = 1;
	return p;
}

/* One user less; the last one frees it (I4). */
static void
pipe_put(struct pipe *p)
{
	mutex_lock(&fifo_lock);
	if (--p->users) {
		mutex_unlock(&fifo_lock);
		return;
	}
	list_remove(&p->link);
	mutex_unlock(&fifo_lock);
	for (int i = 0; i < NPAGE; i++)
		if (p->page[i])
			page_unref(p->page[i]);
	kfree(p);
}

static inline uint64_t
pipe_room(const struct pipe *p)
{
	return PIPE_SIZE - (p->nwrite - p->nread);
}

/* Wake who waits on q, if anybody. The fence: poll looks at our fields without the lock, after it joined the
 * queue; so our stores must be seen before we look at the queue. */
static inline void
wake(struct waitq *q)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!waitq_empty(q))
		waitq_wake_all(q);
}

/* Copy what is there, at most n bytes, to the user; the caller wakes writers. Requires: lock, data.
 * Returns: bytes, or -EFAULT if nothing could be copied (I1 holds in any case: only what was copied is
 *          taken). */
static long
ring_out(struct pipe *p, uint64_t ubuf, size_t n)
{
	size_t done = 0, left = 0;

	if (n > p->nwrite - p->nread)
		n = p->nwrite - p->nread;
	while (done < n && !left) {
		uint32_t off = p->nread % PAGE_SIZE;
		size_t k = n - done < PAGE_SIZE - off ? n - done : PAGE_SIZE - off;

		left = copyout_partial(ubuf + done, (char *)page_virt(p->page[p->nread / PAGE_SIZE % NPAGE]) + off, k);
		done += k - left;
		p->nread += k - left;
	}
	if (p->nread == p->nwrite)
		p->nread = p->nwrite = 0;
	__atomic_store_n(&p->used, p->nwrite - p->nread, __ATOMIC_RELAXED);
	return done ? (long)done : -EFAULT;
}

/* Wait until there is data, or nobody left to write it. Requires: lock. 0, -EAGAIN, -ERESTARTSYS. */
static int
data_wait(struct pipe *p, struct file *f)
{
	if (p->nread != p->nwrite || !p->writers)
		return 0;
	if (f->flags & O_NONBLOCK)
		return -EAGAIN;
	return wait_event_intr(&p->rq, p->nread != p->nwrite || !p->writers, &p->lock);
}

/* Read up to `n` bytes into user memory.
 *
 * Does:     waits until data is there or no writer is left; copies at most what is there now; wakes writers
 *           if it made room.
 * Returns:  bytes; 0 at the end; -EAGAIN (O_NONBLOCK), -ERESTARTSYS, -EFAULT.
 */
static long
pipe_read(struct file *f, uint64_t ubuf, size_t n, uint64_t *pos)
{
	struct pipe *p = f->priv;
	bool was_full;
	long r;

	(void)pos;
	if (n == 0)
		return 0;
	mutex_lock(&p->lock);
	r = data_wait(p, f);
	if (r == 0 && p->nread != p->nwrite) {
		was_full = pipe_room(p) < PIPE_BUF;
		r = ring_out(p, ubuf, n);
		if (was_full && pipe_room(p) >= PIPE_BUF)
			wake(&p->wq);
	}
	mutex_unlock(&p->lock);
	return r;
}

/* Copy n bytes, for which there is room, from the user. Requires: lock. Returns: bytes; -EFAULT or -ENOMEM if
 * none. */
static long
ring_in(struct pipe *p, uint64_t ubuf, size_t n)
{
	size_t done = 0, left = 0;
	int err = -EFAULT;

	while (done < n && !left) {
		uint32_t off = p->nwrite % PAGE_SIZE;
		size_t k = n - done < PAGE_SIZE - off ? n - done : PAGE_SIZE - off;
		struct page **page = &p->page[p->nwrite / PAGE_SIZE % NPAGE];

		if (!*page && !(*page = page_alloc(PG_KERNEL))) {
			err = -ENOMEM;
			break;
		}
		left = copyin_partial((char *)page_virt(*page) + off, ubuf + done, k);
		done += k - left;
		p->nwrite += k - left;
	}
	__atomic_store_n(&p->used, p->nwrite - p->nread, __ATOMIC_RELAXED);
	return done ? (long)done : err;
}

/* Wait until `need` bytes fit, or nobody is left to read them. Requires: lock. 0, -EAGAIN, -ERESTARTSYS,
 * -EPIPE. */
static int
room_wait(struct pipe *p, struct file *f, size_t need)
{
	int err = 0;

	if (p->readers && pipe_room(p) < need) {
		if (f->flags & O_NONBLOCK)
			return -EAGAIN;
		err = wait_event_intr(&p->wq, pipe_room(p) >= need || !p->readers, &p->lock);
	}
	if (p->readers)
		return err;
	proc_signal(current_proc(), SIGPIPE);
	return -EPIPE;
}

/* Write n bytes from user memory.
 *
 * Does:     all of them, waiting for room; up to PIPE_BUF at once (I3), more in pieces; wakes readers when
 *           the ring was empty. Without readers: SIGPIPE.
 * Returns:  bytes, fewer than n only if something came between; -EPIPE, -EAGAIN, -ERESTARTSYS, -EFAULT,
 *           -ENOMEM if nothing was.
 */
static long
pipe_write(struct file *f, uint64_t ubuf, size_t n, uint64_t *pos)
{
	struct pipe *p = f->priv;
	size_t done = 0;
	long r = 0;

	(void)pos;
	mutex_lock(&p->lock);
	while (done < n) {
		size_t want = n - done;
		bool was_empty;

		r = room_wait(p, f, n <= PIPE_BUF ? n : f->flags & O_NONBLOCK ? 1 : want < PIPE_BUF ? want : PIPE_BUF);
		if (r)
			break;
		was_empty = p->nread == p->nwrite;
		r = ring_in(p, ubuf + done, want < pipe_room(p) ? want : pipe_room(p));
		if (r < 0)
			break;
		done += r;
		if (was_empty)
			wake(&p->rq);
	}
	mutex_unlock(&p->lock);
	return done ? (long)done : r;
}

/* What holds now. Takes no lock: the caller is preparing to sleep. */
static int
pipe_poll(struct file *f, struct pollctx *ctx)
{
	struct pipe *p = f->priv;
	uint32_t used;
	int ev = 0;

	if (file_readable(f))
		poll_wait(ctx, &p->rq);
	if (file_writable(f))
		poll_wait(ctx, &p->wq);
	used = __atomic_load_n(&p->used, __ATOMIC_SEQ_CST);
	if (file_readable(f)) {
		ev |= used ? POLLIN | POLLRDNORM : 0;
		ev |= !__atomic_load_n(&p->writers, __ATOMIC_RELAXED) && p->wopens ? POLLHUP : 0;
	}
	if (file_writable(f)) {
		ev |= PIPE_SIZE - used >= PIPE_BUF ? POLLOUT | POLLWRNORM : 0;
		ev |= !__atomic_load_n(&p->readers, __ATOMIC_RELAXED) ? POLLERR : 0;
	}
	return ev;
}

static long
pipe_ioctl(struct file *f, uint32_t cmd, uint64_t arg)
{
	struct pipe *p = f->priv;
	uint32_t n;

	if (cmd != FIONREAD)
		return -ENOTTY;
	mutex_lock(&p->lock);
	n = p->nwrite - p->nread;
	mutex_unlock(&p->lock);
	return copyout(arg, &n, sizeof n);
}

static int
pipe_fsync(struct file *f, bool datasync)
{
	(void)f;
	(void)datasync;
	return -EINVAL;
}

/* A file of this pipe comes (by +1) or goes (-1); whoever waits for the other side looks again. */
static void
pipe_count(struct pipe *p, uint32_t flags, int by)
{
	mutex_lock(&p->lock);
	if ((flags & O_ACCMODE) != O_WRONLY) {
		p->readers += by;
		p->ropens += by > 0;
	}
	if ((flags & O_ACCMODE) != O_RDONLY) {
		p->writers += by;
		p->wopens += by > 0;
	}
	wake(&p->rq);
	wake(&p->wq);
	mutex_unlock(&p->lock);
}

static void
pipe_release(struct file *f)
{
	struct pipe *p = f->priv;

	if (!p)                                /* the open failed */
		return;
	pipe_count(p, f->flags, -1);
	pipe_put(p);
}

/* One more open file of a pipe, which f->priv names already (ip NULL): opening /proc/PID/fd/N. */
static int
pipe_reopen(struct inode *ip, struct file *f)
{
	struct pipe *p = f->priv;

	if (ip || !p)
		return -ENXIO;
	mutex_lock(&fifo_lock);
	p->users++;
	mutex_unlock(&fifo_lock);
	pipe_count(p, f->flags, 1);
	return 0;
}

static const struct file_ops pipe_ops = {
	.open = pipe_reopen, .release = pipe_release, .read = pipe_read, .write = pipe_write, .ioctl = pipe_ioctl,
	.poll = pipe_poll, .fsync = pipe_fsync,
};

/* ---- FIFOs ---- */

/* The pipe of this FIFO, with one more user; made by the first. NULL: out of memory. */
static struct pipe *
fifo_get(struct inode *ip)
{
	struct pipe *found = NULL;

	mutex_lock(&fifo_lock);
	list_for_each(p, &fifos, struct pipe, link)
		if (p->inode == ip)
			found = p;
	if (found)
		found->users++;
	else if ((found = pipe_new(ip)))
		list_push_back(&fifos, &found->link);
	mutex_unlock(&fifo_lock);
	return found;
}

/* Open a FIFO: a reader waits for a writer and the other way round.
 *
 * Returns: 0; -ENXIO: O_WRONLY | O_NONBLOCK and no reader; -ERESTARTSYS; -ENOMEM. The counters of opens make
 *          sure that a partner that came and went again while we slept has been seen.
 */
static int
fifo_open(struct inode *ip, struct file *f)
{
	struct pipe *p = fifo_get(ip);
	uint64_t seen;
	int err = 0;

	if (!p)
		return -ENOMEM;
	if ((f->flags & O_ACCMODE) == O_WRONLY && f->flags & O_NONBLOCK && !__atomic_load_n(&p->readers,
		__ATOMIC_RELAXED)) {
		pipe_put(p);
		return -ENXIO;
	}
	pipe_count(p, f->flags, 1);
	mutex_lock(&p->lock);
	if ((f->flags & O_ACCMODE) == O_RDONLY && !p->writers && !(f->flags & O_NONBLOCK)) {
		seen = p->wopens;
		err = wait_event_intr(&p->rq, p->wopens != seen, &p->lock);
	} else if ((f->flags & O_ACCMODE) == O_WRONLY && !p->readers) {
		seen = p->ropens;
		err = wait_event_intr(&p->wq, p->ropens != seen, &p->lock);
	}
	mutex_unlock(&p->lock);
	if (err) {
		pipe_count(p, f->flags, -1);
		pipe_put(p);
		return err;
	}
	f->ops = &pipe_ops;
	f->priv = p;
	return 0;
}

const struct file_ops fifo_ops = { .open = fifo_open };

/* ---- pipe, pipe2 ---- */

/* Make both files of a new pipe. 0, -ENFILE, -ENOMEM. */
static int
pipe_files(uint32_t flags, struct file *f[2])
{
	struct pipe *p = pipe_new(NULL);
	int err;

	if (!p)
		return -ENOMEM;
	err = file_new(&pipe_ops, NULL, O_RDONLY | flags, &f[0]);
	if (err) {
		pipe_put(p);
		return err;
	}
	f[0]->priv = p;
	p->readers = p->ropens = 1;
	err = file_new(&pipe_ops, NULL, O_WRONLY | flags, &f[1]);
	if (err) {
		file_put(f[0]);
		return err;
	}
	f[1]->priv = p;
	p->users = 2;
	p->writers = p->wopens = 1;
	return 0;
}

static long
sys_pipe2(uint64_t ufds, uint64_t flags)
{
	struct file *f[2];
	int fd[2], err;

	if (flags & ~(uint64_t)(O_CLOEXEC | O_NONBLOCK))
		return -EINVAL;
	err = pipe_files(flags & O_NONBLOCK, f);
	if (err)
		return err;
	fd[0] = fd_install(f[0], 0, flags & O_CLOEXEC);
	if (fd[0] < 0) {
		file_put(f[1]);
		return fd[0];
	}
	fd[1] = fd_install(f[1], 0, flags & O_CLOEXEC);
	if (fd[1] < 0) {
		fd_close(fd[0]);
		return fd[1];
	}
	err = copyout(ufds, fd, sizeof fd);
	if (err) {
		fd_close(fd[0]);
		fd_close(fd[1]);
	}
	return err;
}

static long
sys_pipe(uint64_t ufds)
{
	return sys_pipe2(ufds, 0);
}

static void
pipe_init(void)
{
	SYSCALL_REG(pipe2, sys_pipe2);
	SYSCALL_REG(pipe, sys_pipe);
}

INITCALL(7, pipe_init);
