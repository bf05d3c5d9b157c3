/* pidlinks.c - what a process holds: mappings, open files, directories, mounts.               (lab 10)
 *
 * Idea.       cwd, root, exe and fd/N are symlinks that lead straight to the object, whatever has become of
 *             its name; their text is only for people. A pipe has no name: following its link goes to a FIFO
 *             made for the purpose, whose open gives one more open file of that pipe.
 * Interface.  None: a table, registered on the last lines.
 * Locks.      as->lock while mappings are copied out (mm_each); names are found afterwards.
 */
#include "fs/procfs/procfs.h"
#include "fs/vfs/dentry.h"
#include "fs/vfs/fd.h"
#include "fs/vfs/fsctx.h"
#include "fs/vfs/inode.h"
#include "fs/vfs/namei.h"
#include "fs/vfs/vmfile.h"
#include "kern/boot/initcall.h"
#include "kern/mem/kheap.h"
#include "lib/abi/errno.h"
#include "lib/abi/mman.h"
#include "lib/abi/mount.h"
#include "lib/kern/fmt.h"
#include "lib/kern/string.h"

/* ---- paths as text ---- */

/* The text of a path as the current process sees it, in buf (PATH_MAX). Returns it; " (deleted)" is added. */
static char *
path_text(const struct path *p, char *buf)
{
	struct path root;
	char *text;

	fsctx_paths(fsctx_current(), &root, NULL);
	int err = path_string(p, &root, buf, PATH_MAX - 16, &text);
	path_put(&root);
	if (err == -ENOENT) {
		size_t n = strlen(text);
		memmove(buf, text, n + 1);
		strlcat(buf, " (deleted)", PATH_MAX);
		text = buf;
	}
	return text;
}

/* As readlink returns it; drops the path's references. */
static long
link_text(struct path *p, char *buf, size_t size)
{
	char *tmp = kmalloc(PATH_MAX);
	long r = -ENOMEM;

	if (tmp) {
		char *text = path_text(p, tmp);
		size_t n = strlen(text);
		r = n < size ? n : size;
		memcpy(buf, text, r);
	}
	kfree(tmp);
	path_put(p);
	return r;
}

/* ---- cwd, root, exe ---- */

typedef int get_path(struct proc *p, int n, struct path *out);

static int
get_cwd(struct proc *p, int n, struct path *out)
{
	(void)n;
	return fsctx_proc_paths(p, NULL, out) ? -ENOENT : 0;
}

static int
get_root(struct proc *p, int n, struct path *out)
{
	(void)n;
	return fsctx_proc_paths(p, out, NULL) ? -ENOENT : 0;
}

static int
get_exe(struct proc *p, int n, struct path *out)
{
	struct aspace *as = proc_aspace(p);

	(void)n;
	if (!as)
		return -ENOENT;
	int err = source_path(as->exe, out);
	aspace_put(as);
	return err;
}

static long
text_of(get_path *get, struct proc *p, char *buf, size_t size)
{
	struct path path;
	int err = proc_may_look(p);

	if (!err)
		err = get(p, 0, &path);
	return err ? err : link_text(&path, buf, size);
}

static int
path_of(get_path *get, struct proc *p, struct path *out)
{
	int err = proc_may_look(p);
	return err ? err : get(p, 0, out);
}

static long
link_cwd(struct proc *p, int n, char *buf, size_t size)
{
	(void)n;
	return text_of(get_cwd, p, buf, size);
}

static int
follow_cwd(struct inode *ip, struct proc *p, int n, struct path *out)
{
	(void)ip, (void)n;
	return path_of(get_cwd, p, out);
}

static long
link_root(struct proc *p, int n, char *buf, size_t size)
{
	(void)n;
	return text_of(get_root, p, buf, size);
}

static int
follow_root(struct inode *ip, struct proc *p, int n, struct path *out)
{
	(void)ip, (void)n;
	return path_of(get_root, p, out);
}

static long
link_exe(struct proc *p, int n, char *buf, size_t size)
{
	(void)n;
	return text_of(get_exe, p, buf, size);
}

static int
follow_exe(struct inode *ip, struct proc *p, int n, struct path *out)
{
	(void)ip, (void)n;
	return path_of(get_exe, p, out);
}

/* ---- fd ---- */

/* The object that has no name behind a descriptor: what stat says of it, too. */
static long
link_fd(struct proc *p, int n, char *buf, size_t size)
{
	int err = proc_may_look(p);
	struct file *f = err ? NULL : fd_get_of(p, n);
	long r;

	if (!f)
		return err ? err : -ENOENT;
	if (f->path.dentry) {
		struct path path = path_get(&f->path);
		r = link_text(&path, buf, size);
	} else {
		char text[32];
		int len = snprintf(text, sizeof text, "pipe:[%lu]", (uint64_t)f->priv >> 4 & 0xffffffff);
		r = (size_t)len < size ? len : (long)size;
		memcpy(buf, text, r);
	}
	file_put(f);
	return r;
}

/* Open the FIFO that stands for a pipe: one more file of what the process's descriptor refers to. */
static int
pipe_link_open(struct inode *ip, struct file *f)
{
	int n;
	struct proc *p = procfs_proc_of(ip, &n);
	struct file *from = p ? fd_get_of(p, n) : NULL;
	int err = -ENOENT;

	if (p)
		proc_put(p);
	if (from && !from->path.dentry) {
		err = -ENXIO;
		if (from->ops->open) {
			f->priv = from->priv;
			err = from->ops->open(NULL, f);
			f->priv = err ? NULL : f->priv;
			f->ops = err ? f->ops : from->ops;
		}
	}
	if (from)
		file_put(from);
	return err;
}

static const struct file_ops pipe_link_ops = { .open = pipe_link_open };

/* The FIFO for descriptor link ip: a dentry without a place in any directory. */
static int
make_pipe_path(struct inode *link, struct path *out)
{
	struct inode *ip;
	struct mount *m = mount_next(NULL);

	while (m && m->sb != link->sb)
		m = mount_next(m);
	int err = m ? inode_get(link->sb, link->ino | 1ul << 63, &ip) : -ENOENT;
	if (!err && ip->flags & I_NEW) {
		ip->mode = S_IFIFO | 0600;
		ip->uid = cred_uid();
		ip->nlink = 1;
		ip->fops = &pipe_link_ops;
		inode_unlock_new(ip);
	}
	if (!err)
		err = dentry_add(link->sb->root, "pipe", 4, ip, &out->dentry);
	if (err && m)
		mount_put(m);
	out->mnt = m;
	return err;
}

static int
follow_fd(struct inode *ip, struct proc *p, int n, struct path *out)
{
	int err = proc_may_look(p);
	struct file *f = err ? NULL : fd_get_of(p, n);

	if (!f)
		return err ? err : -ENOENT;
	if (f->path.dentry)
		*out = path_get(&f->path);
	else
		err = make_pipe_path(ip, out);
	file_put(f);
	return err;
}

static int
list_fd(struct proc *p, int n)
{
	return fd_next_of(p, n);
}

static int
list_task(struct proc *p, int n)
{
	int next = -1;

	spin_lock(&p->lock);
	list_for_each(t, &p->threads, struct thread, proc_link)
		if (t->tid >= n && (next < 0 || t->tid < next))
			next = t->tid;
	spin_unlock(&p->lock);
	return next;
}

/* ---- maps ---- */

/* One mapping, copied out under as->lock. */
struct map_row {
	uint64_t lo, hi, off, dev, ino;
	int prot, flags;
	struct inode *ip;          /* referenced; NULL: no file */
};

struct map_rows {
	struct map_row *row;
	int n, size;
};

static int
count_map(const struct mapping *m, void *arg)
{
	(void)m;
	++*(int *)arg;
	return 0;
}

static int
copy_map(const struct mapping *m, void *arg)
{
	struct map_rows *o = arg;
	if (o->n == o->size)
		return 1;
	struct map_row *r = &o->row[o->n++];
	*r = (struct map_row){ .lo = m->lo, .hi = m->hi, .prot = m->prot, .flags = m->flags };
	if (m->object) {
		r->off = m->index * PAGE_SIZE;
		if (m->object->ops->ids)
			m->object->ops->ids(m->object, &r->dev, &r->ino);
		if (m->object->ops == &inode_map_ops)
			r->ip = inode_ref(inode_of_object(m->object));
	}
	return 0;
}

static void
show_row(struct seq *s, const struct map_row *r, const struct aspace *as, char *buf)
{
	struct path path;
	size_t start = s->len;

	seq_printf(s, "%08lx-%08lx %c%c%c%c %08lx %02x:%02x %lu", r->lo, r->hi, r->prot & PROT_READ ? 'r' : '-',
		r->prot & PROT_WRITE ? 'w' : '-', r->prot & PROT_EXEC ? 'x' : '-', r->flags & MAP_SHARED ? 's' : 'p',
		r->off, major(r->dev), minor(r->dev), r->ino);
	const char *name = NULL;
	if (r->ip && inode_path(r->ip, &path) == 0) {
		name = path_text(&path, buf);
		path_put(&path);
	} else if (r->hi == as->stack_top) {
		name = "[stack]";
	} else if (!r->ip && r->lo < as->brk && r->hi > as->brk_start) {
		name = "[heap]";
	}
	while (name && s->len < start + 72)
		seq_put(s, " ", 1);
	seq_printf(s, " %s\n", name ? name : "");
}

static int
show_maps(struct seq *s, struct proc *p)
{
	struct aspace *as;
	struct map_rows o = { 0 };
	int err = proc_may_look(p);

	if (err || !(as = proc_aspace(p)))
		return err;
	mm_each(as, count_map, &o.size);
	o.row = kmalloc(o.size * sizeof *o.row + 1);
	char *buf = kmalloc(PATH_MAX);
	if (o.row && buf)
		mm_each(as, copy_map, &o);
	else
		err = -ENOMEM;
	for (int i = 0; i < o.n; i++) {
		show_row(s, &o.row[i], as, buf);
		if (o.row[i].ip)
			inode_put(o.row[i].ip);
	}
	kfree(buf);
	kfree(o.row);
	aspace_put(as);
	return err;
}

/* ---- mounts ---- */

/* Text with what would break the format as octal escapes. */
static void
put_escaped(struct seq *s, const char *text)
{
	for (; *text; text++) {
		if (strchr(" \t\n\\", *text))
			seq_printf(s, "\\%03o", *text);
		else
			seq_put(s, text, 1);
	}
}

static void
show_mount(struct seq *s, struct mount *m, char *buf)
{
	static const struct { unsigned long flag; const char *name; } names[] = {
		{ MS_NOSUID, ",nosuid" }, { MS_NODEV, ",nodev" }, { MS_NOEXEC, ",noexec" }, { MS_NOATIME, ",noatime" },
	};
	struct path at = { m, m->root };

	put_escaped(s, m->source);
	seq_put(s, " ", 1);
	put_escaped(s, path_text(&at, buf));
	seq_printf(s, " %s %s", m->sb->type->name, path_readonly(&at) ? "ro" : "rw");
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (m->flags & names[i].flag)
			seq_put(s, names[i].name, strlen(names[i].name));
	seq_printf(s, "%s 0 0\n", m->flags & MS_NOATIME ? "" : ",relatime");
}

static int
show_mounts(struct seq *s, struct proc *p)
{
	char *buf = kmalloc(PATH_MAX);

	(void)p;
	if (!buf)
		return -ENOMEM;
	for (struct mount *m = mount_next(NULL); m; m = mount_next(m))
		show_mount(s, m, buf);
	kfree(buf);
	return 0;
}

/* ---- self ---- */

static long
put_text(char *buf, size_t size, const char *text)
{
	size_t n = strlen(text);
	n = n < size ? n : size;
	memcpy(buf, text, n);
	return n;
}

static long
link_self(struct proc *p, int n, char *buf, size_t size)
{
	char text[32];

	(void)p, (void)n;
	if (!current_proc())
		return -ENOENT;
	snprintf(text, sizeof text, "%d", current_proc()->pid);
	return put_text(buf, size, text);
}

static long
link_thread_self(struct proc *p, int n, char *buf, size_t size)
{
	char text[32];

	(void)p, (void)n;
	if (!current_proc())
		return -ENOENT;
	snprintf(text, sizeof text, "%d/task/%d", current_proc()->pid, current()->tid);
	return put_text(buf, size, text);
}

static long
link_mounts(struct proc *p, int n, char *buf, size_t size)
{
	(void)p, (void)n;
	return put_text(buf, size, "self/mounts");
}

static const struct proc_entry fd_member = { .mode = S_IFLNK | 0700, .link = link_fd, .follow = follow_fd };
static const struct proc_entry task_member = { .name = PROC_PID, .mode = S_IFDIR | 0555 };

static struct proc_entry table[] = {
	{ .dir = "", .name = "self", .mode = S_IFLNK | 0777, .link = link_self },
	{ .dir = "", .name = "thread-self", .mode = S_IFLNK | 0777, .link = link_thread_self },
	{ .dir = "", .name = "mounts", .mode = S_IFLNK | 0777, .link = link_mounts },
	{ .dir = PROC_PID, .name = "mounts", .mode = S_IFREG | 0444, .show = show_mounts },
	{ .dir = PROC_PID, .name = "maps", .mode = S_IFREG | 0444, .show = show_maps },
	{ .dir = PROC_PID, .name = "cwd", .mode = S_IFLNK | 0777, .link = link_cwd, .follow = follow_cwd },
	{ .dir = PROC_PID, .name = "root", .mode = S_IFLNK | 0777, .link = link_root, .follow = follow_root },
	{ .dir = PROC_PID, .name = "exe", .mode = S_IFLNK | 0777, .link = link_exe, .follow = follow_exe },
	{ .dir = PROC_PID, .name = "fd", .mode = S_IFDIR | 0500, .list = list_fd, .member = &fd_member },
	{ .dir = PROC_PID, .name = "task", .mode = S_IFDIR | 0555, .list = list_task, .member = &task_member },
};

static void
pidlinks_init(void)
{
	procfs_register(table, sizeof table / sizeof table[0]);
}
INITCALL(10, pidlinks_init);
