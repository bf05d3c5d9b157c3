/* diskwork.c - does with a disk what a script on another disk says.                             (lab 9)
 *
 * Idea.       The judge draws the operations, this program only does them. Before each, and at the end, it
 *             says on the script's disk how far it is and what the last one returned: in a recording of both
 *             disks these notes lie between the writes that the operations caused.
 * Interface.  diskwork DISK. A script is lines "OPERATION [PATH] [PATH] [NUMBER...]", see table[]; it ends with
 *             a NUL byte. Paths are relative to the mounted file system. A note is the text "NUMBER RESULT".
 *
 * There is no host run. It is a first process; anywhere else, without arguments, it touches no disk and says ok.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include "say.h"

#define SCRIPT 65536
#define CHUNK  16384
#define WORDS  6

static char script[SCRIPT + 1], data[CHUNK] __attribute__((aligned(4096)));
static char note[512] __attribute__((aligned(4096)));
static char *word[WORDS];

static long
number(int i)
{
	return word[i] ? atol(word[i]) : 0;
}

/* What the file with this seed has at off: cells of 16 bytes that say who wrote them and where. */
static void
pattern(unsigned seed, long off, long len)
{
	char cell[17];

	for (long i = 0; i < len; i++) {
		if (i == 0 || (off + i) % 16 == 0)
			snprintf(cell, sizeof cell, "%08x%07x\n", seed, (unsigned)((off + i) / 16));
		data[i] = cell[(off + i) % 16];
	}
}

/* Write len bytes in pieces; a short write ends it. Returns the bytes written, or -1 if there were none. */
static long
write_with(int flags)
{
	long off = number(2), len = number(3), done = 0, r = 0;
	int fd = open(word[1], O_WRONLY | flags);

	if (fd < 0)
		return -1;
	while (done < len) {
		long n = len - done < CHUNK ? len - done : CHUNK;
		pattern((unsigned)number(4), off + done, n);
		if ((r = pwrite(fd, data, n, off + done)) <= 0)
			break;
		done += r;
	}
	int err = errno;
	close(fd);
	errno = err;
	return done ? done : r;
}

static long do_write(void) { return write_with(0); }
static long do_owrite(void) { return write_with(O_SYNC); }
static long do_dwrite(void) { return write_with(O_DSYNC); }

static long
do_make(void)
{
	int fd = open(word[1], O_WRONLY | O_CREAT | O_EXCL, 0644);

	return fd < 0 ? fd : close(fd);
}

/* Open it, and keep it open. */
static long
do_hold(void)
{
	return open(word[1], O_RDWR) < 0 ? -1 : 0;
}

static long
do_fsync(void)
{
	int fd = open(word[1], O_RDONLY);
	long r = fd < 0 ? fd : fsync(fd);
	int err = errno;

	close(fd);
	errno = err;
	return r;
}

static long
do_fdatasync(void)
{
	int fd = open(word[1], O_RDONLY);
	long r = fd < 0 ? fd : fdatasync(fd);
	int err = errno;

	close(fd);
	errno = err;
	return r;
}

/* Directories 0..n-1 with a file x in each, made or dropped. Returns how many. */
static long
each_of(int (*what)(const char *dir, const char *file))
{
	char dir[128], file[132];
	long i;

	for (i = 0; i < number(2); i++) {
		snprintf(dir, sizeof dir, "%s/%ld", word[1], i);
		snprintf(file, sizeof file, "%s/x", dir);
		if (what(dir, file) < 0)
			return i ? i : -1;
	}
	return i;
}

static int
nest_one(const char *dir, const char *file)
{
	int fd = mkdir(dir, 0755) < 0 ? -1 : open(file, O_WRONLY | O_CREAT | O_EXCL, 0644);

	return fd < 0 ? fd : close(fd);
}

static int
unnest_one(const char *dir, const char *file)
{
	return unlink(file) < 0 ? -1 : rmdir(dir);
}

/* Adler-32 of a file's bytes. */
static long
do_sum(void)
{
	unsigned long a = 1, b = 0;
	int fd = open(word[1], O_RDONLY);
	long n = fd;

	while (fd >= 0 && (n = read(fd, data, sizeof data)) > 0) {
		for (long i = 0; i < n; i++) {
			a = (a + (unsigned char)data[i]) % 65521;
			b = (b + a) % 65521;
		}
	}
	if (fd >= 0)
		close(fd);
	return n < 0 ? -1 : (long)(b << 16 | a);
}

static long
mount_with(unsigned long flags)
{
	if (mount(word[1], "/mnt", "eclipsefs", flags, NULL) < 0)
		return -1;
	return chdir("/mnt");
}

static long do_mount(void) { return mount_with(0); }
static long do_mount_ro(void) { return mount_with(MS_RDONLY); }
static long do_umount(void) { return chdir("/") < 0 ? -1 : umount("/mnt"); }
static long do_mkdir(void) { return mkdir(word[1], 0755); }
static long do_rmdir(void) { return rmdir(word[1]); }
static long do_unlink(void) { return unlink(word[1]); }
static long do_link(void) { return link(word[1], word[2]); }
static long do_rename(void) { return rename(word[1], word[2]); }
static long do_trunc(void) { return truncate(word[1], number(2)); }
static long do_sync(void) { sync(); return 0; }
static long do_nest(void) { return each_of(nest_one); }
static long do_unnest(void) { return each_of(unnest_one); }

static const struct operation { const char *name; int words; long (*run)(void); } table[] = {
	{ "mount", 1, do_mount }, { "mountro", 1, do_mount_ro }, { "umount", 0, do_umount },
	{ "make", 1, do_make }, { "hold", 1, do_hold }, { "mkdir", 1, do_mkdir }, { "rmdir", 1, do_rmdir },
	{ "unlink", 1, do_unlink }, { "link", 2, do_link }, { "rename", 2, do_rename }, { "trunc", 2, do_trunc },
	{ "write", 4, do_write }, { "owrite", 4, do_owrite }, { "dwrite", 4, do_dwrite }, { "sum", 1, do_sum },
	{ "fsync", 1, do_fsync }, { "fdatasync", 1, do_fdatasync }, { "sync", 0, do_sync },
	{ "nest", 2, do_nest }, { "unnest", 2, do_unnest },
};

/* One line. Returns what the call returned, or -errno. */
static long
line_run(char *line)
{
	int n = 0;

	for (char *s = line; n < WORDS; n++) {
		while (*s == ' ')
			*s++ = 0;
		word[n] = *s ? s : NULL;
		while (*s && *s != ' ')
			s++;
	}
	for (unsigned i = 0; word[0] && i < sizeof table / sizeof table[0]; i++) {
		if (strcmp(word[0], table[i].name) == 0 && (!table[i].words || word[table[i].words])) {
			long r = table[i].run();
			return r < 0 ? -errno : r;
		}
	}
	return -ENOSYS;
}

int
main(int argc, char **argv)
{
	const char *disk = argc > 1 ? argv[1] : "/dev/vda";

	if (argc < 2 && getpid() != 1) {
		say("ok\n");
		return 0;
	}
	int in = open(disk, O_RDONLY), out = open(disk, O_WRONLY | O_DIRECT);
	long n = 0, i = 0, last = 0;

	for (long got; n < SCRIPT && (got = read(in, script + n, SCRIPT - n)) > 0; n += got)
		;
	if (n < SCRIPT || out < 0) {
		say("diskwork: no script\n");
		return 1;
	}
	mkdir("/mnt", 0755);
	for (char *line = script, *end; *line; line = end, i++) {
		for (end = line; *end && *end != '\n'; end++)
			;
		if (*end)
			*end++ = 0;
		snprintf(note, sizeof note, "%ld %ld ", i, last);
		if (pwrite(out, note, sizeof note, 0) != sizeof note)
			return 2;
		last = line_run(line);
	}
	snprintf(note, sizeof note, "%ld %ld ", i, last);
	return pwrite(out, note, sizeof note, 0) == sizeof note ? 0 : 2;
}
