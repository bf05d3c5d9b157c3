/* storage.c - what an operation on files and disks costs; the same program on Eclipse and on Linux.
 *
 * Idea.       It is the first process of either kernel: loads what modules it finds in /modules (Linux has
 *             its disk driver there), mounts the disk, runs each row some times and powers off. A row is
 *             measured between two marks, long NOPs that do nothing on a processor; QEMU with count.c tells
 *             how many instructions ran from the one to the other, in user mode and in the kernel, waiting
 *             not counted. For times the same program runs once more without any counting.
 *
 *                 setup (not measured) -> MARK_BEGIN -> the operations -> MARK_END -> line on the console
 *
 * Interface.  storage FSTYPE SCALE [ROW...]   SCALE divides the number of operations; no ROW: all.
 *             Prints "row NAME OPS NS" for each time a row ran, at last "storage: done".
 * Invariants. I1 before each row all earlier writes are on the disk (sync), so that no row pays for another.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MARK_BEGIN asm volatile("nopl 0x4d424331(%%rax)" ::: "memory")
#define MARK_END   asm volatile("nopl 0x4d424332(%%rax)" ::: "memory")

enum { TIMES = 5, CHUNK = 64 << 10, FILE_MIB = 48, FEW = 400, MANY = 2000,
	CROWD = 10000, DEPTH = 32, PIECE = 4096 };
enum { NR_finit_module = 313, DIRECT = 040000, DONTNEED = 4 };

static char buffer[CHUNK] __attribute__((aligned(4096)));
static unsigned scale = 1;
static uint64_t began, spent, seed = 88172645463325252ul;

static uint64_t
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ul + t.tv_nsec;
}

static void
begin(void)
{
	sync();
	began = now();
	MARK_BEGIN;
}

static void
end(void)
{
	MARK_END;
	spent = now() - began;
}

static void
must(int ok, const char *what)
{
	if (ok)
		return;
	printf("storage: %s: error %d\n", what, errno);
	sync();
	reboot(RB_POWER_OFF);
}

/* xorshift64: the same numbers on every kernel. */
static uint64_t
draw(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	return seed ^= seed << 17;
}

static int
file_open(const char *path, int flags)
{
	int fd = open(path, flags, 0644);

	must(fd >= 0, path);
	return fd;
}

static char *
name_of(const char *dir, unsigned i)
{
	static char path[64];

	snprintf(path, sizeof(path), "/mnt/%s/file%06u", dir, i);
	return path;
}

/* Files 0..n-1 of `dir`, each of `size` bytes. */
static void
files_make(const char *dir, unsigned n, unsigned size, int durable)
{
	for (unsigned i = 0; i < n; i++) {
		int fd = file_open(name_of(dir, i), O_CREAT | O_EXCL | O_WRONLY);

		if (size)
			must(write(fd, buffer, size) == (long)size, "write");
		if (durable)
			must(fsync(fd) == 0, "fsync");
		close(fd);
	}
}

static void
files_unlink(const char *dir, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		must(unlink(name_of(dir, i)) == 0, "unlink");
}

static void
dir_fresh(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/mnt/%s", name);
	must(mkdir(path, 0755) == 0 || errno == EEXIST, path);
}

/* ---- one large file ---- */

static uint64_t
file_bytes(void)
{
	return (uint64_t)(FILE_MIB << 20) / scale / CHUNK * CHUNK;
}

static void
big_write(void)
{
	int fd = file_open("/mnt/big", O_CREAT | O_TRUNC | O_WRONLY);

	for (uint64_t at = 0; at < file_bytes(); at += CHUNK)
		must(write(fd, buffer, CHUNK) == CHUNK, "write");
	must(fsync(fd) == 0, "fsync");
	close(fd);
}

/* The file, there, on the disk and out of the cache. */
static int
big_cold(void)
{
	struct stat st;
	int fd;

	if (stat("/mnt/big", &st) < 0 || (uint64_t)st.st_size != file_bytes())
		big_write();
	fd = file_open("/mnt/big", O_RDONLY);
	must(fsync(fd) == 0, "fsync");
	posix_fadvise(fd, 0, 0, DONTNEED);
	return fd;
}

static unsigned
row_seq_write(void)
{
	unlink("/mnt/big");
	begin();
	big_write();
	end();
	return file_bytes() / 1024;
}

static unsigned
read_all(int fd)
{
	begin();
	for (uint64_t at = 0; at < file_bytes(); at += CHUNK)
		must(read(fd, buffer, CHUNK) == CHUNK, "read");
	end();
	close(fd);
	return file_bytes() / 1024;
}

static unsigned
row_seq_read(void)
{
	return read_all(big_cold());
}

static unsigned
row_seq_read_warm(void)
{
	int fd = big_cold();

	while (read(fd, buffer, CHUNK) > 0)
		;
	lseek(fd, 0, SEEK_SET);
	return read_all(fd);
}

static unsigned
row_rand_read(void)
{
	int fd = big_cold();
	uint64_t blocks = file_bytes() / PIECE;
	unsigned n = MANY / scale;

	begin();
	for (unsigned i = 0; i < n; i++)
		must(pread(fd, buffer, PIECE, draw() % blocks * PIECE) == PIECE, "pread");
	end();
	close(fd);
	return n;
}

/* ---- many small files ---- */

static unsigned
row_create(void)
{
	unsigned n = MANY / scale;

	dir_fresh("many");
	begin();
	files_make("many", n, PIECE, 0);
	end();
	files_unlink("many", n);
	return n;
}

static unsigned
row_create_fsync(void)
{
	unsigned n = FEW / scale;

	dir_fresh("few");
	begin();
	files_make("few", n, PIECE, 1);
	end();
	files_unlink("few", n);
	return n;
}

static unsigned
row_overwrite_fsync(void)
{
	unsigned n = FEW / scale;
	int fd = file_open("/mnt/over", O_CREAT | O_RDWR);

	must(pwrite(fd, buffer, PIECE, 0) == PIECE, "pwrite");
	begin();
	for (unsigned i = 0; i < n; i++) {
		buffer[0] = i;
		must(pwrite(fd, buffer, PIECE, 0) == PIECE, "pwrite");
		must(fsync(fd) == 0, "fsync");
	}
	end();
	close(fd);
	return n;
}

static unsigned
row_unlink(void)
{
	unsigned n = MANY / scale;

	dir_fresh("many");
	files_make("many", n, PIECE, 0);
	begin();
	files_unlink("many", n);
	end();
	return n;
}

/* A directory with many names, made when it is first wanted. */
static unsigned
crowd_make(void)
{
	static int made;

	if (!made) {
		dir_fresh("crowd");
		files_make("crowd", CROWD / scale, 0, 0);
		made = 1;
	}
	return CROWD / scale;
}

static unsigned
row_stat(void)
{
	unsigned n = crowd_make();
	struct stat st;

	begin();
	for (unsigned i = 0; i < n; i++)
		must(stat(name_of("crowd", i), &st) == 0, "stat");
	end();
	return n;
}

static unsigned
row_readdir(void)
{
	unsigned n = crowd_make();
	int fd = file_open("/mnt/crowd", O_RDONLY | O_DIRECTORY);

	begin();
	while (syscall(SYS_getdents64, fd, buffer, CHUNK / 2) > 0)
		;
	end();
	close(fd);
	return n;
}

/* ---- the disk itself ---- */

static uint64_t
disk_open(int *fd)
{
	uint64_t size = 0;

	*fd = file_open("/dev/vda", O_RDONLY | DIRECT);
	must(ioctl(*fd, 0x80081272, &size) == 0, "BLKGETSIZE64");
	return size / PIECE;
}

static void
raw_reads(int fd, uint64_t blocks, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		must(pread(fd, buffer, PIECE, draw() % blocks * PIECE) == PIECE, "pread");
}

static unsigned
row_raw_1(void)
{
	unsigned n = MANY / scale;
	int fd;
	uint64_t blocks = disk_open(&fd);

	begin();
	raw_reads(fd, blocks, n);
	end();
	close(fd);
	return n;
}

struct signs { int start[2], done[2], leave[2]; };

/* One of DEPTH readers: waits for the start, reads, says so, and leaves when nobody measures any more. */
static void
reader(int fd, uint64_t blocks, unsigned n, const struct signs *s, unsigned self)
{
	char c = 0;

	seed += self * 7919;
	buffer[0] = 1;                  /* its own page, and the code for reading, before the clock runs */
	raw_reads(fd, blocks, 1);
	must(write(s->done[1], &c, 1) == 1 && read(s->start[0], &c, 1) == 1, "start");
	raw_reads(fd, blocks, n);
	must(write(s->done[1], &c, 1) == 1 && read(s->leave[0], &c, 1) == 1, "leave");
	_exit(0);
}

static void
bytes_wait(int fd, unsigned n)
{
	char c[DEPTH];

	while (n > 0) {
		long got = read(fd, c, n);

		must(got > 0, "read");
		n -= got;
	}
}

/* So many reads at once as there are processes: neither kernel is asked for anything but read(2). */
static unsigned
row_raw_32(void)
{
	unsigned each = MANY / scale / DEPTH + 1;
	static const char go[DEPTH];
	struct signs s;
	int fd;
	uint64_t blocks = disk_open(&fd);

	must(pipe(s.start) == 0 && pipe(s.done) == 0 && pipe(s.leave) == 0, "pipe");
	for (unsigned i = 0; i < DEPTH; i++) {
		int pid = fork();

		must(pid >= 0, "fork");
		if (pid == 0)
			reader(fd, blocks, each, &s, i + 1);
	}
	bytes_wait(s.done[0], DEPTH);
	begin();
	must(write(s.start[1], go, DEPTH) == DEPTH, "write");
	bytes_wait(s.done[0], DEPTH);
	end();
	must(write(s.leave[1], go, DEPTH) == DEPTH, "write");
	for (unsigned i = 0; i < DEPTH; i++)
		wait(NULL);
	for (int *p = (int *)&s; p < (int *)(&s + 1); p++)
		close(*p);
	close(fd);
	return each * DEPTH;
}

static const struct row { const char *name; unsigned (*run)(void); } rows[] = {
	{ "seq_write", row_seq_write }, { "seq_read", row_seq_read }, { "seq_read_warm", row_seq_read_warm },
	{ "rand_read", row_rand_read }, { "create", row_create }, { "create_fsync", row_create_fsync },
	{ "overwrite_fsync", row_overwrite_fsync }, { "unlink", row_unlink }, { "stat", row_stat },
	{ "readdir", row_readdir }, { "raw_qd1", row_raw_1 }, { "raw_qd32", row_raw_32 },
};

/* ---- being the first process ---- */

static void
modules_load(void)
{
	char path[32];

	for (int i = 0; i < 16; i++) {
		snprintf(path, sizeof(path), "/modules/%02d.ko", i);
		int fd = open(path, O_RDONLY);

		if (fd < 0)
			return;
		must(syscall(NR_finit_module, fd, "", 0) == 0 || errno == EEXIST, path);
		close(fd);
	}
}

static void
console_open(void)
{
	mkdir("/dev", 0755);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	int fd = open("/dev/console", O_RDWR);

	for (int i = 0; fd >= 0 && i < 3; i++)
		if (fd != i)
			dup2(fd, i);
	setvbuf(stdout, NULL, _IOLBF, 0);
}

static int
wanted(const char *name, char **list)
{
	for (char **w = list; *w; w++)
		if (strcmp(*w, name) == 0)
			return 1;
	return !*list;
}

int
main(int argc, char **argv)
{
	console_open();
	must(argc > 2 && atoi(argv[2]) > 0, "usage: storage FSTYPE SCALE [ROW...]");
	scale = atoi(argv[2]);
	modules_load();
	for (int i = 0; i < 1000 && access("/dev/vda", F_OK) < 0; i++)
		usleep(1000);
	mkdir("/mnt", 0755);
	must(mount("/dev/vda", "/mnt", argv[1], 0, NULL) == 0, "mount /dev/vda");
	memset(buffer, 'x', sizeof(buffer));
	for (unsigned r = 0; r < sizeof(rows) / sizeof(*rows); r++)
		for (int t = 0; t < TIMES && wanted(rows[r].name, argv + 3); t++) {
			unsigned n = rows[r].run();

			printf("row %s %u %lu\n", rows[r].name, n, (unsigned long)spent);
		}
	must(umount("/mnt") == 0, "umount");
	printf("storage: done\n");
	reboot(RB_POWER_OFF);
	return 0;
}
