/* dentry.c - the name cache: (directory, name) -> inode, or the knowledge that there is none.   (lab 7)
 *
 * Idea.       Most paths are walked again and again, so the walk must cost little: a chain of a hash table is
 *             searched without taking a lock or a reference. That is safe because dentries, inodes and mounts
 *             are pool objects (whatever we look at is some dentry, maybe a wrong one), and right because
 *             every change that could mislead bumps a sequence:
 *
 *               walker                                     unlink, rename, prune, umount
 *                 s = seq (even, else go slow)               lock; seq++ (odd)
 *                 look, look, look                           change
 *                 seq == s ? believe it : walk slowly        seq++; unlock
 *
 *             Adding a name does not bump: a walker that misses it asks again with locks.
 * Interface.  dentry.h. All names of a directory change under sb->ns, held by the caller.
 * Invariants. I1 a dentry holds one reference of its parent and one of its inode.  I2 refs == 0 means:
 * cached, may be pruned;
 *             not hashed and refs == 0: is being freed.  I3 at most one hashed dentry has this parent and
 *             name.
 *             I4 name longer than DENTRY_INLINE is found only under the lock.
 * Locks.      dcache_lock RANK(7, 50). Inodes and parents are put after it is released (that may sleep).
 */
#include "fs/vfs/dentry.h"

#include "fs/vfs/inode.h"
#include "fs/vfs/pool.h"
#include "fs/vfs/super.h"
#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

#define NHASH 8192
#define MAX_CACHED 32768
#define CHAIN_MAX 64         /* a lock-free search gives up here: it may have strayed into a cycle */

static struct spinlock dcache_lock = SPINLOCK("names", RANK(7, 50));
static struct dentry *table[NHASH];
static struct list clock = LIST_INIT(clock);
static uint32_t ndentries;
uint32_t dcache_seq;

static void
dentry_ctor(void *obj)
{
	struct dentry *d = obj;

	d->refs = DENTRY_DEAD;
	d->parent = d;
	list_init(&d->children);
	list_init(&d->sibling);
	list_init(&d->clock);
}

static struct pool dentry_pool = POOL("dentry pool", sizeof(struct dentry), dentry_ctor);

uint32_t
dentry_count(void)
{
	return __atomic_load_n(&ndentries, __ATOMIC_RELAXED);
}

void
dentry_lock(void)
{
	spin_lock(&dcache_lock);
}

void
dentry_unlock(void)
{
	spin_unlock(&dcache_lock);
}

void
dentry_change_begin(void)
{
	spin_lock(&dcache_lock);
	__atomic_store_n(&dcache_seq, dcache_seq + 1, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void
dentry_change_end(void)
{
	__atomic_store_n(&dcache_seq, dcache_seq + 1, __ATOMIC_RELEASE);
	spin_unlock(&dcache_lock);
}

static uint32_t
name_hash(const struct dentry *parent, const char *name, size_t len)
{
	uint64_t h = (uint64_t)parent;
	for (size_t i = 0; i < len; i += 8) {
		uint64_t w = 0;
		memcpy(&w, name + i, len - i < 8 ? len - i : 8);
		h = name_hash_add(h, w);
	}
	return h;
}

static struct dentry **
bucket(uint32_t hash)
{
	return &table[hash % NHASH];
}

/* ---- finding ---- */

/* Lock-free search. What it returns counts only if dentry_read_valid says so afterwards.
 *
 * Does:     finds only names of at most DENTRY_INLINE bytes; may miss one that is there.
 * Hint:     every field may be another dentry's by now; follow pointers only to pool objects.
 */
struct dentry *
dentry_peek(const struct dentry *parent, const struct qname *q)
{
	struct dentry *d = __atomic_load_n(bucket(q->hash), __ATOMIC_ACQUIRE);

	for (int i = 0; d && i < CHAIN_MAX; i++, d = __atomic_load_n(&d->next, __ATOMIC_ACQUIRE)) {
		if (d->iname[0] != q->first || d->parent != parent || d->len != q->len)
			continue;
		size_t k = 8;
		while (k < q->len && !((name_word(q->s + k) ^ d->iname[k / 8]) & name_mask(q->len - k)))
			k += 8;
		if (k >= q->len)
			return d;
	}
	return NULL;
}

/* Requires: dcache_lock held. */
static struct dentry *
find_locked(struct dentry *parent, const char *name, size_t len)
{
	uint32_t hash = name_hash(parent, name, len);

	for (struct dentry *d = *bucket(hash); d; d = d->next)
		if (d->hash == hash && d->parent == parent && d->len == len && !memcmp(d->name, name, len))
			return d;
	return NULL;
}

/* The cached dentry of this name, referenced, or NULL. */
struct dentry *
dentry_find(struct dentry *parent, const char *name, size_t len)
{
	spin_lock(&dcache_lock);
	struct dentry *d = find_locked(parent, name, len);
	if (d) {
		__atomic_add_fetch(&d->refs, 1, __ATOMIC_ACQ_REL);
		d->used = 1;
	}
	spin_unlock(&dcache_lock);
	return d;
}

bool
dentry_try_get(struct dentry *d)
{
	if (!(__atomic_add_fetch(&d->refs, 1, __ATOMIC_ACQ_REL) & DENTRY_DEAD))
		return true;
	__atomic_sub_fetch(&d->refs, 1, __ATOMIC_ACQ_REL);
	return false;
}

struct dentry *
dentry_get(struct dentry *d)
{
	__atomic_add_fetch(&d->refs, 1, __ATOMIC_RELAXED);
	return d;
}

/* ---- freeing ---- */

/* Requires: dcache_lock held. */
static void
hash_locked(struct dentry *d)
{
	struct dentry **b = bucket(d->hash);

	d->next = *b;
	d->flags |= D_HASHED;
	__atomic_store_n(b, d, __ATOMIC_RELEASE);
	list_push_back(&clock, &d->clock);
	ndentries++;
}

/* Requires: dcache_lock held, sequence odd. */
static void
unhash_locked(struct dentry *d)
{
	if (!(d->flags & D_HASHED))
		return;
	struct dentry **at = bucket(d->hash);
	while (*at != d)
		at = &(*at)->next;
	*at = d->next;
	d->flags &= ~D_HASHED;
	list_remove(&d->clock);
	ndentries--;
}

/* Make an unreferenced dentry dead. Requires: dcache_lock held, sequence odd. Returns false: somebody took a
 * reference. */
static bool
kill_locked(struct dentry *d)
{
	uint32_t none = 0;

	if (!__atomic_compare_exchange_n(&d->refs, &none, DENTRY_DEAD, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return false;
	unhash_locked(d);
	list_remove(&d->sibling);
	return true;
}

/* What a dead dentry held goes too. Returns: the parent, whose reference is now the caller's; NULL for a
 * root. */
static struct dentry *
bury(struct dentry *d)
{
	struct dentry *up = d->parent == d ? NULL : d->parent;
	struct inode *ip = d->inode;

	if (d->name != (char *)d->iname)
		kfree(d->name);
	d->inode = NULL;
	pool_free(&dentry_pool, d);
	if (ip)
		inode_put(ip);
	return up;
}

/* Drop a reference. A dentry whose name is cached stays; any other is freed with its last reference. May
 * sleep. */
void
dentry_put(struct dentry *d)
{
	while (d) {
		if (__atomic_sub_fetch(&d->refs, 1, __ATOMIC_ACQ_REL) != 0)
			return;
		if (__atomic_load_n(&d->flags, __ATOMIC_ACQUIRE) & D_HASHED)
			return;
		dentry_change_begin();
		bool dead = !(d->flags & D_HASHED) && kill_locked(d);
		dentry_change_end();
		if (!dead)
			return;
		d = bury(d);
	}
}

/* ---- changing names ---- */

static void
set_name(struct dentry *d, const char *name, size_t len, char *longer)
{
	memset(d->iname, 0, sizeof d->iname);
	d->name = len > DENTRY_INLINE ? longer : (char *)d->iname;
	memcpy(d->name, name, len);
	d->len = len;
}

/* An unhashed dentry. parent NULL: a root. Takes over ip's reference in any case. */
static int
dentry_new(struct super *sb, struct dentry *parent, const char *name, size_t len, struct inode *ip,
	struct dentry **out)
{
	char *longer = len > DENTRY_INLINE ? kmalloc(len) : NULL;
	struct dentry *d = len > DENTRY_INLINE && !longer ? NULL : pool_alloc(&dentry_pool);

	if (!d) {
		kfree(longer);
		if (ip)
			inode_put(ip);
		return -ENOMEM;
	}
	d->sb = sb;
	d->inode = ip;
	d->flags = 0;
	d->used = 1;
	d->parent = parent ? dentry_get(parent) : d;
	set_name(d, name, len, longer);
	d->hash = name_hash(d->parent, name, len);
	/* a late reader may be taking and dropping one */
	__atomic_add_fetch(&d->refs, 1 - DENTRY_DEAD, __ATOMIC_ACQ_REL);
	*out = d;
	return 0;
}

int
dentry_add(struct dentry *parent, const char *name, size_t len, struct inode *ip, struct dentry **out)
{
	struct dentry *d;

	if (ndentries > MAX_CACHED || ndentries > page_count_total() / 2)
		dentry_prune(64);
	int err = dentry_new(parent->sb, parent, name, len, ip, &d);
	if (err)
		return err;
	spin_lock(&dcache_lock);
	list_push_back(&parent->children, &d->sibling);
	if (!parent->sb->uncached)
		hash_locked(d);
	spin_unlock(&dcache_lock);
	*out = d;
	return 0;
}

void
dentry_set_inode(struct dentry *d, struct inode *ip)
{
	__atomic_store_n(&d->inode, ip, __ATOMIC_RELEASE);
}

/* The name was removed from its directory.
 *
 * Requires: sb->ns held, the caller's reference.
 * Does:     the dentry becomes negative when only the caller has it, so that the next create need not ask the
 *           disk; else it leaves the hash, and whoever has it open keeps the inode.
 */
void
dentry_delete(struct dentry *d)
{
	struct inode *ip = NULL;

	dentry_prune_children(d);
	dentry_change_begin();
	if (d->refs == 1 && (d->flags & D_HASHED)) {
		ip = d->inode;
		d->inode = NULL;
	} else {
		unhash_locked(d);
	}
	dentry_change_end();
	if (ip)
		inode_put(ip);
}

/* d takes the place of name in ndir; `over`, the dentry that had the name (or NULL), leaves the cache.
 *
 * Requires: sb->ns held.
 * Returns:  0, or -ENOMEM for a long name: then d is out of the cache, which is right too.
 */
int
dentry_move(struct dentry *d, struct dentry *ndir, const char *name, size_t len, struct dentry *over)
{
	char *longer = len > DENTRY_INLINE ? kmalloc(len) : NULL;
	char *old = d->name != (char *)d->iname ? d->name : NULL;
	struct dentry *odir = d->parent;

	if (over)
		dentry_prune_children(over);
	dentry_get(ndir);
	dentry_change_begin();
	if (over)
		unhash_locked(over);
	unhash_locked(d);
	bool ok = len <= DENTRY_INLINE || longer;
	if (ok) {
		set_name(d, name, len, longer);
		d->parent = ndir;
		d->hash = name_hash(ndir, name, len);
		list_remove(&d->sibling);
		list_push_back(&ndir->children, &d->sibling);
		hash_locked(d);
	}
	dentry_change_end();
	kfree(ok ? old : NULL);
	dentry_put(ok ? odir : ndir);
	return ok ? 0 : -ENOMEM;
}

bool
dentry_is_below(struct dentry *d, struct dentry *top)
{
	while (d != top && d->parent != d)
		d = d->parent;
	return d == top;
}

struct dentry *
dentry_of_inode(struct inode *ip)
{
	struct dentry *found = NULL;

	spin_lock(&dcache_lock);
	list_for_each(d, &clock, struct dentry, clock)
		if (d->inode == ip) {
			found = dentry_get(d);
			break;
		}
	spin_unlock(&dcache_lock);
	return found;
}

/* ---- pruning ---- */

/* Kill unused dentries of the list until n died; the dead are chained through `next`. Requires: dcache_lock,
 * sequence odd. */
static struct dentry *
kill_children(struct dentry *d)
{
	struct dentry *dead = NULL;

	list_for_each_safe(c, &d->children, struct dentry, sibling)
		if (!c->refs && kill_locked(c)) {
			c->next = dead;
			dead = c;
		}
	return dead;
}

static void
bury_all(struct dentry *dead)
{
	while (dead) {
		struct dentry *d = dead;
		dead = d->next;
		dentry_put(bury(d));
	}
}

void
dentry_prune_children(struct dentry *d)
{
	if (list_empty(&d->children))
		return;
	dentry_change_begin();
	struct dentry *dead = kill_children(d);
	dentry_change_end();
	bury_all(dead);
}

/* The next dentry that the clock's hand condemns, killed; NULL after a full round. `only`: of this super, which
 * is being unmounted; else of any that could be entered, and was. Requires: dcache_lock, sequence odd. */
static struct dentry *
clock_victim(struct super *only, uint32_t *looked)
{
	for (; *looked < 2 * ndentries; ++*looked) {
		struct dentry *d = list_first(&clock, struct dentry, clock);
		if (!d)
			break;
		list_remove(&d->clock);
		list_push_back(&clock, &d->clock);
		if (d->refs || (only && d->sb != only))
			continue;
		if (d->used && !only) {
			d->used = 0;
			continue;
		}
		if (!only && !super_enter(d->sb))
			continue;
		if (kill_locked(d))
			return d;
		if (!only)
			super_leave(d->sb);
	}
	return NULL;
}

static int
prune(struct super *only, int n)
{
	uint32_t looked = 0;
	int done = 0;

	while (done < n) {
		dentry_change_begin();
		struct dentry *d = clock_victim(only, &looked);
		dentry_change_end();
		if (!d)
			break;
		struct super *sb = d->sb;
		dentry_put(bury(d));
		if (!only)
			super_leave(sb);
		done++;
	}
	return done;
}

/* Forget up to n names that nobody uses, not recently looked up first. May sleep. Returns how many. */
int
dentry_prune(int n)
{
	return prune(NULL, n);
}

void
dentry_prune_super(struct super *sb)
{
	while (prune(sb, 1 << 30))
		;
}

/* ---- roots ---- */

int
super_set_root(struct super *sb, struct inode *root)
{
	return dentry_new(sb, NULL, "/", 1, root, &sb->root);
}

/* A mount that failed: whatever it had cached goes. */
void
super_free(struct super *sb)
{
	if (sb->root)
		dentry_put(sb->root);
	inode_evict_super(sb);
	super_unref(sb);
}
