/* mount.c - the tree of mounts, and paths in it.                                              (lab 7)
 *
 * Idea.       A path is a pair (mount, dentry): the same directory seen through two mounts has two `..`s at
 *             its root.
 *
 *                 / (ext)            mount A: root '/'
 *                 `- mnt  D_MOUNTED  table: (parent A, mountpoint mnt) -> mount B: root '/' of another super
 *
 *             Few mounts exist, so they are a small table, searched only at dentries marked D_MOUNTED.
 * Interface.  mount.h.
 * Invariants. I1 a mount in the table holds a reference for the table; refs 0 -> DEAD happens once, by
 * whoever gets there.
 *             I2 a mount holds references on its parent and mountpoint, so neither can go first.
 *             I3 table and D_MOUNTED change under mount_lock, inside dentry_change: the lock-free walker
 *             notices.
 * Locks.      mount_lock RANK_VFS(70).
 */
#include "fs/vfs/mount.h"

#include "fs/vfs/inode.h"
#include "fs/vfs/pool.h"
#include "fs/vfs/super.h"
#include "fs/vfs/writeback.h"
#include "kern/boot/print.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

struct mutex mount_lock = MUTEX(mount_lock, "mounts", RANK_VFS(70));
struct path vfs_root;
static struct mount *table[NMOUNT];  /* [m] in order of mounting, no gaps */
static int ntable;                   /* [m] */

static void
mount_ctor(void *obj)
{
	((struct mount *)obj)->refs = MOUNT_DEAD;
}

static struct pool mount_pool = POOL("mount pool", sizeof(struct mount), mount_ctor);

/* What is mounted at dentry d of mount parent, or NULL. Without a lock, under the rules of dentry_peek. */
struct mount *
mount_at(const struct mount *parent, const struct dentry *d)
{
	for (int i = __atomic_load_n(&ntable, __ATOMIC_ACQUIRE) - 1; i >= 0; i--) {
		struct mount *m = __atomic_load_n(&table[i], __ATOMIC_ACQUIRE);
		if (m && m->mountpoint == d && m->parent == parent)
			return m;
	}
	return NULL;
}

bool
mount_try_get(struct mount *m)
{
	if (!(__atomic_add_fetch(&m->refs, 1, __ATOMIC_ACQ_REL) & MOUNT_DEAD))
		return true;
	__atomic_sub_fetch(&m->refs, 1, __ATOMIC_ACQ_REL);
	return false;
}

/* ---- letting go ---- */

/* The last mount of sb is gone: write everything, forget everything, unmount. May sleep. */
void
super_kill(struct super *sb)
{
	super_sync(sb, true);
	super_end(sb);
	dentry_prune_super(sb);
	dentry_put(sb->root);
	inode_evict_super(sb);
	super_sync_last(sb);
	if (sb->ops->unmount)
		sb->ops->unmount(sb);
	super_unref(sb);
}

static void
mount_destroy(struct mount *m)
{
	struct super *sb = m->sb;
	struct path at = { m->parent, m->mountpoint };
	struct dentry *root = m->root;

	m->parent = NULL;
	m->mountpoint = NULL;
	pool_free(&mount_pool, m);
	dentry_put(root);
	if (at.mnt)
		path_put(&at);
	if (__atomic_sub_fetch(&sb->nmounts, 1, __ATOMIC_ACQ_REL) == 0)
		super_kill(sb);
}

/* Drop a reference; the last one of a mount that left the table ends it. May sleep. */
void
mount_put(struct mount *m)
{
	uint32_t none = 0;

	if (__atomic_sub_fetch(&m->refs, 1, __ATOMIC_ACQ_REL) == 0 &&
	    __atomic_compare_exchange_n(&m->refs, &none, MOUNT_DEAD, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		mount_destroy(m);
}

/* ---- attaching and detaching ---- */

int
mount_attach(const struct path *at, struct super *sb, struct dentry *root, unsigned long flags,
	const char *source, struct mount **out)
{
	struct mount *m = pool_alloc(&mount_pool);
	if (!m)
		return -ENOMEM;
	mutex_lock(&mount_lock);
	if (ntable == NMOUNT) {
		mutex_unlock(&mount_lock);
		pool_free(&mount_pool, m);
		return -ENOSPC;
	}
	m->flags = flags;
	m->sb = sb;
	m->root = dentry_get(root);
	struct path p = at ? path_get(at) : (struct path){ 0 };
	m->parent = p.mnt;
	m->mountpoint = p.dentry;
	strlcpy(m->source, source, sizeof m->source);
	__atomic_add_fetch(&m->refs, 2 - MOUNT_DEAD, __ATOMIC_ACQ_REL);     /* the table's and the caller's */
	__atomic_add_fetch(&sb->nmounts, 1, __ATOMIC_RELAXED);
	dentry_change_begin();
	table[ntable++] = m;
	if (at)
		at->dentry->flags |= D_MOUNTED;
	dentry_change_end();
	mutex_unlock(&mount_lock);
	*out = m;
	return 0;
}

/* Take table[i] out, keeping order. Requires: mount_lock, inside dentry_change. */
static void
unlink_place(int i)
{
	struct dentry *d = table[i]->mountpoint;
	bool other = false;

	ntable--;
	for (; i < ntable; i++)
		table[i] = table[i + 1];
	table[ntable] = NULL;
	for (i = 0; i < ntable; i++)
		other |= table[i]->mountpoint == d;
	if (!other)
		d->flags &= ~D_MOUNTED;
}

/* Unmount m, on which the caller holds a reference (that it still has to drop).
 *
 * Returns:  0; -EBUSY for the root, or when a path or a mount on it is in use and not lazy; -EINVAL: not
 *           mounted any more.
 */
int
mount_detach(struct mount *m, bool lazy)
{
	int err = -EINVAL;

	mutex_lock(&mount_lock);
	dentry_change_begin();
	for (int i = 0; i < ntable; i++) {
		if (table[i] != m)
			continue;
		err = !m->parent || (!lazy && m->refs > 2) ? -EBUSY : 0;
		if (!err)
			unlink_place(i);
		break;
	}
	dentry_change_end();
	mutex_unlock(&mount_lock);
	if (!err)
		mount_put(m);
	return err;
}

struct mount *
mount_next(struct mount *m)
{
	struct mount *next = NULL;

	mutex_lock(&mount_lock);
	int i = 0;
	while (m && i < ntable && table[i] != m)
		i++;
	i += m ? 1 : 0;
	if (i < ntable && mount_try_get(table[i]))
		next = table[i];
	mutex_unlock(&mount_lock);
	if (m)
		mount_put(m);
	return next;
}

/* ---- paths ---- */

struct path
path_get(const struct path *p)
{
	__atomic_add_fetch(&p->mnt->refs, 1, __ATOMIC_RELAXED);
	dentry_get(p->dentry);
	return *p;
}

void
path_put(const struct path *p)
{
	dentry_put(p->dentry);
	mount_put(p->mnt);
}

/* Replace a referenced path by the root of what is mounted on it, as often as something is. */
void
path_enter_mounts(struct path *p)
{
	while (p->dentry->flags & D_MOUNTED) {
		dentry_lock();
		struct mount *m = mount_at(p->mnt, p->dentry);
		bool ok = m && mount_try_get(m);
		dentry_unlock();
		if (!ok)
			return;
		struct path in = { m, dentry_get(m->root) };
		path_put(p);
		*p = in;
	}
}

/* Go to the parent directory: through the root of a mount, but never above `root`. */
void
path_up(struct path *p, const struct path *root)
{
	while (!path_equal(p, root) && p->dentry == p->mnt->root && p->mnt->parent) {
		struct path up = { p->mnt->parent, p->mnt->mountpoint };
		path_get(&up);
		path_put(p);
		*p = up;
	}
	if (path_equal(p, root) || p->dentry == p->mnt->root)
		return;
	dentry_lock();
	struct dentry *up = dentry_get(p->dentry->parent);
	dentry_unlock();
	dentry_put(p->dentry);
	p->dentry = up;
	path_enter_mounts(p);
}

int
path_string(const struct path *p, const struct path *root, char *buf, size_t n, char **out)
{
	const struct mount *m = p->mnt;
	const struct dentry *d = p->dentry;
	size_t at = n - 1;
	int err = 0;

	buf[at] = '\0';
	dentry_lock();
	if (!(d->flags & D_HASHED) && d->parent != d && !d->sb->uncached)
		err = -ENOENT;
	while (!(m == root->mnt && d == root->dentry)) {
		if (d == m->root) {
			if (!m->parent)
				break;
			d = m->mountpoint;
			m = m->parent;
			continue;
		}
		if (d->parent == d)
			break;
		if (at < d->len + 1u) {
			err = -ENAMETOOLONG;
			break;
		}
		at -= d->len;
		memcpy(buf + at, d->name, d->len);
		buf[--at] = '/';
		d = d->parent;
	}
	dentry_unlock();
	if (at == n - 1 && at > 0)
		buf[--at] = '/';
	*out = buf + at;
	return err;
}
