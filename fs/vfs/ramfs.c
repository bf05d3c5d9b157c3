/* ramfs.c - a file system in memory: /tmp, and the root when there is no disk.                (lab 7)
 *
 * Idea.       Contents are the page cache's pages, which are simply never written anywhere (no write_pages:
 *             see pcache.h). What is left to do is names: an entry per name, in its directory's list and in
 *             one hash table of the file system.
 *
 *               directory --entries--> [entry "a"] -> [entry "b"] -> ...      each holds a reference of its
 *               inode
 *
 * Interface.  ramfs_type ("tmpfs"; "ramfs" is the same).
 * Invariants. I1 an inode is referenced by its entries, so the inode cache cannot drop a file that has a
 * name.
 *             I2 fs->used <= fs->limit, and is the sum of the files' charges; a file's charge covers its
 *             pages in use.
 *             I3 cookies of a directory only grow, so readdir finds its place whatever comes and goes.
 * Locks.      sb->ns for entries. Charges are atomics.
 */
#include "fs/vfs/inode.h"
#include "fs/vfs/pcache.h"
#include "kern/boot/initcall.h"
#include "kern/mem/kheap.h"
#include "lib/abi/dirent.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

#define NHASH 1024
#define LINK_MAX 65000

struct entry {
	struct list link;          /* in the directory */
	struct entry *next;        /* hash chain */
	struct inode *dir, *ip;    /* ip referenced */
	uint64_t cookie;
	uint32_t hash;
	uint16_t len;
	char name[];
};

/* A file's or directory's own part (inode->priv). */
struct node {
	struct list entries;       /* directories */
	uint64_t next_cookie;
	uint64_t charged;          /* [a] pages: files */
	char *target;              /* symlinks */
};

/* The file system's (super->priv). */
struct ramfs {
	uint64_t limit, used;      /* [a] pages */
	uint64_t next_ino, nfiles;
	struct entry *hash[NHASH];
};

static const struct dir_ops ramfs_dir_ops;
static const struct inode_ops ramfs_inode_ops;

/* ---- space ---- */

static bool
charge(struct super *sb, struct node *n, uint64_t pages)
{
	struct ramfs *fs = sb->priv;

	if (__atomic_add_fetch(&fs->used, pages, __ATOMIC_RELAXED) > fs->limit) {
		__atomic_sub_fetch(&fs->used, pages, __ATOMIC_RELAXED);
		return false;
	}
	__atomic_add_fetch(&n->charged, pages, __ATOMIC_RELAXED);
	return true;
}

/* Give back what is charged beyond `pages`. */
static void
uncharge_to(struct super *sb, struct node *n, uint64_t pages)
{
	struct ramfs *fs = sb->priv;
	uint64_t had = __atomic_load_n(&n->charged, __ATOMIC_RELAXED);

	if (had > pages) {
		__atomic_sub_fetch(&n->charged, had - pages, __ATOMIC_RELAXED);
		__atomic_sub_fetch(&fs->used, had - pages, __ATOMIC_RELAXED);
	}
}

/* Before pages of [off, off+len) are written: pay for those that are not in use yet. 0 or -ENOSPC. */
static int
ramfs_reserve(struct inode *ip, uint64_t off, uint64_t len)
{
	uint64_t first = off >> PAGE_SHIFT, last = (off + len - 1) >> PAGE_SHIFT;
	uint64_t pages = last - first + 1 - pcache_count_dirty(ip, first, last);
	struct node *n = ip->priv;

	if (pages && !charge(ip->sb, n, pages)) {
		uncharge_to(ip->sb, n, ip->ndirty);      /* what failed writes left charged */
		if (!charge(ip->sb, n, pages))
			return -ENOSPC;
	}
	ip->blocks = n->charged * (PAGE_SIZE / 512);
	return 0;
}

static int
ramfs_truncate(struct inode *ip, uint64_t size)
{
	struct node *n = ip->priv;

	__atomic_store_n(&ip->size, size, __ATOMIC_RELEASE);
	uncharge_to(ip->sb, n, ip->ndirty);
	ip->blocks = n->charged * (PAGE_SIZE / 512);
	return 0;
}

/* ---- inodes ---- */

static int
new_inode(struct super *sb, uint32_t mode, uint32_t rdev, const char *target, struct inode **out)
{
	struct ramfs *fs = sb->priv;
	struct node *n = kzalloc(sizeof *n);
	size_t len = target ? strlen(target) : 0;
	struct inode *ip;

	if (n && target)
		n->target = kmalloc(len + 1);
	int err = n && (!target || n->target) ? inode_get(sb, ++fs->next_ino, &ip) : -ENOMEM;
	if (err) {
		kfree(n ? n->target : NULL);
		kfree(n);
		return err;
	}
	list_init(&n->entries);
	n->next_cookie = 2;
	if (target)
		memcpy(n->target, target, len + 1);
	ip->priv = n;
	ip->mode = mode;
	ip->rdev = rdev;
	ip->nlink = S_ISDIR(mode) ? 2 : 1;
	ip->size = len;
	ip->iops = &ramfs_inode_ops;
	ip->dops = S_ISDIR(mode) ? &ramfs_dir_ops : NULL;
	inode_touch(ip, INODE_ATIME | INODE_MTIME | INODE_CTIME);
	fs->nfiles++;
	inode_unlock_new(ip);
	*out = ip;
	return 0;
}

static long
ramfs_readlink(struct inode *ip, char *buf, size_t size)
{
	struct node *n = ip->priv;
	size_t len = ip->size < size ? ip->size : size;

	memcpy(buf, n->target, len);
	return len;
}

static const struct inode_ops ramfs_inode_ops = {
	.readlink = ramfs_readlink,
	.truncate = ramfs_truncate,
	.reserve = ramfs_reserve,
};

/* ---- names ---- */

static uint32_t
hash_of(const struct inode *dir, const char *name, size_t len)
{
	uint32_t h = dir->ino * 0x9e3779b1u;
	while (len--)
		h = (h ^ (uint8_t)*name++) * 0x01000193u;
	return h;
}

static struct entry **
find(struct inode *dir, const char *name, size_t len)
{
	struct ramfs *fs = dir->sb->priv;
	uint32_t h = hash_of(dir, name, len);
	struct entry **at = &fs->hash[h % NHASH];

	for (struct entry *e; (e = *at); at = &e->next)
		if (e->hash == h && e->dir == dir && e->len == len && !memcmp(e->name, name, len))
			break;
	return at;
}

/* A new name for ip, whose reference goes with it on success. 0 or -ENOMEM. */
static int
add(struct inode *dir, const char *name, size_t len, struct inode *ip)
{
	struct ramfs *fs = dir->sb->priv;
	struct node *n = dir->priv;
	struct entry *e = kmalloc(sizeof *e + len);

	if (!e)
		return -ENOMEM;
	e->dir = dir;
	e->ip = ip;
	e->cookie = n->next_cookie++;
	e->hash = hash_of(dir, name, len);
	e->len = len;
	memcpy(e->name, name, len);
	e->next = fs->hash[e->hash % NHASH];
	fs->hash[e->hash % NHASH] = e;
	list_push_back(&n->entries, &e->link);
	dir->size += 20;
	return 0;
}

/* Take the entry out and free it; its inode reference is now the caller's. */
static struct inode *
take(struct entry **at)
{
	struct entry *e = *at;
	struct inode *ip = e->ip;

	*at = e->next;
	list_remove(&e->link);
	e->dir->size -= 20;
	kfree(e);
	return ip;
}

static int
ramfs_lookup(struct inode *dir, const char *name, size_t len, struct inode **out)
{
	struct entry *e = *find(dir, name, len);

	if (!e)
		return -ENOENT;
	*out = inode_ref(e->ip);
	return 0;
}

static int
ramfs_create(struct inode *dir, const char *name, size_t len, uint32_t mode, uint32_t rdev,
	const char *target, struct inode **out)
{
	struct inode *ip;
	int err = new_inode(dir->sb, mode, rdev, target, &ip);

	if (err)
		return err;
	err = add(dir, name, len, ip);
	if (err) {
		ip->nlink = 0;
		inode_put(ip);
		return err;
	}
	if (S_ISDIR(mode))
		dir->nlink++;
	inode_touch(dir, INODE_MTIME | INODE_CTIME);
	*out = inode_ref(ip);
	return 0;
}

static int
ramfs_link(struct inode *dir, const char *name, size_t len, struct inode *ip)
{
	if (ip->nlink >= LINK_MAX)
		return -EMLINK;
	int err = add(dir, name, len, ip);
	if (err)
		return err;
	inode_ref(ip);
	ip->nlink++;
	inode_touch(ip, INODE_CTIME);
	inode_touch(dir, INODE_MTIME | INODE_CTIME);
	return 0;
}

/* A name of ip in dir is gone: link counts and times. Drops the entry's reference. */
static void
unnamed(struct inode *dir, struct inode *ip)
{
	if (S_ISDIR(ip->mode)) {
		ip->nlink = 0;
		dir->nlink--;
	} else {
		ip->nlink--;
	}
	inode_touch(ip, INODE_CTIME);
	inode_touch(dir, INODE_MTIME | INODE_CTIME);
	inode_put(ip);
}

static bool
is_full_dir(struct inode *ip)
{
	return S_ISDIR(ip->mode) && !list_empty(&((struct node *)ip->priv)->entries);
}

static int
ramfs_unlink(struct inode *dir, const char *name, size_t len, struct inode *ip)
{
	struct entry **at = find(dir, name, len);

	if (!*at || (*at)->ip != ip)
		return -ENOENT;
	if (is_full_dir(ip))
		return -ENOTEMPTY;
	unnamed(dir, take(at));
	return 0;
}

static int
ramfs_rename(struct inode *odir, const char *oname, size_t olen, struct inode *ip,
	struct inode *ndir, const char *nname, size_t nlen, struct inode *target)
{
	if (target && is_full_dir(target))
		return -ENOTEMPTY;
	if (!*find(odir, oname, olen))
		return -ENOENT;
	struct entry **over = find(ndir, nname, nlen);
	struct inode *gone = *over ? take(over) : NULL;
	int err = add(ndir, nname, nlen, ip);
	if (err) {
		if (gone && add(ndir, nname, nlen, gone))
			unnamed(ndir, gone);
		return err;
	}
	if (gone)
		unnamed(ndir, gone);
	take(find(odir, oname, olen));
	if (S_ISDIR(ip->mode)) {
		odir->nlink--;
		ndir->nlink++;
	}
	inode_touch(ip, INODE_CTIME);
	inode_touch(odir, INODE_MTIME | INODE_CTIME);
	inode_touch(ndir, INODE_MTIME | INODE_CTIME);
	return 0;
}

static int
ramfs_readdir(struct inode *dir, uint64_t *pos, emit_fn *put, void *arg)
{
	struct node *n = dir->priv;

	list_for_each(e, &n->entries, struct entry, link) {
		if (e->cookie < *pos)
			continue;
		if (put(arg, e->name, e->len, e->ip->ino, (e->ip->mode & S_IFMT) >> 12, e->cookie + 1))
			return 0;
		*pos = e->cookie + 1;
	}
	return 0;
}

static const struct dir_ops ramfs_dir_ops = {
	.lookup = ramfs_lookup,
	.create = ramfs_create,
	.link = ramfs_link,
	.unlink = ramfs_unlink,
	.rename = ramfs_rename,
	.readdir = ramfs_readdir,
};

/* ---- the file system ---- */

/* The last use of an inode ended: deleted, or the file system is being unmounted (then directories still have
 * entries). */
static void
ramfs_evict(struct inode *ip)
{
	struct ramfs *fs = ip->sb->priv;
	struct node *n = ip->priv;
	struct list *at;

	while ((at = list_pop_front(&n->entries))) {
		struct entry *e = list_entry(at, struct entry, link);
		inode_put(take(find(ip, e->name, e->len)));
	}
	uncharge_to(ip->sb, n, 0);
	fs->nfiles--;
	kfree(n->target);
	kfree(n);
}

static int
ramfs_statfs(struct super *sb, struct statfs *st)
{
	struct ramfs *fs = sb->priv;

	st->f_type = TMPFS_MAGIC;
	st->f_bsize = PAGE_SIZE;
	st->f_blocks = fs->limit;
	st->f_bfree = st->f_bavail = fs->limit - fs->used;
	st->f_files = page_count_total();
	st->f_ffree = st->f_files - fs->nfiles;
	return 0;
}

static void
ramfs_unmount(struct super *sb)
{
	kfree(sb->priv);
}

static const struct super_ops ramfs_super_ops = {
	.statfs = ramfs_statfs,
	.evict = ramfs_evict,
	.unmount = ramfs_unmount,
};

/* The value of `key=` in the option text: digits, then k, m, g. Returns `none` when absent or senseless. */
static uint64_t
option(const char *data, const char *key, int base, uint64_t none)
{
	const char *s = data ? strstr(data, key) : NULL;
	uint64_t v = 0;

	if (!s)
		return none;
	s += strlen(key);
	if (*s < '0' || *s >= '0' + base)
		return none;
	for (; *s >= '0' && *s < '0' + base && v < 1ul << 40; s++)
		v = v * base + (*s - '0');
	int shift = *s == 'k' || *s == 'K' ? 10 : *s == 'm' || *s == 'M' ? 20 : *s == 'g' || *s == 'G' ? 30 : 0;
	return v << shift;
}

static int
ramfs_mount(struct fs_type *t, struct blockdev *bdev, unsigned long flags, const char *data,
	struct super **out)
{
	struct super *sb = super_new(t, &ramfs_super_ops);
	struct ramfs *fs = kzalloc(sizeof *fs);
	struct inode *root;

	(void)bdev, (void)flags;
	if (!sb || !fs) {
		kfree(fs);
		if (sb)
			super_free(sb);
		return -ENOMEM;
	}
	sb->priv = fs;
	fs->limit = option(data, "size=", 10, page_count_total() / 2 * PAGE_SIZE) / PAGE_SIZE;
	int err = new_inode(sb, S_IFDIR | (option(data, "mode=", 8, 0777 | S_ISVTX) & 07777), 0, NULL, &root);
	if (!err)
		err = super_set_root(sb, root);
	if (err) {
		super_free(sb);
		kfree(fs);
		return err;
	}
	*out = sb;
	return 0;
}

static struct fs_type tmpfs_type = { .name = "tmpfs", .mount = ramfs_mount };
static struct fs_type ramfs_type = { .name = "ramfs", .mount = ramfs_mount };

static void
ramfs_init(void)
{
	fs_register(&tmpfs_type);
	fs_register(&ramfs_type);
}
INITCALL(7, ramfs_init);
