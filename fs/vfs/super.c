/* super.c - the list of file-system types and of mounted file systems.                        (lab 7)
 *
 * Idea.       Types register once and stay. A super is one file system in use: it exists from its type's
 *             mount() until the last mount of it is gone (mount.c), or for good (the kernel's own).
 * Interface.  fs_register, fs_find; super_new, super_next; super_live, super_enter, super_leave, super_end.
 * Invariants. I1 sb->dev is unique and nonzero.  I2 a super in the list has refs > 0.
 *             I3 while its file system is being set up or taken down nobody is inside.
 * Locks.      super_lock, RANK(7, 44): the lists and sb->refs reaching 0.
 */
#include "fs/vfs/super.h"

#include "fs/vfs/pool.h"
#include "lib/kern/string.h"

static struct spinlock super_lock = SPINLOCK("supers", RANK(7, 44));
static struct list supers = LIST_INIT(supers);
static struct fs_type *types;
static uint32_t next_dev = 16;

/* Supers are pool objects because the end of an I/O may still wake sb->wait when the waiter has gone on to
 * unmount. */
static void
super_ctor(void *obj)
{
	struct super *sb = obj;

	waitq_init(&sb->wait);
	spin_init(&sb->lock, "super", RANK(7, 40));
	mutex_init(&sb->ns, "names", RANK_VFS(60));
	mutex_init(&sb->sync_lock, "sync", RANK_VFS(65));
	list_init(&sb->inodes);
	list_init(&sb->dirty);
}

static struct pool super_pool = POOL("super pool", sizeof(struct super), super_ctor);

void
fs_register(struct fs_type *t)
{
	struct fs_type **at = &types;
	while (*at)
		at = &(*at)->next;
	t->next = NULL;
	*at = t;
}

struct fs_type *
fs_find(const char *name)
{
	for (struct fs_type *t = types; t; t = t->next)
		if (!strcmp(t->name, name))
			return t;
	return NULL;
}

struct fs_type *
fs_next(struct fs_type *t)
{
	return t ? t->next : types;
}

/* A super for a file system being mounted, with a device number of its own (the disk's, if the type needs
 * one: the caller sets bdev and dev). Returns NULL when out of memory. */
struct super *
super_new(struct fs_type *t, const struct super_ops *ops)
{
	struct super *sb = pool_alloc(&super_pool);
	if (!sb)
		return NULL;
	sb->type = t;
	sb->ops = ops;
	sb->bdev = NULL;
	sb->flags = 0;
	sb->root = NULL;
	sb->refs = 1;
	sb->max_size = INT64_MAX;
	sb->uncached = false;
	sb->inside = 0;
	sb->nmounts = 0;
	sb->priv = NULL;
	spin_lock(&super_lock);
	sb->dev = makedev(0, next_dev++);
	list_push_back(&supers, &sb->link);
	spin_unlock(&super_lock);
	return sb;
}

/* ---- entering ---- */

#define SUPER_LIVE (1u << 31)

void
super_live(struct super *sb)
{
	__atomic_fetch_or(&sb->inside, SUPER_LIVE, __ATOMIC_RELEASE);
}

/* Any context; something keeps the super itself: a reference, or the lock of a list with one of its objects. */
bool
super_enter(struct super *sb)
{
	uint32_t n = __atomic_load_n(&sb->inside, __ATOMIC_RELAXED);

	while (n & SUPER_LIVE)
		if (__atomic_compare_exchange_n(&sb->inside, &n, n + 1, false, __ATOMIC_ACQUIRE,
			__ATOMIC_RELAXED))
			return true;
	return false;
}

void
super_leave(struct super *sb)
{
	if (__atomic_sub_fetch(&sb->inside, 1, __ATOMIC_ACQ_REL) == 0)
		waitq_wake_all(&sb->wait);
}

void
super_end(struct super *sb)
{
	__atomic_fetch_and(&sb->inside, ~SUPER_LIVE, __ATOMIC_ACQ_REL);
	wait_event(&sb->wait, !__atomic_load_n(&sb->inside, __ATOMIC_ACQUIRE), (void *)NULL);
}

void
super_ref(struct super *sb)
{
	__atomic_add_fetch(&sb->refs, 1, __ATOMIC_RELAXED);
}

void
super_unref(struct super *sb)
{
	spin_lock(&super_lock);
	bool last = __atomic_sub_fetch(&sb->refs, 1, __ATOMIC_ACQ_REL) == 0;
	if (last)
		list_remove(&sb->link);
	spin_unlock(&super_lock);
	if (last)
		pool_free(&super_pool, sb);
}

/* Walk the mounted file systems: the next one after sb, referenced; sb's reference is dropped. */
struct super *
super_next(struct super *sb)
{
	struct super *next = NULL;

	spin_lock(&super_lock);
	struct list *at = sb ? sb->link.next : supers.next;
	if (at != &supers) {
		next = list_entry(at, struct super, link);
		super_ref(next);
	}
	spin_unlock(&super_lock);
	if (sb)
		super_unref(sb);
	return next;
}

bool
super_in_use(struct blockdev *bdev)
{
	bool used = false;

	spin_lock(&super_lock);
	list_for_each(sb, &supers, struct super, link)
		used |= sb->bdev == bdev;
	spin_unlock(&super_lock);
	return used;
}
