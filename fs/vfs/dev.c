/* dev.c - which driver a device number means.                                                 (lab 7)
 *
 * Idea.       A special file is only a number (major, minor) with a name, on any file system. Opening it
 *             looks the number up here and gives the open file the driver's operations.
 * Interface.  chardev_register for drivers; device_ops for file systems; chardev_next for devfs.
 * Invariants. I1 the list only grows, and each entry is complete before it can be seen.
 * Locks.      None: registered at boot, by one CPU.
 */
#include "fs/vfs/file.h"
#include "kern/mem/kheap.h"
#include "lib/abi/errno.h"

static struct chardev *chardevs, **chardevs_end = &chardevs;
static int (*block_open)(struct inode *ip, struct file *f);

/* Make a character device known.
 *
 * Requires: boot; name and ops stay; minor -1: all minors of the major that are not registered by themselves.
 * Returns:  0, -EEXIST, -ENOMEM.
 */
int
chardev_register(int major, int minor, const char *name, uint32_t mode, const struct file_ops *ops,
	void *priv)
{
	struct chardev *d;

	for (d = chardevs; d; d = d->next)
		if (d->major == major && d->minor == minor)
			return -EEXIST;
	d = kzalloc(sizeof *d);
	if (!d)
		return -ENOMEM;
	*d = (struct chardev){ major, minor, name, mode, ops, priv, NULL };
	__atomic_store_n(chardevs_end, d, __ATOMIC_RELEASE);
	chardevs_end = &d->next;
	return 0;
}

struct chardev *
chardev_next(struct chardev *d)
{
	return __atomic_load_n(d ? &d->next : &chardevs, __ATOMIC_ACQUIRE);
}

static struct chardev *
chardev_find(uint32_t rdev)
{
	int major = rdev >> 8 & 0xfff, minor = (rdev & 0xff) | (rdev >> 12 & 0xfff00);
	struct chardev *any = NULL;

	for (struct chardev *d = NULL; (d = chardev_next(d)); ) {
		if (d->major == major && d->minor == minor)
			return d;
		if (d->major == major && d->minor == -1)
			any = d;
	}
	return any;
}

/* Who opens block devices (bdev.c). */
void
device_set_block_open(int (*open)(struct inode *ip, struct file *f))
{
	block_open = open;
}

/* Open a special file: f gets the driver's ops and priv, then the driver's own open runs. -ENXIO: no such
 * device. */
static int
device_open(struct inode *ip, struct file *f)
{
	struct chardev *d;
	int err;

	if (S_ISBLK(ip->mode))
		return block_open ? block_open(ip, f) : -ENXIO;
	d = chardev_find(ip->rdev);
	if (!d)
		return -ENXIO;
	f->ops = d->ops;
	f->priv = d->priv;
	err = d->ops->open ? d->ops->open(ip, f) : 0;
	if (err) {                             /* nothing to release */
		f->ops = &device_ops;
		f->priv = NULL;
	}
	return err;
}

const struct file_ops device_ops = { .open = device_open };
