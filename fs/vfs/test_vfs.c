/* test_vfs.c - tests of lab 7 inside the kernel, on a ramfs of their own.                     (lab 7) */
#include "fs/vfs/inode.h"
#include "fs/vfs/mountcall.h"
#include "fs/vfs/names.h"
#include "fs/vfs/openops.h"
#include "fs/vfs/pagewrite.h"
#include "fs/vfs/pcache.h"
#include "fs/vfs/radix.h"
#include "fs/vfs/super.h"
#include "kern/boot/ktest.h"
#include "kern/mem/kheap.h"
#include "kern/proc/sched.h"
#include "kern/proc/thread.h"
#include "kern/proc/waitq.h"
#include "kern/trap/clock.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

/* covered by a ramfs during a test, so that the root's file system is left alone */
#define DIR "/tmp"

static void
begin(void)
{
	vfs_create(AT_FDCWD, DIR, S_IFDIR | 0777, 0, NULL);
	CHECK_EQ(vfs_mount("none", DIR, "tmpfs", 0, "size=4m"), 0);
}

/* Also forgets names and inodes that nobody uses: they are no leaks. */
static void
end(void)
{
	struct path p;

	CHECK_EQ(path_lookup(AT_FDCWD, DIR, WALK_FOLLOW, &p), 0);
	dentry_put(p.dentry);
	CHECK_EQ(mount_detach(p.mnt, false), 0);
	mount_put(p.mnt);
	dentry_prune(1 << 20);
	inode_prune(1 << 20);
}

static int
look(const char *name, unsigned how)
{
	struct path p;
	int err = path_lookup(AT_FDCWD, name, how, &p);

	if (!err)
		path_put(&p);
	return err;
}

static int
make(const char *name, uint32_t type)
{
	return vfs_create(AT_FDCWD, name, type | 0644, 0, NULL);
}

KTEST(7, vfs_radix)
{
	void *root = NULL;
	struct page *p = page_alloc(PG_KERNEL);
	uint64_t where[] = { 0, 1, 63, 64, 4095, 4096, 1ul << 30, 1ul << 51 };

	for (int i = 0; i < 8; i++)
		CHECK_EQ(radix_put(&root, where[i], p), 0);
	for (int i = 0; i < 8; i++) {
		uint64_t at = i ? where[i - 1] + 1 : 0;
		CHECK(radix_get(root, where[i]) == p);
		CHECK(radix_next(root, &at) == p);
		CHECK_EQ(at, where[i]);
	}
	CHECK(!radix_get(root, 2));
	radix_mark(&root, 4096, true);
	uint64_t at = 0;
	CHECK(radix_next_dirty(root, &at) == p);
	CHECK_EQ(at, 4096);
	at = 4097;
	CHECK(!radix_next_dirty(root, &at));
	for (int i = 0; i < 8; i++)
		radix_del(&root, where[i]);
	CHECK(!root);
	page_unref(p);
}

KTEST(7, vfs_names)
{
	begin();
	CHECK_EQ(make(DIR "/a", S_IFREG), 0);
	CHECK_EQ(make(DIR "/a", S_IFREG), -EEXIST);
	CHECK_EQ(make(DIR "/a/b", S_IFREG), -ENOTDIR);
	CHECK_EQ(look(DIR "/nothing", 0), -ENOENT);
	CHECK_EQ(look(DIR "/nothing", 0), -ENOENT);
	CHECK_EQ(look(DIR "/a/", 0), -ENOTDIR);
	CHECK_EQ(make(DIR "/d", S_IFDIR), 0);
	CHECK_EQ(make(DIR "/d/x", S_IFREG), 0);
	CHECK_EQ(look(DIR "/d/../d/./x", 0), 0);
	CHECK_EQ(vfs_unlink(AT_FDCWD, DIR "/d", true), -ENOTEMPTY);
	CHECK_EQ(vfs_unlink(AT_FDCWD, DIR "/d", false), -EISDIR);
	CHECK_EQ(vfs_rename(AT_FDCWD, DIR "/d", AT_FDCWD, DIR "/d/y", 0), -EINVAL);
	CHECK_EQ(vfs_rename(AT_FDCWD, DIR "/d/x", AT_FDCWD, DIR "/z", 0), 0);
	CHECK_EQ(look(DIR "/d/x", 0), -ENOENT);
	CHECK_EQ(look(DIR "/z", 0), 0);
	CHECK_EQ(vfs_link(AT_FDCWD, DIR "/z", AT_FDCWD, DIR "/a", 0), -EEXIST);
	CHECK_EQ(vfs_link(AT_FDCWD, DIR "/z", AT_FDCWD, DIR "/z2", 0), 0);
	CHECK_EQ(vfs_rename(AT_FDCWD, DIR "/z", AT_FDCWD, DIR "/a", 0), 0);
	CHECK_EQ(vfs_rename(AT_FDCWD, DIR "/a", AT_FDCWD, "/else", 0), -EXDEV);
	CHECK_EQ(vfs_unlink(AT_FDCWD, DIR "/d", true), 0);
	CHECK_EQ(look(DIR "/d", 0), -ENOENT);
	end();
}

KTEST(7, vfs_symlinks)
{
	char loop[] = DIR "/l0";

	begin();
	CHECK_EQ(make(DIR "/f", S_IFREG), 0);
	CHECK_EQ(vfs_create(AT_FDCWD, DIR "/s", S_IFLNK | 0777, 0, "f"), 0);
	CHECK_EQ(vfs_create(AT_FDCWD, DIR "/up", S_IFLNK | 0777, 0, "../tmp/s"), 0);
	CHECK_EQ(vfs_create(AT_FDCWD, DIR "/abs", S_IFLNK | 0777, 0, DIR), 0);
	CHECK_EQ(vfs_create(AT_FDCWD, loop, S_IFLNK | 0777, 0, "l0"), 0);
	CHECK_EQ(look(DIR "/s", WALK_FOLLOW), 0);
	CHECK_EQ(look(DIR "/up", WALK_FOLLOW), 0);
	CHECK_EQ(look(DIR "/abs/abs/abs/up", WALK_FOLLOW | WALK_DIRECTORY), -ENOTDIR);
	CHECK_EQ(look(DIR "/abs/s/", WALK_FOLLOW), -ENOTDIR);
	CHECK_EQ(look(loop, WALK_FOLLOW), -ELOOP);
	CHECK_EQ(look(loop, 0), 0);
	end();
}

KTEST(7, vfs_pages)
{
	struct file *f;
	char *buf = kmalloc(3 * PAGE_SIZE), *back = kmalloc(3 * PAGE_SIZE);

	begin();
	for (size_t i = 0; i < 3 * PAGE_SIZE; i++)
		buf[i] = i * 7 >> 3;
	CHECK_EQ(file_open(DIR "/file", O_RDWR | O_CREAT, 0644, &f), 0);
	struct inode *ip = f->inode;
	mutex_lock(&ip->lock);
	CHECK_EQ(pagecache_write(ip, 1000, buf, 3 * PAGE_SIZE), 3 * PAGE_SIZE);
	CHECK_EQ(pagecache_write(ip, 100 * PAGE_SIZE, buf, 10), 10);
	mutex_unlock(&ip->lock);
	CHECK_EQ(ip->size, 100 * PAGE_SIZE + 10);
	CHECK_EQ(pagecache_read(ip, 1000, back, 3 * PAGE_SIZE), 3 * PAGE_SIZE);
	CHECK(!memcmp(buf, back, 3 * PAGE_SIZE));
	CHECK_EQ(pagecache_read(ip, 50 * PAGE_SIZE, back, 1), 1);
	CHECK_EQ(back[0], 0);
	mutex_lock(&ip->lock);
	CHECK_EQ(inode_truncate(ip, 1004), 0);
	CHECK_EQ(inode_truncate(ip, 2000), 0);
	mutex_unlock(&ip->lock);
	CHECK_EQ(pagecache_read(ip, 1000, back, 4096), 1000);
	CHECK(!memcmp(buf, back, 4));
	CHECK_EQ(back[4] | back[500] | back[999], 0);
	mutex_lock(&ip->lock);
	for (uint64_t at = 0; at < 5 << 20; at += PAGE_SIZE)
		if (pagecache_write(ip, at, buf, PAGE_SIZE) == -ENOSPC)
			break;
	CHECK_EQ(ip->size, 4 << 20);       /* size=4m */
	mutex_unlock(&ip->lock);
	CHECK_EQ(vfs_unlink(AT_FDCWD, DIR "/file", false), 0);
	CHECK_EQ(pagecache_read(ip, PAGE_SIZE, back, 16), 16);
	file_put(f);
	end();
	kfree(buf);
	kfree(back);
}

KTEST(7, vfs_open)
{
	struct file *f;

	begin();
	CHECK_EQ(file_open(DIR "/new", O_RDONLY, 0, &f), -ENOENT);
	CHECK_EQ(file_open(DIR "/new", O_RDWR | O_CREAT | O_EXCL, 0600, &f), 0);
	file_put(f);
	CHECK_EQ(file_open(DIR "/new", O_RDWR | O_CREAT | O_EXCL, 0600, &f), -EEXIST);
	CHECK_EQ(file_open(DIR, O_WRONLY, 0, &f), -EISDIR);
	CHECK_EQ(file_open(DIR "/new", O_RDONLY | O_DIRECTORY, 0, &f), -ENOTDIR);
	CHECK_EQ(vfs_create(AT_FDCWD, DIR "/dangling", S_IFLNK | 0777, 0, "made"), 0);
	CHECK_EQ(file_open(DIR "/dangling", O_RDONLY | O_NOFOLLOW, 0, &f), -ELOOP);
	CHECK_EQ(file_open(DIR "/dangling", O_RDWR | O_CREAT, 0600, &f), 0);
	file_put(f);
	CHECK_EQ(look(DIR "/made", 0), 0);
	end();
}

/* ---- unmounting while reclaim is at work ---- */

/* A file system whose evict takes as long as we like. */
static struct {
	struct waitq wq;
	bool open;                 /* evict may end */
	int evicting;
	int torn;                  /* file systems unmounted with reclaim still inside */
	int ended;                 /* threads */
} slow = { .wq = WAITQ(slow.wq) };

static void
slow_evict(struct inode *ip)
{
	if (S_ISDIR(ip->mode))
		return;
	__atomic_add_fetch(&slow.evicting, 1, __ATOMIC_ACQ_REL);
	waitq_wake_all(&slow.wq);
	wait_event(&slow.wq, __atomic_load_n(&slow.open, __ATOMIC_ACQUIRE), (void *)NULL);
	__atomic_sub_fetch(&slow.evicting, 1, __ATOMIC_ACQ_REL);
}

static void
slow_unmount(struct super *sb)
{
	(void)sb;
	slow.torn += __atomic_load_n(&slow.evicting, __ATOMIC_ACQUIRE) != 0;
}

static const struct super_ops slow_ops = { .evict = slow_evict, .unmount = slow_unmount };

static struct inode *
slow_inode(struct super *sb, uint64_t ino, uint32_t mode)
{
	struct inode *ip;

	if (inode_get(sb, ino, &ip))
		return NULL;
	ip->mode = mode;
	ip->nlink = 1;
	inode_unlock_new(ip);
	return ip;
}

static int
slow_mount(struct fs_type *t, struct blockdev *bdev, unsigned long flags, const char *data,
	struct super **out)
{
	(void)bdev, (void)flags, (void)data;
	struct super *sb = super_new(t, &slow_ops);
	struct inode *root = sb ? slow_inode(sb, 1, S_IFDIR | 0755) : NULL;

	if (!root || super_set_root(sb, root)) {
		if (sb)
			super_free(sb);
		return -ENOMEM;
	}
	*out = sb;
	return 0;
}

static struct fs_type slow_type = { .name = "slow", .mount = slow_mount };

static void
thread_over(void)
{
	__atomic_add_fetch(&slow.ended, 1, __ATOMIC_ACQ_REL);
	waitq_wake_all(&slow.wq);
}

static void
slow_pruner(void *arg)
{
	(void)arg;
	inode_prune(1 << 20);
	thread_over();
}

static void
slow_detacher(void *arg)
{
	struct mount *m = arg;

	CHECK_EQ(mount_detach(m, false), 0);
	mount_put(m);
	thread_over();
}

static void
count_thread(struct thread *t, void *arg)
{
	(void)t;
	++*(int *)arg;
}

static int
thread_count(void)
{
	int n = 0;

	thread_each(count_thread, &n);
	return n;
}

static void
run_thread(void (*fn)(void *), void *arg)
{
	struct thread *t = thread_create("slow", fn, arg);

	CHECK(t != NULL);
	if (t)
		thread_start(t);
}

/* Reclaim has taken an inode and its evict goes on: the file system may not be unmounted under it. */
KTEST(7, vfs_unmount_waits_for_reclaim)
{
	struct path p;
	int before = thread_count();

	if (!fs_find("slow"))
		fs_register(&slow_type);
	slow.open = false;
	slow.torn = slow.ended = 0;
	inode_prune(1 << 20);
	vfs_create(AT_FDCWD, DIR, S_IFDIR | 0777, 0, NULL);
	CHECK_EQ(vfs_mount("none", DIR, "slow", 0, NULL), 0);
	CHECK_EQ(path_lookup(AT_FDCWD, DIR, WALK_FOLLOW, &p), 0);
	dentry_put(p.dentry);
	struct inode *ip = slow_inode(p.mnt->sb, 2, S_IFREG | 0644);
	CHECK(ip != NULL);
	if (ip)
		inode_put(ip);
	run_thread(slow_pruner, NULL);
	wait_event(&slow.wq, __atomic_load_n(&slow.evicting, __ATOMIC_ACQUIRE) == 1, (void *)NULL);
	run_thread(slow_detacher, p.mnt);
	thread_sleep_until(clock_ns() + 5 * 1000000, false);
	CHECK_EQ(slow.torn, 0);
	__atomic_store_n(&slow.open, true, __ATOMIC_RELEASE);
	waitq_wake_all(&slow.wq);
	wait_event(&slow.wq, __atomic_load_n(&slow.ended, __ATOMIC_ACQUIRE) == 2, (void *)NULL);
	while (thread_count() > before)
		thread_sleep_until(clock_ns() + 1000000, false);
	CHECK_EQ(slow.torn, 0);
	dentry_prune(1 << 20);
	inode_prune(1 << 20);
}
