/* archive.c - reads the boot archive, and makes programs in it available to exec.               (lab 4)
 *
 * Idea.       A cpio "newc" file is a row of entries: a header of 110 characters (a magic and thirteen
 *             numbers of eight hex digits), the name, the data; name and data each padded to 4 bytes.
 *             "TRAILER!!!" ends it. Nothing is unpacked: entries are found by walking from the start, and
 *             data is used where it lies.
 * Interface.  archive_next, archive_find; exec_open_archive.
 * Invariants. I1 nothing outside [archive, archive + size) is ever read, whatever the bytes say.
 */
#include "kern/proc/archive.h"
#include "kern/boot/bootinfo.h"
#include "kern/mem/kheap.h"
#include "kern/mem/pagetable.h"
#include "kern/proc/exec.h"
#include "lib/abi/errno.h"
#include "lib/abi/stat.h"
#include "lib/kern/string.h"

#define HEADER 110
#define MAX_LINKS 8                   /* symlinks followed in one path */
#define PATH_MAX 1024

enum field { F_INO, F_MODE, F_UID, F_GID, F_NLINK, F_MTIME, F_FILESIZE, F_DEVMAJOR, F_DEVMINOR, F_RDEVMAJOR,
	F_RDEVMINOR, F_NAMESIZE, F_CHECK };

static int
hex_field(const char *header, enum field f, uint32_t *out)
{
	const char *s = header + 6 + 8 * f;

	*out = 0;
	for (int i = 0; i < 8; i++) {
		char c = s[i] | 0x20;
		int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

		if (digit < 0)
			return -EINVAL;
		*out = *out << 4 | digit;
	}
	return 0;
}

/* archive_next on any bytes: the tests' way in. Contract: archive.h. */
int
archive_parse(const char *base, uint64_t size, uint64_t *pos, struct archive_entry *e)
{
	const char *h = base + *pos;
	uint32_t f[F_CHECK + 1];
	uint64_t data;

	if (*pos >= size)
		return 0;
	if (size - *pos < HEADER || memcmp(h, "07070", 5) != 0 || (h[5] != '1' && h[5] != '2'))
		return -EINVAL;
	for (int i = 0; i <= F_CHECK; i++)
		if (hex_field(h, i, &f[i]) < 0)
			return -EINVAL;
	data = (*pos + HEADER + f[F_NAMESIZE] + 3) & ~3ul;
	if (f[F_NAMESIZE] == 0 || data > size || f[F_FILESIZE] > size - data ||
	    h[HEADER + f[F_NAMESIZE] - 1] != '\0')
		return -EINVAL;
	*e = (struct archive_entry){ .name = h + HEADER, .namelen = f[F_NAMESIZE] - 1, .mode = f[F_MODE],
		.uid = f[F_UID], .gid = f[F_GID], .mtime = f[F_MTIME], .nlink = f[F_NLINK], .ino = f[F_INO],
		.data = base + data, .size = f[F_FILESIZE] };
	if (e->namelen == 10 && memcmp(e->name, "TRAILER!!!", 10) == 0)
		return 0;
	while (e->namelen > 0 && (*e->name == '/' || (e->name[0] == '.' && e->name[1] == '/')))
		e->name++, e->namelen--;
	*pos = (data + f[F_FILESIZE] + 3) & ~3ul;
	return 1;
}

int
archive_next(uint64_t *pos, struct archive_entry *e)
{
	const void *archive = directmap_ptr(bootinfo.archive_phys, bootinfo.archive_size);

	return archive ? archive_parse(archive, bootinfo.archive_size, pos, e) : 0;
}

static int
find_exact(const char *path, size_t n, struct archive_entry *e)
{
	uint64_t pos = 0;

	while (archive_next(&pos, e) == 1)
		if (e->namelen == n && memcmp(e->name, path, n) == 0)
			return 0;
	return -ENOENT;
}

/* Rewrite `path` (no leading slash) into the canonical form: no empty, "." or ".." components. */
static void
path_clean(char *path)
{
	char *out = path, *in = path;

	while (*in) {
		size_t n = strchr(in, '/') ? (size_t)(strchr(in, '/') - in) : strlen(in);
		char *next = in[n] ? in + n + 1 : in + n;

		if (n == 2 && in[0] == '.' && in[1] == '.') {
			while (out > path && *--out != '/')
				;
		} else if (n > 0 && !(n == 1 && in[0] == '.')) {
			if (out > path)
				*out++ = '/';
			memmove(out, in, n);
			out += n;
		}
		in = next;
	}
	*out = '\0';
}

/* If a leading part of `path` (or all of it) names a symlink, replace that part by its target. 1: replaced,
 * 0: none. */
static int
path_follow(char *path, size_t cap)
{
	struct archive_entry e;
	char old[PATH_MAX];
	size_t len = strlen(path), n = 0, dir;

	while (n < len) {
		for (n++; n < len && path[n] != '/'; n++)
			;
		if (find_exact(path, n, &e) < 0 || (e.mode & S_IFMT) != S_IFLNK)
			continue;
		strlcpy(old, path, sizeof old);
		for (dir = n; dir > 0 && old[dir - 1] != '/'; dir--)
			;
		if (e.size > 0 && *(const char *)e.data == '/')
			dir = 0;
		if (dir + e.size + (len - n) + 2 > cap)
			return -ENAMETOOLONG;
		memcpy(path + dir, e.data, e.size);
		strlcpy(path + dir + e.size, old + n, cap - dir - e.size);
		path_clean(path);
		return 1;
	}
	return 0;
}

/* Find a path from the root of the archive. Returns: 0, -ENOENT, -ELOOP, -ENAMETOOLONG. */
int
archive_find(const char *path, struct archive_entry *e)
{
	char buf[PATH_MAX];
	int r;

	if (strlcpy(buf, path, sizeof buf) >= sizeof buf)
		return -ENAMETOOLONG;
	path_clean(buf);
	for (int i = 0; i < MAX_LINKS; i++) {
		if ((r = path_follow(buf, sizeof buf)) < 0)
			return r;
		if (r == 0)
			return find_exact(buf, strlen(buf), e);
	}
	return -ELOOP;
}

/* ---- as a source of programs ---- */

void
source_put(struct source *s)
{
	if (__atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) == 0)
		s->ops->put(s);
}

static long
archive_read(struct source *s, uint64_t off, void *buf, size_t n)
{
	if (off >= s->size)
		return 0;
	if (n > s->size - off)
		n = s->size - off;
	memcpy(buf, (const char *)s->priv + off, n);
	return n;
}

static void
archive_put(struct source *s)
{
	kfree(s);
}

static const struct source_ops archive_source_ops = { .read = archive_read, .put = archive_put };

/* Open a program in the archive. Returns: 0, -ENOENT, -EACCES (not a regular file), -ENOMEM. */
int
exec_open_archive(const char *path, struct source **out)
{
	struct archive_entry e = { 0 };
	struct source *s;
	int err = archive_find(path, &e);

	if (err)
		return err;
	if ((e.mode & S_IFMT) != S_IFREG)
		return -EACCES;
	s = kzalloc(sizeof *s);
	if (!s)
		return -ENOMEM;
	s->ops = &archive_source_ops;
	s->refs = 1;
	s->size = e.size;
	s->mode = e.mode;
	s->uid = e.uid;
	s->gid = e.gid;
	s->priv = (void *)(uint64_t)e.data;
	*out = s;
	return 0;
}
