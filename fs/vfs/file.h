/* file.h - open files, descriptors, and what a file can do.                                  (lab 7) */
#ifndef FS_VFS_FILE_H
#define FS_VFS_FILE_H

#include "fs/vfs/vfs.h"
#include "lib/abi/fcntl.h"
#include "lib/abi/poll.h"

struct mount;
struct path { struct mount *mnt; struct dentry *dentry; };       /* path_get/path_put in namei.h */

/* poll: a file adds its wait queues with poll_wait and returns the events that hold now (POLLIN...). ctx
 * NULL: only report. */
struct pollctx;
void poll_wait(struct pollctx *ctx, struct waitq *q);

/* Implementer's contract. ubuf is user memory: use copyin/copyout. pos: the file's offset, or pread's;
 * streams ignore it (seekable false). Called with no spinlock; f is referenced. Errors -errno; read returns 0
 * at the end. NULL: -EINVAL (read, write), -ENOTTY (ioctl), always ready (poll), success (fsync, open). */
struct file_ops {
	int  (*open)(struct inode *ip, struct file *f);      /* f->flags set; may replace f->ops and set f->priv */
	void (*release)(struct file *f);                     /* last reference */
	long (*read)(struct file *f, uint64_t ubuf, size_t n, uint64_t *pos);
	long (*write)(struct file *f, uint64_t ubuf, size_t n, uint64_t *pos);
	long (*ioctl)(struct file *f, uint32_t cmd, uint64_t arg);
	int  (*poll)(struct file *f, struct pollctx *ctx);
	int  (*fsync)(struct file *f, bool datasync);
	/* referenced object to mmap; NULL member: -ENODEV */
	struct map_object *(*map)(struct file *f, int prot, int flags, int *err);
	long (*seek)(struct file *f, int64_t off, int whence);       /* NULL: -ESPIPE */
};

/* key: I immutable after open; a atomic; p pos_lock when refs > 1 */
struct file {
	uint32_t refs;             /* [a] */
	uint32_t flags;            /* [a] O_* status flags and access mode */
	const struct file_ops *ops;    /* [I] */
	struct inode *inode;       /* [I] NULL only for anonymous pipes' like objects */
	struct path path;          /* [I] dentry NULL: none */
	uint64_t pos;              /* [p] */
	struct mutex pos_lock;     /* RANK_VFS(80) */
	uint64_t ra_next, ra_size, ra_end;   /* [p] read-ahead state, pages (pageread.c); hints only */
	bool locked;               /* [a] flock was used */
	bool writes;               /* [I] after open: counted in inode->writers */
	void *priv;                /* ops' own */
};

/* -ENFILE, -ENOMEM; takes over ip's reference */
int  file_new(const struct file_ops *ops, struct inode *ip, uint32_t flags, struct file **out);
void file_close(struct file *f);                 /* file_put's: the last reference is gone */

static inline struct file *
file_ref(struct file *f)
{
	__atomic_add_fetch(&f->refs, 1, __ATOMIC_RELAXED);
	return f;
}

static inline void
file_put(struct file *f)
{
	if (!__atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL))
		file_close(f);
}

uint32_t file_count(void);
/* kernel path, current's root */
int  file_open(const char *path, uint32_t flags, uint32_t mode, struct file **out);

/* Descriptors of the current process. fd_get: referenced file or NULL (fast when the table is not shared: see
 * fd.c). */
struct file *fd_get(int fd);
/* takes over the reference; lowest free >= min; -EMFILE */
int  fd_install(struct file *f, int min, bool cloexec);
int  fd_close(int fd);

static inline bool file_readable(const struct file *f) { return (f->flags & O_ACCMODE) != O_WRONLY; }
static inline bool file_writable(const struct file *f) { return (f->flags & O_ACCMODE) != O_RDONLY; }

/* Devices: opening an inode of this rdev uses these ops. major alone: any minor (minor -1). */
/* shown in devfs under name when not NULL */
int  chardev_register(int major, int minor, const char *name, uint32_t mode, const struct file_ops *ops,
	void *priv);
/* bdev.c: how block special files open */
void device_set_block_open(int (*open)(struct inode *ip, struct file *f));
/* Next registered device for devfs; NULL: first. */
struct chardev {
	int major, minor;
	const char *name;
	uint32_t mode;
	const struct file_ops *ops;
	void *priv;
	struct chardev *next;
};
struct chardev *chardev_next(struct chardev *d);
#define MKDEV(ma, mi) ((uint32_t)((((ma) & 0xfff) << 8) | ((mi) & 0xff) | (((uint32_t)(mi) & 0xfff00) << 12)))

/* What a file system sets as ip->fops: of character and block special files (dev.c: their open looks rdev up)
 * and FIFOs (pipe.c). */
extern const struct file_ops device_ops;
extern const struct file_ops fifo_ops;

#endif
