/* synccall.c - sync, fsync, fadvise.                                                          (lab 7)
 *
 * Interface.  System calls: sync syncfs fsync fdatasync sync_file_range fadvise64.
 * Locks.      None.
 */
#include "fs/vfs/fd.h"
#include "fs/vfs/pageread.h"
#include "fs/vfs/writeback.h"
#include "kern/boot/initcall.h"
#include "kern/trap/syscall.h"
#include "lib/abi/errno.h"
#include "lib/abi/sysno.h"

static long
sys_sync(void)
{
	vfs_sync_all(true);
	return 0;
}

static long
do_fsync(int fd, bool datasync)
{
	struct file *f = fd_get(fd);

	if (!f)
		return -EBADF;
	long err = f->flags & O_PATH ? -EBADF : f->ops->fsync ? f->ops->fsync(f, datasync) : !f->inode ? -EINVAL : 0;
	file_put(f);
	return err;
}

static long
sys_fsync(int fd)
{
	return do_fsync(fd, false);
}

static long
sys_fdatasync(int fd)
{
	return do_fsync(fd, true);
}

static long
sys_syncfs(int fd)
{
	struct file *f = fd_get(fd);

	if (!f)
		return -EBADF;
	long err = f->inode ? super_sync(f->inode->sb, true) : -EBADF;
	file_put(f);
	return err;
}

static long
sys_sync_file_range(int fd, int64_t off, int64_t len, uint32_t flags)
{
	struct file *f = fd_get(fd);
	long err = 0;

	if (!f)
		return -EBADF;
	if (off < 0 || len < 0 || flags & ~7u)
		err = -EINVAL;
	else if (!f->inode || !S_ISREG(f->inode->mode))
		err = -ESPIPE;
	else
		err = pagecache_sync(f->inode, off >> PAGE_SHIFT,
			len ? ((uint64_t)off + len - 1) >> PAGE_SHIFT : ~0ul, flags & 5);
	file_put(f);
	return err;
}

static long
sys_fadvise64(int fd, int64_t off, int64_t len, int advice)
{
	struct file *f = fd_get(fd);
	long err = 0;

	if (!f)
		return -EBADF;
	struct inode *ip = f->inode;
	if (!ip || !f->ops->seek)
		err = -ESPIPE;
	else if (advice < POSIX_FADV_NORMAL || advice > POSIX_FADV_NOREUSE || off < 0 || len < 0)
		err = -EINVAL;
	else if (advice == POSIX_FADV_DONTNEED && S_ISREG(ip->mode)) {
		pagecache_sync(ip, 0, ~0ul, true);
		pagecache_drop(ip);
	} else if (advice == POSIX_FADV_WILLNEED && S_ISREG(ip->mode)) {
		pagecache_start(ip, off >> PAGE_SHIFT, len && len < 4 << 20 ? (len >> PAGE_SHIFT) + 1 : 1024);
	}
	file_put(f);
	return err;
}

static void
synccall_init(void)
{
	SYSCALL_REG(sync, sys_sync);
	SYSCALL_REG(syncfs, sys_syncfs);
	SYSCALL_REG(fsync, sys_fsync);
	SYSCALL_REG(fdatasync, sys_fdatasync);
	SYSCALL_REG(sync_file_range, sys_sync_file_range);
	SYSCALL_REG(fadvise64, sys_fadvise64);
}
INITCALL(7, synccall_init);
