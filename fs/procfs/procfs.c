/* procfs.c - /proc: a file system whose files are functions.                                  (lab 10)
 *
 * Idea.       Nothing is stored. A name is looked up in tables of entries (procfs_register) or is a number,
 *             and the inode's number says which it is, so an inode needs no memory of its own and cannot
 *             outlive what it talks about:
 *
 *                 ino = pid << 32 | entry index << 20 | number + 1       pid 0: not about a process
 *
 *             Reading a file from its start runs its show function into a text, which later reads continue.
 * Interface.  procfs_register; type "proc".
 * Invariants. I1 everything about a process is found by pid at each use: -ENOENT or -ESRCH when it has gone
 * meanwhile.
 *             I2 the super is `uncached`: every lookup asks again.
 * Locks.      ip->lock guards the text of its open files.
 */
#include "fs/procfs/procfs.h"

#include "fs/vfs/inode.h"
#include "fs/vfs/namei.h"
#include "kern/boot/initcall.h"
#include "kern/mem/kheap.h"
#include "kern/trap/clock.h"
#include "kern/trap/usercopy.h"
#include "lib/abi/dirent.h"
#include "lib/abi/errno.h"
#include "lib/kern/fmt.h"
#include "lib/kern/string.h"

#define MAX_ENTRIES 128
#define ROOT_INDEX 0
#define FIRST_PID_POS 1000   /* directory offsets from here on are pids */
#define NUMBER_MASK 0xfffff

static struct proc_entry root_entry = { .dir = NULL, .name = "", .mode = S_IFDIR | 0555 };
static struct proc_entry *entries[MAX_ENTRIES] = { &root_entry };
static int nentries = 1;

/* The directory /proc/PID itself. */
static struct proc_entry pid_entry = { .dir = NULL, .name = PROC_PID, .mode = S_IFDIR | 0555 };

void
procfs_register(struct proc_entry *table, int n)
{
	for (int i = 0; i < n && nentries < MAX_ENTRIES; i++) {
		table[i].index = nentries;
		entries[nentries++] = &table[i];
	}
}

/* ---- inode numbers ---- */

static uint64_t
make_ino(int pid, int index, int number)
{
	return (uint64_t)pid << 32 | (uint64_t)index << 20 | (uint32_t)(number + 1);
}

static int ino_pid(uint64_t ino) { return ino >> 32 & INT32_MAX; }
static int ino_number(uint64_t ino) { return (int)(ino & NUMBER_MASK) - 1; }

/* What an inode number stands for: an entry, or with a number below a list entry its member. */
static const struct proc_entry *
entry_of(uint64_t ino)
{
	const struct proc_entry *e = entries[ino >> 20 & 0xfff];
	return e->list && ino_number(ino) >= 0 ? e->member : e;
}

struct proc *
procfs_proc_of(struct inode *ip, int *n)
{
	*n = ino_number(ip->ino);
	return proc_find(ino_pid(ip->ino));
}

int
proc_may_look(struct proc *p)
{
	return cred_is_root() || cred_uid() == p->cred.euid ? 0 : -EACCES;
}

/* ---- files ---- */

/* Run the show function of f's inode into a fresh text. No lock is held: it may look at mounts, files,
 * memory. */
static int
render(struct file *f, struct seq *s)
{
	const struct proc_entry *e = entry_of(f->inode->ino);
	int pid = ino_pid(f->inode->ino);
	struct proc *p = pid ? proc_find(pid) : NULL;

	if (pid && !p)
		return -ESRCH;
	int err = e->show(s, p);
	if (!err && s->failed)
		err = -ENOMEM;
	if (p)
		proc_put(p);
	return err;
}

/* The first read makes the text, later ones go on in it; a read from the start makes it again. */
static long
text_read(struct file *f, uint64_t ubuf, size_t n, uint64_t *pos)
{
	struct seq *s = f->priv, fresh = { 0 };
	long r = 0;

	if (*pos == 0 || !s->buf)
		r = render(f, &fresh);
	mutex_lock(&f->inode->lock);
	if (!r && fresh.buf) {
		struct seq old = *s;
		*s = fresh;
		fresh = old;
	}
	if (!r && *pos < s->len) {
		size_t len = n < s->len - *pos ? n : s->len - *pos;
		r = len - copyout_partial(ubuf, s->buf + *pos, len);
		if (!r)
			r = -EFAULT;
		else
			*pos += r;
	}
	mutex_unlock(&f->inode->lock);
	seq_free(&fresh);
	return r;
}

static int
text_open(struct inode *ip, struct file *f)
{
	(void)ip;
	f->priv = kzalloc(sizeof(struct seq));
	return f->priv ? 0 : -ENOMEM;
}

static void
text_release(struct file *f)
{
	if (f->priv)
		seq_free(f->priv);
	kfree(f->priv);
}

static long
text_seek(struct file *f, int64_t off, int whence)
{
	if (whence == SEEK_CUR)
		off += f->pos;
	else if (whence != SEEK_SET)
		return -EINVAL;
	if (off < 0)
		return -EINVAL;
	f->pos = off;
	return off;
}

static const struct file_ops text_ops = {
	.open = text_open,
	.release = text_release,
	.read = text_read,
	.seek = text_seek,
};

/* ---- symlinks ---- */

static long
proc_readlink(struct inode *ip, char *buf, size_t size)
{
	const struct proc_entry *e = entry_of(ip->ino);
	int pid = ino_pid(ip->ino);
	struct proc *p = pid ? proc_find(pid) : NULL;

	if (pid && !p)
		return -ENOENT;
	long r = e->link(p, ino_number(ip->ino), buf, size);
	if (p)
		proc_put(p);
	return r;
}

static int
proc_follow(struct inode *ip, struct path *out)
{
	const struct proc_entry *e = entry_of(ip->ino);
	struct proc *p = proc_find(ino_pid(ip->ino));

	if (!p)
		return -ENOENT;
	int err = e->follow(ip, p, ino_number(ip->ino), out);
	proc_put(p);
	return err;
}

/* ---- inodes ---- */

/* Owner and times change with the process: files belong to whom it runs as. */
static int
proc_attr(struct inode *ip)
{
	int pid = ino_pid(ip->ino);
	struct proc *p = pid ? proc_find(pid) : NULL;

	if (pid && !p)
		return -ENOENT;
	if (p) {
		ip->uid = p->cred.euid;
		ip->gid = p->cred.egid;
		proc_put(p);
	}
	ip->atime = ip->mtime = ip->ctime = clock_wall_ns();
	return 0;
}

static const struct dir_ops proc_dir_ops;
static const struct inode_ops plain_ops = { .attr = proc_attr };
static const struct inode_ops link_ops = { .attr = proc_attr, .readlink = proc_readlink };
static const struct inode_ops follow_ops = {
	.attr = proc_attr,
	.readlink = proc_readlink,
	.follow = proc_follow,
};

static int
proc_inode(struct super *sb, uint64_t ino, struct inode **out)
{
	const struct proc_entry *e = entry_of(ino);
	struct inode *ip;
	int err = inode_get(sb, ino, &ip);

	if (err)
		return err;
	*out = ip;
	if (!(ip->flags & I_NEW))
		return proc_attr(ip);
	ip->mode = e->mode;
	ip->nlink = S_ISDIR(e->mode) ? 2 : 1;
	ip->iops = e->follow ? &follow_ops : e->link ? &link_ops : &plain_ops;
	if (S_ISDIR(e->mode))
		ip->dops = &proc_dir_ops;
	else if (e->show)
		ip->fops = &text_ops;
	proc_attr(ip);
	inode_unlock_new(ip);
	return 0;
}

/* ---- directories ---- */

/* Does entry e belong into the directory `dir`, whose own path is (dir->dir, dir->name)? */
static bool
is_in(const struct proc_entry *e, const struct proc_entry *dir)
{
	char path[32];

	if (!e->dir || (e->member && e->member == dir))      /* task/TID has no task */
		return false;
	if (!dir->dir)
		return !strcmp(e->dir, dir->name);
	snprintf(path, sizeof path, "%s%s%s", dir->dir, *dir->dir ? "/" : "", dir->name);
	return !strcmp(e->dir, path);
}

/* The number that a name is, or -1. */
static int
parse_number(const char *name, size_t len)
{
	int n = 0;

	if (!len || len > 8 || (len > 1 && name[0] == '0'))
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (name[i] < '0' || name[i] > '9')
			return -1;
		n = n * 10 + (name[i] - '0');
	}
	return n;
}

/* A name in a list directory (fd, task): is that number there? */
static int
lookup_number(struct inode *dir, const struct proc_entry *e, int n, struct inode **out)
{
	struct proc *p = proc_find(ino_pid(dir->ino));

	if (!p)
		return -ENOENT;
	bool there = n >= 0 && n < NUMBER_MASK && e->list(p, n) == n;
	proc_put(p);
	return there ? proc_inode(dir->sb, make_ino(ino_pid(dir->ino), e->index, n), out) : -ENOENT;
}

static bool
process_exists(int pid)
{
	struct proc *p = proc_find(pid);

	if (p)
		proc_put(p);
	return p;
}

static int
proc_lookup(struct inode *dir, const char *name, size_t len, struct inode **out)
{
	const struct proc_entry *d = entry_of(dir->ino);
	int pid = ino_pid(dir->ino), n = parse_number(name, len);

	if (d->list)
		return lookup_number(dir, d, n, out);
	if (d == &root_entry && n > 0)
		return process_exists(n) ? proc_inode(dir->sb, make_ino(n, pid_entry.index, -1), out) : -ENOENT;
	if (pid > 0 && !process_exists(pid))
		return -ESRCH;
	for (int i = 1; i < nentries; i++)
		if (is_in(entries[i], d) && strlen(entries[i]->name) == len && !memcmp(entries[i]->name, name, len))
			return proc_inode(dir->sb, make_ino(pid, i, -1), out);
	return -ENOENT;
}

static int
type_of(const struct proc_entry *e)
{
	return (e->mode & S_IFMT) >> 12;
}

static int
emit_number(int n, uint64_t ino, int type, uint64_t next, emit_fn *emit, void *arg)
{
	char name[12];
	int len = snprintf(name, sizeof name, "%d", n);
	return emit(arg, name, len, ino, type, next);
}

/* /proc itself, after its entries: every process. */
static void
list_processes(uint64_t *pos, emit_fn *emit, void *arg)
{
	int last = *pos - FIRST_PID_POS;
	struct proc *p;

	while ((p = proc_next(&last))) {
		proc_put(p);
		if (emit_number(last, make_ino(last, pid_entry.index, -1), DT_DIR, FIRST_PID_POS + last, emit, arg))
			return;
		*pos = FIRST_PID_POS + last;
	}
}

static int
list_numbers(struct inode *dir, const struct proc_entry *d, uint64_t *pos, emit_fn *emit, void *arg)
{
	int pid = ino_pid(dir->ino);
	struct proc *p = proc_find(pid);

	if (!p)
		return -ENOENT;
	for (int n = *pos - 2; (n = d->list(p, n)) >= 0; n++) {
		if (emit_number(n, make_ino(pid, d->index, n), type_of(d->member), n + 3, emit, arg))
			break;
		*pos = n + 3;
	}
	proc_put(p);
	return 0;
}

static int
proc_readdir(struct inode *dir, uint64_t *pos, emit_fn *emit, void *arg)
{
	const struct proc_entry *d = entry_of(dir->ino);
	int pid = ino_pid(dir->ino);

	if (d->list)
		return list_numbers(dir, d, pos, emit, arg);
	for (uint64_t i = *pos - 1; i < (uint64_t)nentries && *pos < FIRST_PID_POS; i++) {
		const struct proc_entry *e = entries[i];
		if (is_in(e, d) && emit(arg, e->name, strlen(e->name), make_ino(pid, i, -1), type_of(e), i + 2))
			return 0;
		*pos = i + 2;
	}
	if (d != &root_entry)
		return 0;
	if (*pos < FIRST_PID_POS)
		*pos = FIRST_PID_POS;
	list_processes(pos, emit, arg);
	return 0;
}

static const struct dir_ops proc_dir_ops = { .lookup = proc_lookup, .readdir = proc_readdir };

/* ---- the file system ---- */

static int
proc_statfs(struct super *sb, struct statfs *st)
{
	(void)sb;
	st->f_type = PROC_SUPER_MAGIC;
	return 0;
}

static const struct super_ops proc_super_ops = { .statfs = proc_statfs };

static int
proc_mount(struct fs_type *t, struct blockdev *bdev, unsigned long flags, const char *data,
	struct super **out)
{
	struct super *sb = super_new(t, &proc_super_ops);
	struct inode *root;

	(void)bdev, (void)flags, (void)data;
	if (!sb)
		return -ENOMEM;
	sb->uncached = true;
	int err = proc_inode(sb, make_ino(0, ROOT_INDEX, -1) + 1, &root);
	if (!err)
		err = super_set_root(sb, root);
	if (err) {
		super_free(sb);
		return err;
	}
	*out = sb;
	return 0;
}

static struct fs_type proc_type = { .name = "proc", .mount = proc_mount };

static void
procfs_init(void)
{
	procfs_register(&pid_entry, 1);
	fs_register(&proc_type);
}
INITCALL(10, procfs_init);
