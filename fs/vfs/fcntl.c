/* fcntl.c - descriptors and locks: dup, fcntl, flock, ioctl.                                  (lab 7)
 *
 * Idea.       What is the same for all files is done here; the rest of ioctl goes to the file's ops.
 * Interface.  System calls: dup dup2 dup3 fcntl flock ioctl.
 * Locks.      None.
 */
#include "fs/vfs/fd.h"
#include "fs/vfs/lock.h"
#include "kern/boot/initcall.h"
#include "kern/trap/syscall.h"
#include "kern/trap/usercopy.h"
#include "lib/abi/errno.h"
#include "lib/abi/sysno.h"
#include "lib/abi/termios.h"

/* flags that F_SETFL may change */
#define SETTABLE (O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME | O_ASYNC)

static long
sys_dup(int fd)
{
	return fd_dup(fd, 0, false);
}

static long
sys_dup2(int fd, int to)
{
	if (fd != to)
		return fd_dup_to(fd, to, false);
	return fd_get_cloexec(fd) < 0 ? -EBADF : to;
}

static long
sys_dup3(int fd, int to, uint32_t flags)
{
	if (flags & ~O_CLOEXEC || fd == to)
		return -EINVAL;
	return fd_dup_to(fd, to, flags & O_CLOEXEC);
}

/* ---- locks ---- */

/* A struct flock as a range of f. 0, -EINVAL, -EOVERFLOW. */
static int
flock_range(struct file *f, const struct flock *l, struct flk *out)
{
	int64_t base = 0, lo;

	if (l->l_whence < SEEK_SET || l->l_whence > SEEK_END)
		return -EINVAL;
	if (l->l_whence != SEEK_SET)
		base = l->l_whence == SEEK_CUR ? f->pos : f->inode->size;
	if (__builtin_add_overflow(base, l->l_start, &lo))
		return -EOVERFLOW;
	int64_t hi = INT64_MAX;
	if (l->l_len > 0 && __builtin_add_overflow(lo, l->l_len - 1, &hi))
		return -EOVERFLOW;
	if (l->l_len < 0) {
		hi = lo - 1;
		lo += l->l_len;
	}
	if (lo < 0)
		return -EINVAL;
	*out = (struct flk){ .ip = f->inode, .owner = fdtable_current(), .type = l->l_type,
		.lo = lo, .hi = hi == INT64_MAX ? ~0ul : (uint64_t)hi, .pid = current_proc()->pid };
	return 0;
}

static long
range_lock(struct file *f, int cmd, uint64_t ul)
{
	struct flock l;
	struct flk want, other;

	if (copyin(&l, ul, sizeof l))
		return -EFAULT;
	if (!f->inode || l.l_type < F_RDLCK || l.l_type > F_UNLCK || (cmd == F_GETLK && l.l_type == F_UNLCK))
		return -EINVAL;
	long err = flock_range(f, &l, &want);
	if (err)
		return err;
	if (cmd != F_GETLK) {
		if ((l.l_type == F_RDLCK && !file_readable(f)) || (l.l_type == F_WRLCK && !file_writable(f)))
			return -EBADF;
		return flk_set(&want, cmd == F_SETLKW);
	}
	if (flk_test(&want, &other)) {
		l.l_type = other.type;
		l.l_whence = SEEK_SET;
		l.l_start = other.lo;
		l.l_len = other.hi == ~0ul ? 0 : other.hi - other.lo + 1;
		l.l_pid = other.pid;
	} else {
		l.l_type = F_UNLCK;
	}
	return copyout(ul, &l, sizeof l);
}

static long
sys_flock(int fd, int op)
{
	struct file *f = fd_get(fd);
	int kind = op & ~LOCK_NB;

	if (!f)
		return -EBADF;
	long err = -EINVAL;
	if (f->flags & O_PATH || !f->inode) {
		err = -EBADF;
	} else if (kind == LOCK_SH || kind == LOCK_EX || kind == LOCK_UN) {
		struct flk want = { .ip = f->inode, .owner = f, .whole = true, .hi = ~0ul,
			.type = kind == LOCK_SH ? F_RDLCK : kind == LOCK_EX ? F_WRLCK : F_UNLCK };
		f->locked = true;
		err = flk_set(&want, !(op & LOCK_NB));
	}
	file_put(f);
	return err;
}

/* ---- fcntl, ioctl ---- */

static long
set_flags(struct file *f, uint32_t flags)
{
	uint32_t old = __atomic_load_n(&f->flags, __ATOMIC_RELAXED);
	__atomic_store_n(&f->flags, (old & ~SETTABLE) | (flags & SETTABLE), __ATOMIC_RELAXED);
	return 0;
}

static long
file_fcntl(struct file *f, int cmd, uint64_t arg)
{
	switch (cmd) {
	case F_GETFL:
		return f->flags | (f->path.dentry && !(f->flags & O_PATH) ? O_LARGEFILE : 0);
	case F_SETFL:
		return set_flags(f, arg);
	case F_GETLK:
	case F_SETLK:
	case F_SETLKW:
		return range_lock(f, cmd, arg);
	case F_GETOWN:
	case F_SETOWN:
		return 0;
	case F_SETPIPE_SZ:
	case F_GETPIPE_SZ:
		return f->inode || !f->ops->ioctl ? -EBADF : 65536;
	}
	return -EINVAL;
}

static long
sys_fcntl(int fd, int cmd, uint64_t arg)
{
	switch (cmd) {
	case F_DUPFD:
		return fd_dup(fd, arg > INT32_MAX ? -1 : (int)arg, false);
	case F_DUPFD_CLOEXEC:
		return fd_dup(fd, arg > INT32_MAX ? -1 : (int)arg, true);
	case F_GETFD:
		return fd_get_cloexec(fd);
	case F_SETFD:
		return fd_set_cloexec(fd, arg & FD_CLOEXEC);
	}
	struct file *f = fd_get(fd);
	if (!f)
		return -EBADF;
	long r = f->flags & O_PATH && cmd != F_GETFL ? -EBADF : file_fcntl(f, cmd, arg);
	file_put(f);
	return r;
}

static long
sys_ioctl(int fd, uint32_t cmd, uint64_t arg)
{
	uint32_t on;

	if (cmd == FIOCLEX || cmd == FIONCLEX)
		return fd_set_cloexec(fd, cmd == FIOCLEX);
	struct file *f = fd_get(fd);
	if (!f)
		return -EBADF;
	long r = -ENOTTY;
	if (f->flags & O_PATH)
		r = -EBADF;
	else if (cmd == FIONBIO)
		r = fetch_user32(&on, arg) ? -EFAULT : set_flags(f, on ? f->flags | O_NONBLOCK : f->flags & ~O_NONBLOCK);
	else if (f->ops->ioctl)
		r = f->ops->ioctl(f, cmd, arg);
	file_put(f);
	return r;
}

static void
fcntl_init(void)
{
	SYSCALL_REG(dup, sys_dup);
	SYSCALL_REG(dup2, sys_dup2);
	SYSCALL_REG(dup3, sys_dup3);
	SYSCALL_REG(fcntl, sys_fcntl);
	SYSCALL_REG(flock, sys_flock);
	SYSCALL_REG(ioctl, sys_ioctl);
}
INITCALL(7, fcntl_init);
