/* namei.c - from names to paths.                                                              (lab 7)
 *
 * Idea.       Two walkers. path_peek goes over cached names without taking anything, for the many lookups
 *             that need no surprise: no symlink to follow, nothing to ask a disk. When it gives up or was
 *             disturbed, walk_run does it with references and, where the cache does not know, under sb->ns
 *             with the file system's lookup.
 *
 *               "a/b/c":  path --a--> name_lookup --enter mounts--> symlink? --yes--> rest = target + "/b/c"
 *                                                                      `--no--> path = a, and on with "b/c"
 *
 * Interface.  namei.h.
 * Invariants. I1 w->path and w->root are referenced from walk_begin to walk_end.  I2 at most 40 symlinks are
 * followed in a walk.
 *             I3 `..` never leaves w->root.
 * Locks.      sb->ns of one file system at a time.
 */
#include "fs/vfs/namei.h"

#include "fs/vfs/fd.h"
#include "fs/vfs/fsctx.h"
#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "kern/trap/usercopy.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

#define MAX_LINKS 40

/* ---- one name ---- */

/* The dentry of name in dir, referenced; negative when the directory has no such name.
 *
 * Requires: dir->sb->ns held.
 * Returns:  0; -ENOTDIR; -ENOENT when dir itself was removed; -ENOMEM, -EIO or what the file system says. May
 *           sleep.
 */
int
name_lookup_locked(struct dentry *dir, const char *name, size_t len, struct dentry **out)
{
	struct inode *ip = NULL;

	if (len > NAME_MAX)
		return -ENAMETOOLONG;
	if (!dir->inode || !dir->inode->dops)
		return -ENOTDIR;
	*out = dentry_find(dir, name, len);
	if (*out)
		return 0;
	if (!dir->inode->nlink)
		return -ENOENT;
	int err = dir->inode->dops->lookup(dir->inode, name, len, &ip);
	if (err && err != -ENOENT)
		return err;
	return dentry_add(dir, name, len, err ? NULL : ip, out);
}

int
name_lookup(struct dentry *dir, const char *name, size_t len, struct dentry **out)
{
	*out = len <= NAME_MAX ? dentry_find(dir, name, len) : NULL;
	if (*out)
		return 0;
	mutex_lock(&dir->sb->ns);
	int err = name_lookup_locked(dir, name, len, out);
	mutex_unlock(&dir->sb->ns);
	return err;
}

/* ---- the lock-free walker ---- */

static bool
may_search(const struct inode *ip, bool root)
{
	return S_ISDIR(ip->mode) && (root || inode_permission(ip, MAY_EXEC) == 0);
}

/* Bits 7 of the bytes of w that are zero; those above the lowest one may be wrong. */
static uint64_t
zero_bytes(uint64_t w)
{
	return (w - 0x0101010101010101ul) & ~w & 0x8080808080808080ul;
}

/* Describe the component at s. Words are read to up to seven bytes past its end. Returns false when it is too
 * long to peek. */
static inline bool
scan_name(const struct dentry *parent, const char *s, struct qname *q)
{
	uint64_t h = (uint64_t)parent, w, end;
	size_t n = 0;

	q->s = s;
	q->first = name_word(s);
	for (;; n += 8) {
		w = name_word(s + n);
		end = zero_bytes(w) | zero_bytes(w ^ 0x2f2f2f2f2f2f2f2ful);     /* NUL or '/' */
		if (end)
			break;
		h = name_hash_add(h, w);
	}
	w &= ((end & -end) - 1) >> 7;                  /* the bytes below the lowest mark */
	size_t k = __builtin_ctzl(end) / 8;
	if (k)
		h = name_hash_add(h, w);
	if (!n)
		q->first = w;
	q->len = n + k;
	q->hash = h;
	return q->len <= DENTRY_INLINE;
}

/* `..` without references. Returns false when it stops making sense (we were disturbed). */
static bool
peek_up(struct path *p, const struct path *root)
{
	for (int i = 0; i < NMOUNT; i++) {
		if (path_equal(p, root))
			return true;
		struct mount *m = p->mnt;
		if (p->dentry != m->root) {
			p->dentry = p->dentry->parent;
			return !(p->dentry->flags & D_MOUNTED);
		}
		struct mount *parent = m->parent;
		struct dentry *at = m->mountpoint;
		if (!parent || !at)
			return !parent;
		p->mnt = parent;
		p->dentry = at;
	}
	return false;
}

/* Into what is mounted here, without references. */
static bool
peek_mounts(struct path *p)
{
	for (int i = 0; i < NMOUNT && p->dentry->flags & D_MOUNTED; i++) {
		struct mount *m = mount_at(p->mnt, p->dentry);
		if (!m)
			return true;
		p->mnt = m;
		p->dentry = m->root;
	}
	return p->dentry;
}

/* `.` and `..` among the components. 1: it was one; 0: it was not; -1: let the slow walker do it. */
static int
peek_dots(struct path *p, const struct path *root, const struct qname *q)
{
	if (q->len == 1)
		return 1;
	if (q->len == 2 && q->s[1] == '.')
		return peek_up(p, root) ? 1 : -1;
	return 0;
}

/* Where a peek starts. false: not by peeking. */
static bool
peek_start(int dirfd, const char *s, struct path *root, struct path *p)
{
	struct fsctx *c = fsctx_current();

	*root = c->root;
	*p = *s == '/' ? c->root : c->cwd;
	return *s && p->dentry && (*s == '/' || dirfd == AT_FDCWD);
}

bool
path_peek(int dirfd, const char *s, unsigned how, struct path *out)
{
	bool super = cred_is_root();
	struct path p, root;
	struct inode *ip;
	struct qname q;

	if (!peek_start(dirfd, s, &root, &p))
		return false;
	ip = __atomic_load_n(&p.dentry->inode, __ATOMIC_ACQUIRE);
	for (;; s += q.len) {
		while (*s == '/')
			s++;
		if (!*s)
			break;
		if (!ip || !may_search(ip, super) || !scan_name(p.dentry, s, &q))
			return false;
		int dots = *s == '.' ? peek_dots(&p, &root, &q) : 0;
		struct dentry *d = dots ? p.dentry : dentry_peek(p.dentry, &q);
		if (!d || dots < 0)
			return false;
		ip = __atomic_load_n(&d->inode, __ATOMIC_ACQUIRE);
		if (!ip || (S_ISLNK(ip->mode) && (s[q.len] || how & WALK_FOLLOW)))
			return false;
		d->used = 1;
		p.dentry = d;
		if (d->flags & D_MOUNTED) {
			if (!peek_mounts(&p))
				return false;
			ip = __atomic_load_n(&p.dentry->inode, __ATOMIC_ACQUIRE);
		}
	}
	*out = p;
	return ip && (S_ISDIR(ip->mode) || (s[-1] != '/' && !(how & WALK_DIRECTORY)));
}

/* ---- the walker with references ---- */

/* Where a walk starts: root, working directory, or the directory of dirfd. */
static int
start_path(struct walk *w, int dirfd)
{
	if (*w->rest == '/' || dirfd == AT_FDCWD) {
		fsctx_paths(fsctx_current(), &w->root, &w->path);
		if (*w->rest == '/') {
			path_put(&w->path);
			w->path = path_get(&w->root);
		}
		return 0;
	}
	struct file *f = fd_get(dirfd);
	if (!f)
		return -EBADF;
	int err = f->path.dentry ? 0 : -ENOTDIR;
	if (!err && *w->rest && !S_ISDIR(f->inode->mode))
		err = -ENOTDIR;
	if (!err) {
		w->path = path_get(&f->path);
		fsctx_paths(fsctx_current(), &w->root, NULL);
	}
	file_put(f);
	return err;
}

int
walk_begin(struct walk *w, int dirfd, const char *name, unsigned how)
{
	w->rest = name;
	w->text = NULL;
	w->links = 0;
	w->how = how;
	w->last = "";
	w->len = 0;
	w->kind = LAST_ROOT;
	w->slash = false;
	if (!*name && !(how & WALK_EMPTY))
		return -ENOENT;
	if (!fsctx_current()->root.dentry)
		return -ENOENT;            /* nothing is mounted */
	return start_path(w, dirfd);
}

void
walk_end(struct walk *w)
{
	path_put(&w->path);
	path_put(&w->root);
	kfree(w->text);
}

/* Go on with the text of a symlink, then what was left of ours.
 *
 * Returns: 0: call walk_run; -ELOOP, -ENAMETOOLONG, -ENOMEM, -EACCES, -ENOENT (empty link), -EIO.
 */
int
walk_link(struct walk *w, struct dentry *link)
{
	struct inode *ip = link->inode;

	if (++w->links > MAX_LINKS)
		return -ELOOP;
	if (ip->iops->follow) {
		struct path to;
		int err = ip->iops->follow(ip, &to);
		if (err)
			return err;
		path_put(&w->path);
		w->path = to;
		return 0;
	}
	char *text = kmalloc(PATH_MAX);
	if (!text)
		return -ENOMEM;
	long n = ip->iops->readlink ? ip->iops->readlink(ip, text, PATH_MAX - 1) : -EINVAL;
	if (n == 0)
		n = -ENOENT;
	if (n > 0) {
		text[n] = '\0';
		if (strlcat(text, w->rest, PATH_MAX) >= PATH_MAX)
			n = -ENAMETOOLONG;
	}
	if (n < 0) {
		kfree(text);
		return n;
	}
	kfree(w->text);
	w->rest = w->text = text;
	if (*text == '/') {
		path_put(&w->path);
		w->path = path_get(&w->root);
	}
	return 0;
}

/* Enter one component (not the last of a WALK_PARENT). */
static int
walk_name(struct walk *w, const char *s, size_t len, bool last)
{
	struct dentry *d;

	if (len == 1 && s[0] == '.')
		return 0;
	if (len == 2 && s[0] == '.' && s[1] == '.') {
		path_up(&w->path, &w->root);
		return 0;
	}
	int err = name_lookup(w->path.dentry, s, len, &d);
	if (err)
		return err;
	if (!d->inode) {
		dentry_put(d);
		return -ENOENT;
	}
	if (S_ISLNK(d->inode->mode) && !(d->flags & D_MOUNTED) && (!last || w->slash || w->how & WALK_FOLLOW)) {
		err = walk_link(w, d);
		dentry_put(d);
		return err;
	}
	dentry_put(w->path.dentry);
	w->path.dentry = d;
	path_enter_mounts(&w->path);
	return 0;
}

/* The last component of a WALK_PARENT: only described. */
static void
describe_last(struct walk *w, const char *s, size_t len)
{
	w->last = s;
	w->len = len;
	w->kind = LAST_NAME;
	if (len == 1 && s[0] == '.')
		w->kind = LAST_DOT;
	if (len == 2 && s[0] == '.' && s[1] == '.')
		w->kind = LAST_DOTDOT;
}

/* Walk what is left of the text.
 *
 * Does:     stops before the last component with WALK_PARENT (w->last, w->kind), else at the end with w->path
 *           there.
 * Returns:  0; -ENOENT, -ENOTDIR, -EACCES, -ELOOP, -ENAMETOOLONG, -ENOMEM, -EIO. May sleep.
 */
int
walk_run(struct walk *w)
{
	w->kind = LAST_ROOT;
	for (;;) {
		struct inode *ip = w->path.dentry->inode;
		while (*w->rest == '/')
			w->rest++;
		if (!*w->rest)
			break;
		if (!S_ISDIR(ip->mode))
			return -ENOTDIR;
		int err = inode_permission(ip, MAY_EXEC);
		if (err)
			return err;
		const char *s = w->rest, *end = s;
		while (*end && *end != '/')
			end++;
		w->rest = end;
		while (*end == '/')
			end++;
		bool last = !*end;
		w->slash = last && end > w->rest;
		if (w->rest - s > NAME_MAX)
			return -ENAMETOOLONG;
		if (last && w->how & WALK_PARENT) {
			describe_last(w, s, w->rest - s);
			return 0;
		}
		err = walk_name(w, s, w->rest - s, last);
		if (err)
			return err;
	}
	bool dir = S_ISDIR(w->path.dentry->inode->mode);
	return !dir && (w->slash || w->how & WALK_DIRECTORY) ? -ENOTDIR : 0;
}

/* ---- whole walks ---- */

/* The lock-free walk, made good with references. */
static bool
lookup_fast(int dirfd, const char *name, unsigned how, struct path *out)
{
	uint32_t seq = dentry_read_begin();

	if (!path_peek(dirfd, name, how, out) || !mount_try_get(out->mnt))
		return false;
	bool got = dentry_try_get(out->dentry);
	if (got && dentry_read_valid(seq))
		return true;
	if (got)
		dentry_put(out->dentry);
	mount_put(out->mnt);
	return false;
}

/* The path that name leads to, referenced. name: kernel text; how: WALK_*. Returns 0 or as walk_run; -EBADF.
 * May sleep. */
int
path_lookup(int dirfd, const char *name, unsigned how, struct path *out)
{
	struct walk w;

	if (lookup_fast(dirfd, name, how, out))
		return 0;
	int err = walk_begin(&w, dirfd, name, how);
	if (err)
		return err;
	err = walk_run(&w);
	if (!err)
		*out = path_get(&w.path);
	walk_end(&w);
	return err;
}

int
name_get(struct name *n, uint64_t upath)
{
	n->s = n->small;
	long len = copyinstr(n->small, upath, NAME_SMALL);
	if (len != -ENAMETOOLONG)
		return len < 0 ? len : 0;
	n->s = kmalloc(PATH_MAX + 8);
	if (!n->s)
		return -ENOMEM;
	len = copyinstr(n->s, upath, PATH_MAX);
	return len < 0 ? len : 0;
}

void
name_put(struct name *n)
{
	if (n->s != n->small)
		kfree(n->s);
}

int
path_lookup_user(int dirfd, uint64_t upath, unsigned how, struct path *out)
{
	struct name n;
	int err = name_get(&n, upath);
	if (!err)
		err = path_lookup(dirfd, n.s, how, out);
	name_put(&n);
	return err;
}
