/* crash.c - the workloads whose disk writes `make crash` records.                                (lab 9)
 *
 * Idea.       Each workload is a short program of file operations, and every operation is announced on the
 *             marker disk before it is done (crash.h). The host then cuts the power at every point of the
 *             recording and looks whether what is found is what was promised.
 * Interface.  crash NAME [DISK [MARKERS [SEED [SECONDS [MIB]]]]]: mounts DISK (/dev/vda) and runs the
 *             workload in it. Without a name: all workloads in the current directory, without markers.
 *             `crash walk DISK...` mounts and unmounts each disk.
 *
 * There is no host run.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <dirent.h>
#include "say.h"
#include "crash.h"

#define CHUNK 65536

static int markers = -1;                /* the marker disk */
static uint32_t proc, op_index;
static int32_t last_result;
static int surprises;                   /* results that were neither success nor expected */
static int disk_fails;                  /* EIO, and then EROFS, are expected */
static uint64_t seed;
static uint64_t first_seed = 1;
static unsigned seconds = 2;            /* of `load` */
static uint64_t hog_mib;
static char data[CHUNK] __attribute__((aligned(4096)));
static union {
	struct crash_record r;
	char page[4096];
} mark __attribute__((aligned(4096)));

/* ---- announcing ---- */

static void
announce(enum crash_op op, const char *path, const char *path2, uint64_t off, uint64_t len)
{
	mark.r = (struct crash_record){ .magic = CRASH_MAGIC, .proc = proc, .index = op_index++, .op = op,
		.result = last_result, .off = off, .len = len };
	if (path)
		strcpy(mark.r.path, path);
	if (path2)
		strcpy(mark.r.path2, path2);
	if (markers >= 0 && pwrite(markers, mark.page, 512, proc * 4096) != 512) {
		say("crash: the marker disk failed: %s\n", strerror(errno));
		_exit(1);
	}
}

/* The operation announced last has returned `r`. Only ENOSPC may be an answer; if the disk fails, EIO and EROFS. */
static long
returned(long r)
{
	last_result = r < 0 ? -errno : (int32_t)r;
	if (r < 0 && errno != ENOSPC && !(disk_fails && (errno == EIO || errno == EROFS))) {
		say("crash: operation %u (%u) of process %u on %s: %s\n", op_index - 1, mark.r.op, proc, mark.r.path,
			strerror(errno));
		surprises++;
	}
	return last_result;
}

static uint64_t
this_id(void)
{
	return crash_id(proc, op_index - 1);
}

/* ---- operations ---- */

static const char *
name(const char *dir, const char *base, unsigned n)
{
	static char names[4][CRASH_PATH];
	static unsigned turn;
	char *s = names[turn++ % 4];

	snprintf(s, CRASH_PATH, "p%u%s%s/%s%u", proc, *dir ? "/" : "", dir, base, n);
	return s;
}

static void
create(const char *path)
{
	announce(CRASH_CREATE, path, NULL, 0, 0);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
	returned(fd);
	if (fd >= 0)
		close(fd);
}

static long
do_write(enum crash_op op, const char *path, uint64_t off, uint32_t len)
{
	announce(op, path, NULL, off, len);
	int fd = open(path, O_WRONLY | (op == CRASH_WRITE_SYNC ? O_SYNC : 0));
	if (fd < 0)
		return returned(fd);
	for (uint32_t i = 0; i < len; i++)
		data[i] = (char)crash_byte(this_id(), off + i);
	long r = returned(pwrite(fd, data, len, (off_t)off));
	close(fd);
	return r;
}

static long
put(const char *path, uint64_t off, uint32_t len)
{
	return do_write(CRASH_WRITE, path, off, len);
}

static long
put_sync(const char *path, uint64_t off, uint32_t len)
{
	return do_write(CRASH_WRITE_SYNC, path, off, len);
}

static void
cut(const char *path, uint64_t size)
{
	announce(CRASH_TRUNCATE, path, NULL, size, 0);
	returned(truncate(path, (off_t)size));
}

static void
do_sync(enum crash_op op, const char *path)
{
	announce(op, path, NULL, 0, 0);
	int fd = open(path, O_RDONLY);
	returned(fd < 0 ? fd : op == CRASH_FSYNC ? fsync(fd) : fdatasync(fd));
	if (fd >= 0)
		close(fd);
}

static void settle(const char *path) { do_sync(CRASH_FSYNC, path); }
static void settle_data(const char *path) { do_sync(CRASH_FDATASYNC, path); }
static void settle_all(void) { announce(CRASH_SYNC, NULL, NULL, 0, 0); sync(); returned(0); }
static void make_dir(const char *p) { announce(CRASH_MKDIR, p, NULL, 0, 0); returned(mkdir(p, 0755)); }
static void drop_dir(const char *p) { announce(CRASH_RMDIR, p, NULL, 0, 0); returned(rmdir(p)); }
static void drop(const char *p) { announce(CRASH_UNLINK, p, NULL, 0, 0); returned(unlink(p)); }
static void move(const char *a, const char *b) { announce(CRASH_RENAME, a, b, 0, 0); returned(rename(a, b)); }
static void add_name(const char *a, const char *b) { announce(CRASH_LINK, a, b, 0, 0); returned(link(a, b)); }
static void aim(const char *a, const char *b) { announce(CRASH_SYMLINK, a, b, 0, 0); returned(symlink(a, b)); }
static void allow(const char *p, unsigned m) { announce(CRASH_CHMOD, p, NULL, m, 0); returned(chmod(p, m)); }

static unsigned
rnd(unsigned n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(seed >> 33) % n;
}

/* ---- workloads: all in the directory of the process ---- */

/* Several logs that grow, each append made durable. */
static void
append(void)
{
	uint64_t size[4] = { 0 };

	for (unsigned f = 0; f < 4; f++)
		create(name("", "log", f));
	for (unsigned i = 0; i < 70; i++) {
		unsigned f = rnd(4), n = 1 + rnd(i % 10 == 9 ? 40000 : 6000);
		if (put(name("", "log", f), size[f], n) == (long)n)
			size[f] += n;
		if (i % 4 == 3)
			settle_data(name("", "log", f));
		else if (i % 4 != 2)
			settle(name("", "log", f));
	}
	settle_all();
}

/* Names come and go. */
static void
storm(void)
{
	unsigned char have[40] = { 0 };

	for (unsigned d = 0; d < 3; d++)
		make_dir(name("", "d", d));
	for (unsigned i = 0; i < 260; i++) {
		unsigned a = rnd(40), b = rnd(40);
		char dir[2][8];
		snprintf(dir[0], sizeof dir[0], "d%u", a % 3);
		snprintf(dir[1], sizeof dir[1], "d%u", b % 3);
		if (!have[a]) {
			create(name(dir[0], "file", a));
			if (rnd(2))
				put(name(dir[0], "file", a), 0, 1 + rnd(9000));
			have[a] = 1;
		} else if (rnd(2)) {
			drop(name(dir[0], "file", a));
			have[a] = 0;
		} else if (a != b) {
			move(name(dir[0], "file", a), name(dir[1], "file", b));
			have[a] = 0;
			have[b] = 1;
		}
		if (rnd(12) == 0)
			settle(rnd(2) ? name("", "d", a % 3) : name("", "d", b % 3));
		if (i % 90 == 89)
			settle_all();
	}
}

/* The way editors save: a new file takes the place of the old one. */
static void
overwrite(void)
{
	for (unsigned f = 0; f < 3; f++) {
		create(name("", "doc", f));
		put(name("", "doc", f), 0, 3000 + 5000 * f);
	}
	settle_all();
	for (unsigned i = 0; i < 60; i++) {
		unsigned f = rnd(3);
		create(name("", "new", f));
		put(name("", "new", f), 0, 1 + rnd(20000));
		if (i % 5 != 4)
			settle(name("", "new", f));
		move(name("", "new", f), name("", "doc", f));
		if (i % 3 == 0)
			settle(name("", "doc", f));
	}
}

/* Directories that grow to many blocks. */
static void
grow(void)
{
	make_dir(name("", "big", 0));
	for (unsigned i = 0; i < 260; i++) {
		create(name("big0", i % 2 ? "a-rather-long-name-so-that-blocks-fill-up-soon-" : "n", i));
		if (i % 40 == 39)
			settle(name("", "big", 0));
	}
	for (unsigned i = 0; i < 260; i += 3) {
		drop(name("big0", i % 2 ? "a-rather-long-name-so-that-blocks-fill-up-soon-" : "n", i));
		if (i % 30 == 27)
			settle(name("", "big", 0));
	}
}

/* Files cut and extended; what was cut off must not come back, nor anything else come in its place. */
static void
truncates(void)
{
	for (unsigned f = 0; f < 4; f++) {
		create(name("", "t", f));
		put(name("", "t", f), 0, 60000);
	}
	settle_all();
	for (unsigned i = 0; i < 90; i++) {
		unsigned f = rnd(4);
		if (rnd(2))
			cut(name("", "t", f), rnd(3) ? rnd(70000) : 0);
		else
			put(name("", "t", f), rnd(60000), 1 + rnd(30000));
		if (rnd(3) == 0)
			settle(name("", "t", f));
	}
}

/* The disk runs full, room is made, it runs full again. */
static void
full(void)
{
	for (unsigned round = 0; round < 2; round++) {
		unsigned n = 0;
		long r = 0;
		for (; n < 240 && r >= 0; n++) {
			create(name("", "fill", n));
			if (last_result < 0)
				break;
			r = put(name("", "fill", n), 0, CHUNK);
			if (r < CHUNK)
				break;
			if (n % 16 == 15)
				settle(name("", "fill", n));
		}
		settle_all();
		for (unsigned i = 0; i < 12; i++) {
			make_dir(name("", "more", i));
			if (last_result < 0)
				break;
		}
		settle_all();
		for (unsigned i = 0; i < 12; i++)
			if (access(name("", "more", i), F_OK) == 0)
				drop_dir(name("", "more", i));
		for (unsigned i = 0; i <= n; i++)
			if (access(name("", "fill", i), F_OK) == 0 && (round == 1 || i % 2 == 0))
				drop(name("", "fill", i));
		settle_all();
		for (unsigned i = 0; i <= n; i++)
			if (access(name("", "fill", i), F_OK) == 0)
				drop(name("", "fill", i));
	}
}

/* Blocks of directories become blocks of files while the log still holds the directories. */
static void
reuse(void)
{
	for (unsigned i = 0; i < 200; i++) {            /* leave little room, so that what is freed is taken again */
		create(name("", "fill", i));
		if (put(name("", "fill", i), 0, CHUNK) < CHUNK)
			break;
	}
	cut(name("", "fill", 0), 3 * 4096);
	settle_all();
	for (unsigned round = 0; round < 8; round++) {
		for (unsigned d = 0; d < 4; d++) {
			make_dir(name("", "dir", d));
			create(name(d % 2 ? "dir1" : "dir0", "leaf", d));
		}
		drop(name("dir0", "leaf", 0));
		drop(name("dir0", "leaf", 2));
		drop(name("dir1", "leaf", 1));
		drop(name("dir1", "leaf", 3));
		settle(name("", "dir", 0));
		for (unsigned d = 0; d < 4; d++)
			drop_dir(name("", "dir", d));
		settle_all();
		create(name("", "data", round));                /* takes all that is free */
		for (uint64_t off = 0; put(name("", "data", round), off, CHUNK) == CHUNK; off += CHUNK)
			;
		settle(name("", "data", round));
		put(name("", "data", round), 4096, 9000);
		settle(name("", "data", round));
		drop(name("", "data", round));
	}
}

/* Trees are made, moved about and removed. */
static void
trees(void)
{
	for (unsigned round = 0; round < 6; round++) {
		char dir[CRASH_PATH / 2] = "";
		for (unsigned depth = 0; depth < 4; depth++) {
			for (unsigned k = 0; k < 3; k++)
				make_dir(name(dir, "dir", k));
			create(name(dir, "leaf", depth));
			put(name(dir, "leaf", depth), 0, 100 + rnd(5000));
			snprintf(dir + strlen(dir), sizeof dir - strlen(dir), "%sdir%u", depth ? "/" : "", depth % 3);
		}
		if (round % 2)
			settle_all();
		make_dir(name("", "moved", round));
		move(name("", "dir", 0), name("", "moved", round));
		if (round % 3 == 0)
			settle(name("", "moved", round));
		for (unsigned k = 1; k < 3; k++)
			drop_dir(name("", "dir", k));
		drop(name("", "leaf", 0));
		for (int depth = 3; depth > 0; depth--) {
			static const char *const at[] = { "", "", "/dir1", "/dir1/dir2" };
			char here[CRASH_PATH / 2];
			snprintf(here, sizeof here, "moved%u%s", round, at[depth]);
			for (unsigned k = 0; k < 3; k++)
				if (depth == 3 || k != (unsigned)depth)
					drop_dir(name(here, "dir", k));
			drop(name(here, "leaf", (unsigned)depth));
			if (depth < 3)
				drop_dir(name(here, "dir", (unsigned)depth));
		}
		if (round % 2)
			drop_dir(name("", "moved", round));
	}
}

/* Many names of one file, symlinks short and long, modes. */
static void
links(void)
{
	char text[CRASH_PATH];

	for (unsigned f = 0; f < 3; f++) {
		create(name("", "f", f));
		put(name("", "f", f), 0, 2000);
	}
	make_dir(name("", "d", 0));
	settle_all();
	for (unsigned i = 0; i < 40; i++) {
		add_name(name("", "f", i % 3), name("d0", "hard", i));
		memset(text, 'a' + i % 26, sizeof text - 1);
		text[1 + rnd(sizeof text - 2)] = 0;
		aim(text, name("", "soft", i));
		if (i % 5 == 4)
			settle(name("", "f", i % 3));
		if (i % 4 == 3) {
			drop(name("d0", "hard", i - 1));
			drop(name("", "soft", i - 2));
		}
		if (i % 7 == 6)
			allow(name("", "f", i % 3), 0600 + i);
		if (i % 11 == 10) {
			drop(name("", "f", i % 3));
			add_name(name("d0", "hard", i), name("", "f", i % 3));
		}
		if (i % 9 == 8)
			settle(name("", "d", 0));
	}
}

/* Stores into a shared mapping, made durable by msync. */
static void
mapped(void)
{
	const char *path = name("", "map", 0);
	char *at;

	create(path);
	put(path, 0, 40960);
	settle(path);
	int fd = open(path, O_RDWR);
	at = mmap(NULL, 40960, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd < 0 || at == MAP_FAILED) {
		returned(-1);
		return;
	}
	for (unsigned i = 0; i < 60; i++) {
		unsigned off = rnd(40000), n = 1 + rnd(900);
		path = name("", "map", 0);
		announce(CRASH_WRITE, path, NULL, off, n);
		for (unsigned k = 0; k < n; k++)
			at[off + k] = (char)crash_byte(this_id(), off + k);
		returned(n);
		if (i % 3 == 2) {
			announce(CRASH_FSYNC, path, NULL, 0, 0);
			returned(msync(at, 40960, MS_SYNC));
		}
	}
	munmap(at, 40960);
	close(fd);
}

/* Files that are used after their last name is gone; O_SYNC; writes in the middle of old data. */
static void
orphans(void)
{
	int held[6];

	create(name("", "base", 0));
	put(name("", "base", 0), 0, 50000);
	settle(name("", "base", 0));
	for (unsigned round = 0; round < 8; round++) {
		for (unsigned i = 0; i < 6; i++) {
			create(name("", "gone", i));
			put(name("", "gone", i), 0, 1 + rnd(30000));
			if (i % 2)
				settle(name("", "gone", i));
			announce(CRASH_OTHER, "hold", NULL, 0, 0);
			returned(held[i] = open(name("", "gone", i), O_RDWR));
			drop(name("", "gone", i));
			announce(CRASH_OTHER, "write to what has no name", NULL, 0, 0);
			returned(pwrite(held[i], data, 5000, 20000));
		}
		put_sync(name("", "base", 0), rnd(50000), 1 + rnd(9000));
		for (unsigned i = 0; i < 6; i++) {
			announce(CRASH_OTHER, "let go", NULL, 0, 0);
			returned(i % 3 == 2 ? fsync(held[i]) : 0);
			close(held[i]);
			put_sync(name("", "base", 0), rnd(50000), 1 + rnd(3000));
		}
	}
}

/* Everything that is possible, without much order. */
static void
mixture(void)
{
	unsigned char have[16] = { 0 };

	make_dir(name("", "m", 0));
	for (unsigned i = 0; i < 80; i++) {
		unsigned a = rnd(16);
		const char *path = name(a % 2 ? "m0" : "", "x", a);
		switch (have[a] ? 1 + rnd(6) : 0) {
		case 0: create(path); have[a] = 1; break;
		case 1: drop(path); have[a] = 0; break;
		case 2: cut(path, rnd(20000)); break;
		case 3: settle(path); break;
		case 4: put_sync(path, rnd(9000), 1 + rnd(5000)); break;
		default: put(path, rnd(20000), 1 + rnd(12000)); break;
		}
	}
	settle_all();
}

/* The disk fails now and then. A file for which an error was reported is left alone: nobody knows what it holds. */
static void
faulty(void)
{
	enum { NONE, THERE, GIVEN_UP } state[12] = { NONE };

	disk_fails = 1;
	for (unsigned f = 0; f < 2; f++) {              /* so that free blocks hold what nobody may see */
		create(name("", "fill", f));
		for (unsigned k = 0; k < 9; k++)
			put(name("", "fill", f), k * CHUNK, CHUNK);
		settle(name("", "fill", f));
		drop(name("", "fill", f));
	}
	make_dir(name("", "m", 0));
	settle(name("", "m", 0));
	for (unsigned i = 0; i < 260; i++) {
		unsigned a = rnd(12);
		const char *path = name(a % 2 ? "m0" : "", "x", a);
		unsigned what = state[a] == NONE ? 0 : state[a] == GIVEN_UP ? 1 : 1 + rnd(9);
		switch (what) {
		case 0: create(path); break;
		case 1: drop(path); break;
		case 2: cut(path, rnd(20000)); break;
		case 3: settle(path); break;
		case 4: settle_data(path); break;
		case 5: put_sync(path, rnd(9000), 1 + rnd(5000)); break;
		case 6: settle(name("", "m", 0)); break;
		default: put(path, rnd(30000), 1 + rnd(20000)); break;
		}
		if (what < 2)
			state[a] = last_result < 0 ? state[a] : what == 0 ? THERE : NONE;
		else if (last_result < 0)
			state[a] = GIVEN_UP;
	}
}

/* For `seconds`: files and directories of all kinds, under load. */
static void
churn(void)
{
	unsigned char have[24] = { 0 };
	time_t end = time(NULL) + seconds;

	for (unsigned d = 0; d < 3; d++)
		make_dir(name("", "d", d));
	for (unsigned i = 0; time(NULL) < end; i++) {
		static const char *const dirs[] = { "d0", "d1", "d2" };
		unsigned a = rnd(24), b = rnd(24), off = rnd(rnd(8) ? 60000 : 900000);
		const char *path = name(dirs[a % 3], "f", a), *other = name(dirs[b % 3], "f", b);
		if (!have[a]) {
			if (have[b] && rnd(4) == 0)
				add_name(other, path);
			else
				create(path);
			have[a] = last_result >= 0;
			continue;
		}
		switch (rnd(12)) {
		case 0: drop(path); have[a] = 0; break;
		case 1: cut(path, off); break;
		case 2: settle(path); break;
		case 3: put_sync(path, off, 1 + rnd(20000)); break;
		case 4:
			if (a != b && !have[b]) {
				move(path, other);
				have[a] = 0;
				have[b] = 1;
			}
			break;
		case 5: allow(path, 0600 | rnd(0100)); break;
		default: put(path, off, 1 + rnd(rnd(4) ? 8000 : CHUNK - 1)); break;
		}
		if (i % 500 == 499)
			settle_all();
	}
	settle_all();
}

/* Nobody asks for durability: the flusher comes by itself. */
static void
idle(void)
{
	for (unsigned i = 0; i < 24; i++) {
		create(name("", "f", i));
		put(name("", "f", i), 0, 1 + rnd(20000));
		if (i % 3 == 2) {
			move(name("", "f", i - 1), name("", "f", i));
			put(name("", "f", i - 2), rnd(20000), 1 + rnd(9000));
			cut(name("", "f", i), rnd(9000));
			usleep(1600000);
		}
	}
}

static void many(void);
static void load(void);

static const struct workload { const char *name; void (*run)(void); } workloads[] = {
	{ "append", append }, { "storm", storm }, { "overwrite", overwrite }, { "grow", grow },
	{ "truncate", truncates }, { "full", full }, { "reuse", reuse }, { "many", many }, { "trees", trees },
	{ "links", links }, { "mmap", mapped },
	{ "orphans", orphans }, { "mixture", mixture }, { "idle", idle }, { "load", load },
	{ "badwrites", faulty }, { "badlog", faulty }, { "badflush", faulty },
};
#define NWORKLOADS (sizeof workloads / sizeof workloads[0])

/* One process with its directory and its stream of records. */
static int
run_as(uint32_t number, void (*run)(void))
{
	char dir[8];

	proc = number;
	op_index = 0;
	last_result = 0;
	seed = first_seed * 12345 + 977 * number;
	snprintf(dir, sizeof dir, "p%u", proc);
	announce(CRASH_BEGIN, NULL, NULL, 0, 0);
	make_dir(dir);
	run();
	announce(CRASH_END, NULL, NULL, 0, 0);
	return surprises != 0;
}

/* Six processes at once; the first is this one. */
static void
many(void)
{
	static void (*const parts[])(void) = { append, mixture, overwrite, mixture, links };
	pid_t pids[5];
	int status;

	for (unsigned i = 0; i < 5; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(run_as(1 + i, parts[i]));
	}
	mixture();
	for (unsigned i = 0; i < 5; i++)
		if (waitpid(pids[i], &status, 0) != pids[i] || status != 0)
			surprises++;
}

/* Takes memory and keeps using it, so that the page cache has to give way. */
static void
hog(void)
{
	uint64_t n = hog_mib << 20;
	volatile char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (;;)
		for (uint64_t i = 0; p != MAP_FAILED && i < n; i += 4096)
			p[i]++;
}

/* Eight processes for `seconds`, and one that takes memory. */
static void
load(void)
{
	pid_t pids[7], greedy = hog_mib ? fork() : -1;
	int status;

	if (greedy == 0)
		hog();
	for (unsigned i = 0; i < 7; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(run_as(1 + i, churn));
	}
	churn();
	for (unsigned i = 0; i < 7; i++)
		if (waitpid(pids[i], &status, 0) != pids[i] || status != 0)
			surprises++;
	if (greedy > 0) {
		kill(greedy, SIGKILL);
		waitpid(greedy, &status, 0);
	}
}

/* ---- running ---- */

static int
run_all_here(void)
{
	char dir[8];

	for (unsigned i = 0; i < NWORKLOADS; i++) {
		if (workloads[i].run == full || workloads[i].run == reuse || workloads[i].run == idle ||
		    workloads[i].run == faulty)
			continue;
		snprintf(dir, sizeof dir, "crash%u", i);
		if (mkdir(dir, 0755) < 0 || chdir(dir) < 0) {
			say("%s: %s\n", dir, strerror(errno));
			return 1;
		}
		run_as(0, workloads[i].run);
		if (chdir("..") < 0)
			return 1;
		if (fork() == 0) {
			execl("/bin/rm", "rm", "-r", dir, (char *)NULL);
			_exit(1);
		}
		wait(NULL);
	}
	say(surprises ? "%d surprises\n" : "ok\n", surprises);
	return surprises != 0;
}

/* Read everything below dir. Returns how many things could not be. */
static int
walk(const char *dir, unsigned depth)
{
	char path[512];
	struct dirent *e;
	struct stat st;
	int bad = 0;
	DIR *d = opendir(dir);

	if (!d)
		return 1;
	while ((e = readdir(d)) != NULL) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
		if (lstat(path, &st) < 0) {
			bad++;
		} else if (S_ISDIR(st.st_mode)) {
			bad += depth < 32 ? walk(path, depth + 1) : 1;
		} else if (S_ISREG(st.st_mode)) {
			int fd = open(path, O_RDONLY);
			long n = 0;
			while (fd >= 0 && (n = read(fd, data, sizeof data)) > 0)
				;
			bad += fd < 0 || n < 0;
			close(fd);
		}
	}
	closedir(d);
	return bad;
}

static int
walk_disks(int n, char **disks)
{
	int bad = 0;

	mkdir("/mnt", 0755);
	for (int i = 0; i < n; i++) {
		if (mount(disks[i], "/mnt", "eclipsefs", 0, NULL) < 0) {
			say("crash: mount %s: %s\n", disks[i], strerror(errno));
			bad++;
			continue;
		}
		int wrong = walk("/mnt", 0);
		int fd = open("/mnt/after-the-crash", O_WRONLY | O_CREAT, 0644);
		if (fd < 0 || close(fd) < 0 || unlink("/mnt/after-the-crash") < 0 || wrong) {
			say("crash: %s: %d things cannot be read, or nothing can be written\n", disks[i], wrong);
			bad++;
		}
		if (umount("/mnt") < 0) {
			say("crash: umount %s: %s\n", disks[i], strerror(errno));
			bad++;
		}
	}
	say("crash: walked %d disks, %d bad\n", n, bad);
	return bad;
}

int
main(int argc, char **argv)
{
	const char *disk = argc > 2 ? argv[2] : "/dev/vda", *marker_disk = argc > 3 ? argv[3] : "/dev/vdb";

	if (argc < 2)
		return run_all_here();
	if (argc > 4)
		first_seed = (uint64_t)atoi(argv[4]);
	if (argc > 5)
		seconds = (unsigned)atoi(argv[5]);
	if (argc > 6)
		hog_mib = (uint64_t)atoi(argv[6]);
	if (!strcmp(argv[1], "walk"))
		return walk_disks(argc - 2, argv + 2);
	for (unsigned i = 0; i < NWORKLOADS; i++) {
		if (strcmp(argv[1], workloads[i].name))
			continue;
		markers = open(marker_disk, O_WRONLY | O_DIRECT);
		mkdir("/mnt", 0755);
		if (markers < 0 || mount(disk, "/mnt", "eclipsefs", 0, NULL) < 0 || chdir("/mnt") < 0) {
			say("crash: %s, %s: %s\n", disk, marker_disk, strerror(errno));
			return 1;
		}
		run_as(0, workloads[i].run);
		if (chdir("/") < 0 || umount("/mnt") < 0)
			surprises++;
		say(surprises ? "crash: %s: %d surprises\n" : "crash: %s: done\n", argv[1], surprises);
		return surprises != 0;
	}
	say("crash: no workload %s\n", argv[1]);
	return 1;
}
