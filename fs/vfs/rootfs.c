/* rootfs.c - the root file system at boot: a disk, else the boot archive in memory.            (lab 7)
 *
 * Idea.       root= (or the first Linux partition) is tried with every file-system type that lives on disks.
 *             When none fits, or there is no disk, the tree of the boot archive is unpacked into a ramfs,
 *             which becomes the root; a message says which and why.
 * Interface.  vfs_mount_root, run before the first process. Kernel words: root=, ro, rw; root=none wants the
 *             archive.
 * Invariants. I1 after vfs_mount_root there is a root, and vfs_root names it, unless there is no memory for
 * one.
 */
#include "fs/vfs/fd.h"
#include "fs/vfs/fsctx.h"
#include "fs/vfs/mountcall.h"
#include "fs/vfs/names.h"
#include "fs/vfs/openops.h"
#include "fs/vfs/pagewrite.h"
#include "fs/vfs/super.h"
#include "kern/boot/bootinfo.h"
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "kern/proc/archive.h"
#include "kern/proc/exec.h"
#include "kern/trap/clock.h"
#include "lib/abi/errno.h"
#include "lib/abi/mount.h"
#include "lib/kern/string.h"

static void
become_root(struct mount *m)
{
	vfs_root = (struct path){ m, dentry_get(m->root) };      /* takes over the caller's reference of m */
	fsctx_init_root(vfs_root);
}

/* ---- the boot archive's tree ---- */

/* Make the directories on the way to path. */
static int
make_parents(char *path)
{
	for (char *s = strchr(path + 1, '/'); s; s = strchr(s + 1, '/')) {
		*s = '\0';
		int err = vfs_create(AT_FDCWD, path, S_IFDIR | 0755, 0, NULL);
		*s = '/';
		if (err && err != -EEXIST)
			return err;
	}
	return 0;
}

static int
write_contents(const char *path, const struct archive_entry *e)
{
	struct path p;
	int err = path_lookup(AT_FDCWD, path, 0, &p);

	if (err)
		return err;
	struct inode *ip = p.dentry->inode;
	mutex_lock(&ip->lock);
	long n = pagecache_write(ip, 0, e->data, e->size);
	mutex_unlock(&ip->lock);
	path_put(&p);
	return n < 0 ? (int)n : (uint64_t)n < e->size ? -ENOSPC : 0;
}

/* Owner, mode and time as the archive has them. */
static void
set_attributes(const char *path, const struct archive_entry *e)
{
	struct path p;

	if (path_lookup(AT_FDCWD, path, 0, &p))
		return;
	struct inode *ip = p.dentry->inode;
	ip->uid = e->uid;
	ip->gid = e->gid;
	ip->mode = (ip->mode & S_IFMT) | (e->mode & 07777);
	ip->mtime = (int64_t)e->mtime * (int64_t)NSEC;
	path_put(&p);
}

/* One entry of the archive; buf has room for a path and a symlink's target. */
static int
unpack(const struct archive_entry *e, char *buf)
{
	char *path = buf, *target = buf + PATH_MAX;
	uint32_t type = e->mode & S_IFMT;

	if (!e->namelen || e->namelen + 2 > PATH_MAX || (e->namelen == 1 && e->name[0] == '.'))
		return 0;
	path[0] = '/';
	memcpy(path + 1, e->name, e->namelen);
	path[e->namelen + 1] = '\0';
	int err = make_parents(path);
	if (!err && type == S_IFLNK) {
		if (e->size >= PATH_MAX)
			return -ENAMETOOLONG;
		memcpy(target, e->data, e->size);
		target[e->size] = '\0';
		return vfs_create(AT_FDCWD, path, S_IFLNK | 0777, 0, target);
	}
	if (!err)
		err = vfs_create(AT_FDCWD, path, type | (e->mode & 07777), 0, NULL);
	if (err == -EEXIST && type == S_IFDIR)
		err = 0;
	if (!err && type == S_IFREG && e->size)
		err = write_contents(path, e);
	if (!err)
		set_attributes(path, e);
	return err;
}

/* The whole archive into the root. Damaged or too large: what could be unpacked stays, and a message says so.
 */
static void
unpack_all(void)
{
	static const char *const dirs[] = { "/dev", "/proc", "/tmp" };
	struct archive_entry e;
	uint64_t pos = 0;
	int more, err = 0;
	char *buf = kmalloc(2 * PATH_MAX);

	if (!buf)
		return;
	while ((more = archive_next(&pos, &e)) == 1 && !err)
		err = unpack(&e, buf);
	if (more < 0 || err)
		klog(LOG_ERR, "root: boot archive: error %d, unpacked in part\n", err ? -err : -more);
	for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
		vfs_create(AT_FDCWD, dirs[i], S_IFDIR | 0755, 0, NULL);
	kfree(buf);
}

static int
mount_archive(void)
{
	struct mount *m;
	int err = mount_new(fs_find("tmpfs"), NULL, NULL, 0, "mode=755", "rootfs", &m);

	if (err)
		return err;
	become_root(m);
	unpack_all();
	return 0;
}

/* ---- the root disk ---- */

/* Try the disk with every type; read-only when it cannot be had otherwise. */
static int
mount_disk(struct blockdev *d, unsigned long flags)
{
	char source[32];
	struct mount *m;
	int err = -ENODEV;

	strlcpy(source, "/dev/", sizeof source);
	strlcat(source, d->name, sizeof source);
	for (struct fs_type *t = fs_next(NULL); t; t = t->next) {
		if (!t->needs_dev)
			continue;
		err = mount_new(t, d, NULL, flags, NULL, source, &m);
		if (err && err != -EINVAL && !(flags & MS_RDONLY))
			err = mount_new(t, d, NULL, flags | MS_RDONLY, NULL, source, &m);
		if (err)
			continue;
		klog(LOG_INFO, "root: %s (%s), %s\n", source, t->name, path_readonly(&(struct path){ m, m->root }) ?
			"read-only" : "read-write");
		become_root(m);
		return 0;
	}
	return err;
}

/* Mount the root file system. Returns 0, or -errno when there is not even memory for a ramfs. May sleep. */
int
vfs_mount_root(void)
{
	char word[64];
	unsigned long flags = cmdline_get("ro", word, sizeof word) >= 0 ? MS_RDONLY : 0;
	bool named = cmdline_get("root", word, sizeof word) > 0;
	struct blockdev *d = named && !strcmp(word, "none") ? NULL : blockdev_root();

	if (d) {
		int err = mount_disk(d, flags);
		if (!err)
			return 0;
		klog(LOG_ERR, "root: cannot mount %s: %s (error %d)\n", d->name, err == -ENODEV ?
			"no file system for disks in this kernel" : "no type fits", -err);
	} else {
		klog(named && strcmp(word, "none") ? LOG_ERR : LOG_INFO, "root: no root disk%s%s\n",
			named ? " for root=" : "", named ? word : "");
	}
	klog(LOG_INFO, "root: using the boot archive, in memory\n");
	return mount_archive();
}

/* ---- before the first process ---- */

/* Standard input, output and error of the first process. */
static void
open_console(void)
{
	struct file *f;

	if (file_open("/dev/console", O_RDWR, 0, &f) < 0)
		return;
	for (int fd = 0; fd < 3; fd++)
		fd_install(fd < 2 ? file_ref(f) : f, 0, false);
}

static void
rootfs_start(void)
{
	int err = vfs_mount_root();

	if (err) {
		klog(LOG_ERR, "root: no root file system: error %d\n", -err);
		return;
	}
	if (fs_find("devtmpfs")) {
		err = vfs_mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, NULL);
		if (err)
			klog(LOG_WARN, "cannot mount /dev: error %d\n", -err);
	}
	fd_set_first(open_console);
}

static void
rootfs_init(void)
{
	init_register(rootfs_start);
}
INITCALL(7, rootfs_init);
