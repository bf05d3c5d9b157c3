/* test_procfs.c - tests of lab 10 inside the kernel. What the files say is compared with Linux by user/tests.  (lab 10) */
#include "fs/procfs/procfs.h"
#include "fs/vfs/mountcall.h"
#include "fs/vfs/names.h"
#include "fs/vfs/fsctx.h"
#include "kern/boot/ktest.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

#define DIR "/tmp/ktestproc"

KTEST(10, seq_grows)
{
	struct seq s = { 0 };
	char piece[100];

	memset(piece, 'x', sizeof piece);
	for (int i = 0; i < 100; i++)
		seq_put(&s, piece, sizeof piece);
	seq_printf(&s, "%d-%s\n", 42, "end");
	CHECK(!s.failed);
	CHECK_EQ(s.len, 100 * sizeof piece + 7);
	CHECK(memcmp(s.buf + s.len - 7, "42-end\n", 7) == 0);
	seq_free(&s);
}

KTEST(10, seq_has_an_end)
{
	struct seq s = { 0 };
	char piece[256];

	memset(piece, 'y', sizeof piece);
	for (size_t n = 0; n <= SEQ_MAX; n += sizeof piece)
		seq_put(&s, piece, sizeof piece);
	CHECK(s.failed);
	CHECK(s.len <= SEQ_MAX);
	seq_printf(&s, "more");
	CHECK(s.len <= SEQ_MAX);
	seq_free(&s);
}

/* Look up DIR/name; 0 or -errno. */
static int
look(const char *name, uint32_t type)
{
	char path[96];
	struct path p;

	strlcpy(path, DIR "/", sizeof path);
	strlcat(path, name, sizeof path);
	int err = path_lookup(AT_FDCWD, path, 0, &p);
	if (err)
		return err;
	if ((p.dentry->inode->mode & S_IFMT) != type)
		err = -EINVAL;
	path_put(&p);
	return err;
}

KTEST(10, procfs_names)
{
	struct path p;

	vfs_create(AT_FDCWD, "/tmp", S_IFDIR | 0777, 0, NULL);
	CHECK_EQ(vfs_create(AT_FDCWD, DIR, S_IFDIR | 0755, 0, NULL), 0);
	CHECK_EQ(vfs_mount("proc", DIR, "proc", 0, NULL), 0);
	CHECK_EQ(look("meminfo", S_IFREG), 0);
	CHECK_EQ(look("sys/kernel/osrelease", S_IFREG), 0);
	CHECK_EQ(look("self", S_IFLNK), 0);
	CHECK_EQ(look("nothing", S_IFREG), -ENOENT);
	CHECK_EQ(look("4000000", S_IFDIR), -ENOENT);          /* no such process */
	CHECK_EQ(look("00", S_IFDIR), -ENOENT);
	CHECK_EQ(look("99999999999999999999", S_IFDIR), -ENOENT);
	CHECK_EQ(vfs_unlink(AT_FDCWD, DIR "/meminfo", false) < 0, 1);
	CHECK_EQ(vfs_create(AT_FDCWD, DIR "/new", S_IFREG | 0644, 0, NULL) < 0, 1);
	CHECK_EQ(path_lookup(AT_FDCWD, DIR, WALK_FOLLOW, &p), 0);
	dentry_put(p.dentry);
	CHECK_EQ(mount_detach(p.mnt, false), 0);
	mount_put(p.mnt);
	CHECK_EQ(vfs_unlink(AT_FDCWD, DIR, true), 0);
}
