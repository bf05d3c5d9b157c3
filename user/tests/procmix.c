/* procmix.c - what /proc says about processes that are made at random.                        (lab 10)
 *
 * Idea.       procmix [SEED [WHAT]]. Children get random arguments, states, descriptors and mappings; what /proc says about
 *             them is printed as far as it does not depend on numbers that differ from machine to machine. WHAT is a set of
 *             letters, as at the end of the file.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include "dice.h"
#include "say.h"

static char buf[200000];
static const char *self;           /* the program's file */

/* All of /proc/PID/NAME (pid 0: self) in buf; returns its length, or -errno. Reads pieces of at most `piece` bytes. */
static int
slurp(int pid, const char *name, int piece)
{
	char path[200];
	int fd, r, n = 0;

	if (pid)
		snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
	else
		snprintf(path, sizeof path, "/proc/self/%s", name);
	if ((fd = open(path, O_RDONLY)) < 0)
		return -errno;
	while ((r = read(fd, buf + n, piece)) > 0 && n + r + piece < (int)sizeof buf)
		n += r;
	r = r < 0 ? -errno : n;
	close(fd);
	buf[n] = 0;
	return r;
}

static unsigned
sum_of(const char *s, int n)
{
	unsigned h = 5381;

	for (int i = 0; i < n; i++)
		h = h * 33 + (unsigned char)s[i];
	return h;
}

/* The text after `key` in buf, up to the end of the line; "" if it is not there. */
static const char *
field(const char *key)
{
	static char out[300];
	char *p = strstr(buf, key);
	size_t n = 0;

	if (p)
		for (p += strlen(key); p[n] && p[n] != '\n' && n < sizeof out - 1; n++)
			out[n] = p[n];
	out[n] = 0;
	return out;
}

/* The n-th field of stat in buf, counted as in proc(5). */
static long
stat_field(int n)
{
	char *p = strrchr(buf, ')');

	for (p += 2; n > 3; n--)
		p = strchr(p, ' ') + 1;
	return n == 3 && !(p[0] >= '0' && p[0] <= '9') && p[0] != '-' ? p[0] : atol(p);
}

static char
state_of(int pid)
{
	return slurp(pid, "stat", 4000) > 0 ? (char)stat_field(3) : '?';
}

/* Until the process is in this state. */
static void
await(int pid, char state)
{
	struct timespec ms = { 0, 1000000 };

	for (int i = 0; i < 20000 && state_of(pid) != state; i++)
		nanosleep(&ms, NULL);
}

/* Children end without signals, which are the next lab's: those who run look at a shared page, those who sleep read from a
 * pipe that nobody writes to. */
enum { MOST = 16 };
static struct kid { volatile int *stop; int pid, pipe; } kids[MOST];

/* Sleeps (or, state R, runs) until reap; `inside` is called first. */
static void
idle(struct kid *k, int end, char state)
{
	char c;

	while (state == 'R' && !*k->stop)
		;
	read(end, &c, 1);
}

static int
child_that(char state, void (*inside)(void))
{
	struct kid *k = kids;
	int p[2];

	while (k->pid)
		k++;
	k->stop = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pipe(p);
	if ((k->pid = fork()) == 0) {
		for (struct kid *other = kids; other < kids + MOST; other++)
			if (other->pipe)
				close(other->pipe);
		close(p[1]);
		if (inside)
			inside();
		if (state != 'Z')
			idle(k, p[0], state);
		_exit(7);
	}
	close(p[0]);
	k->pipe = p[1];
	await(k->pid, state);
	return k->pid;
}

static int
child(char state)
{
	return child_that(state, NULL);
}

static void
reap(int pid)
{
	struct kid *k = kids;

	while (k->pid != pid)
		k++;
	*k->stop = 1;
	close(k->pipe);
	waitpid(pid, NULL, 0);
	munmap((void *)k->stop, 4096);
	*k = (struct kid){ 0 };
}

/* ---- states ---- */

static void
states(void)
{
	static const char kind[] = "RSZ";

	for (int i = 0; i < 7; i++) {
		char state = kind[roll(3)];
		int pid = child(state);

		slurp(pid, "stat", 4000);
		say("%c: state %c, parent is me %d, my group %d, threads %ld, exit signal %ld, code %ld\n", state, (char)stat_field(3),
			stat_field(4) == getpid(), stat_field(5) == getpgrp(), stat_field(20), stat_field(38),
			state == 'Z' ? stat_field(52) : 0);
		slurp(pid, "status", 4000);
		say("status:%s, pid %d, threads%s\n", field("State:"), atoi(field("\nPid:")) == pid, field("Threads:"));
		slurp(pid, "cmdline", 4000);
		say("cmdline: %s\n", buf[0] ? "some" : "none");
		slurp(pid, "comm", 4000);
		say("comm: %s", buf);
		reap(pid);
		say("after: %d\n", slurp(pid, "stat", 4000));
	}
}

/* ---- arguments and environment ---- */

static char *
random_text(unsigned most)
{
	unsigned n = roll(most);
	char *s = malloc(n + 1);

	for (unsigned i = 0; i < n; i++)
		s[i] = (char)(roll(20) ? 'a' + roll(26) : 1 + roll(254));
	s[n] = 0;
	return s;
}

static void
arguments(void)
{
	for (int k = 0; k < 4; k++) {
		unsigned most = roll(3) ? 20 : 3000;
		int n = 3 + (int)roll(10), m = (int)roll(10), p[2], q[2], pid;
		char *args[20] = { "procmix", "0", "_" }, *env[20], c;

		for (int i = 3; i < n; i++)
			args[i] = random_text(most);
		args[n] = NULL;
		for (int i = 0; i < m; i++)
			env[i] = random_text(most);
		env[m] = NULL;
		pipe(p);
		pipe(q);
		if ((pid = fork()) == 0) {
			dup2(p[1], 60);
			dup2(q[0], 61);
			close(q[1]);
			execve("/proc/self/exe", args, env);
			_exit(9);
		}
		close(q[0]);
		read(p[0], &c, 1);
		n = slurp(pid, "cmdline", 1 + (int)roll(500));
		say("cmdline: %d bytes, sum %x\n", n, sum_of(buf, n));
		n = slurp(pid, "environ", 1 + (int)roll(500));
		say("environ: %d bytes, sum %x\n", n, n > 0 ? sum_of(buf, n) : 0);
		close(q[1]);
		waitpid(pid, NULL, 0);
		close(p[0]);
		close(p[1]);
	}
}

/* What `arguments` executes: says that it is there, and stays as long as it is wanted. */
static void
stay(void)
{
	char c;

	write(60, "x", 1);
	read(61, &c, 1);
	_exit(0);
}

/* ---- descriptors ---- */

static const char *
last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void
list_fds(void)
{
	char path[64], text[600], pipes[64][40];
	int npipes = 0;

	for (int fd = 3; fd < 60; fd++) {
		struct stat a, b;
		int r, same = -1;

		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		r = (int)readlink(path, text, sizeof text - 1);
		if (r < 0 && lstat(path, &a) == 0)
			say("%d: there, but leads nowhere\n", fd);
		if (r < 0)
			continue;
		text[r] = 0;
		if (strncmp(text, "pipe:[", 6) == 0) {
			for (same = 0; same < npipes && strcmp(pipes[same], text); same++)
				;
			if (same == npipes)
				snprintf(pipes[npipes++], 40, "%s", text);
			say("%d: pipe number %d\n", fd, same);
		} else {
			say("%d: %s, the same file %d\n", fd, last_part(text), stat(path, &a) == 0 && fstat(fd, &b) == 0 && a.st_ino == b.st_ino);
		}
	}
}

static void
descriptors(void)
{
	char name[40];
	int p[2];

	for (int i = 3; i < 64; i++)
		close(i);
	for (int i = 0; i < 12; i++) {
		snprintf(name, sizeof name, "procmix file %u", roll(5));
		switch (roll(6)) {
		case 0: case 1: open(name, O_CREAT | O_RDWR, 0600); break;
		case 2: pipe(p); break;
		case 3: dup(3 + (int)roll(8)); break;
		case 4: close(3 + (int)roll(8)); break;
		case 5: dup2(3 + (int)roll(8), 20 + (int)roll(30)); break;
		}
	}
	snprintf(name, sizeof name, "procmix file %u", roll(5));
	unlink(name);
	list_fds();
	for (int i = 0; i < 5; i++) {
		snprintf(name, sizeof name, "procmix file %d", i);
		unlink(name);
	}
	say("fd 3 again: %s\n", open("/proc/self/fd/3", O_RDONLY) >= 0 ? "open" : strerror(errno));
}

/* ---- mappings ---- */

static void
mappings(void)
{
	const long base = 0x100000000000;
	int fd = open("procmix map", O_CREAT | O_RDWR, 0600), n = 0, many = roll(2) ? 20 : 250;

	ftruncate(fd, 40 * 4096);
	for (int i = 0; i < many; i++) {
		int prot = (int)roll(8), anon = roll(3) > 0, shared = roll(4) == 0;

		if ((prot & 6) == 6)
			prot &= ~4;
		mmap((void *)(base + i * 0x10000l), 4096 * (1 + roll(8)), prot, MAP_FIXED | (shared && !anon ? MAP_SHARED : MAP_PRIVATE) |
			(anon ? MAP_ANONYMOUS : 0), anon ? -1 : fd, anon ? 0 : 4096 * (long)roll(8));
	}
	slurp(0, "maps", 100 + (int)roll(3000));
	for (char *line = buf, *end; (end = strchr(line, '\n')); line = end + 1) {
		unsigned long lo = strtoul(line, NULL, 16);
		char *dash = strchr(line, '-'), *file;

		*end = 0;
		if (lo < (unsigned long)base || lo >= base + many * 0x10000ul)
			continue;
		file = strstr(line, "procmix map");
		dash[0] = 0;
		say("%s %lx %.4s %.8s %s\n", line, strtoul(dash + 1, NULL, 16) - lo, strchr(dash + 1, ' ') + 1, strchr(dash + 1, ' ') + 6,
			file ? file : "");
		n++;
	}
	say("%d mappings\n", n);
	unlink("procmix map");
}

/* ---- names that are not there ---- */

static void
names(void)
{
	static const char *const form[] = { "/proc/0%d", "/proc/+%d", "/proc/%d ", "/proc/%dx", "/proc/%d/fd/00", "/proc/%d/fd/x",
		"/proc/%d/fd/1000", "/proc/%d/nothing", "/proc/%d9999999999", "/proc/-%d", "/proc/%d/stat/x", "/proc//%d", "/proc/%d/", "/proc/%d/fd",
		"/proc/%d/fd/" };
	char path[100];
	struct stat st;

	for (int i = 0; i < 25; i++) {
		const char *f = form[roll(sizeof form / sizeof *form)];

		snprintf(path, sizeof path, f, getpid());
		say("%s: ", f);
		say("%d ", stat(path, &st) ? -errno : (int)(st.st_mode & S_IFMT));
		say("%d\n", open(path, O_RDONLY) < 0 ? -errno : 0);
	}
}

/* ---- listing ---- */

static int
listed(int pid)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	int found = 0, last = 0, sorted = 1;

	while ((e = readdir(d)) != NULL) {
		int n = atoi(e->d_name);

		if (n > 0) {
			sorted &= n > last;
			last = n;
		}
		found += n == pid;
	}
	closedir(d);
	return found + 10 * sorted;
}

static void
listing(void)
{
	int pid[12], n = 5 + (int)roll(8), left = 0;

	for (int i = 0; i < n; i++)
		pid[i] = child(roll(2) ? 'S' : 'Z');
	for (int i = 0; i < n; i++)
		say("child %d: listed %d\n", i, listed(pid[i]));
	for (int i = 0; i < n; i++)
		if (roll(2) == 0)
			reap(pid[i]);
		else
			left |= 1 << i;
	for (int i = 0; i < n; i++)
		say("child %d: listed %d\n", i, listed(pid[i]));
	for (int i = 0; i < n; i++)
		if (left & 1 << i)
			reap(pid[i]);
	say("me: %d\n", listed(getpid()));
}

/* ---- reading in pieces, from anywhere ---- */

/* Runs this program under a random name, with the letters `what` and a seed of its own. */
static void
call_myself(const char *what)
{
	char name[16] = { 0 }, seed[16];

	for (unsigned i = 0, n = 8 + roll(8); i < n; i++)
		name[i] = (char)('a' + roll(26));
	snprintf(seed, sizeof seed, "%u", roll(1u << 30));
	if (symlink(self, name))
		say("symlink: errno %d\n", errno);
	if (fork() == 0) {
		execl(name, "procmix", seed, what, (char *)NULL);
		_exit(9);
	}
	wait(NULL);
	unlink(name);
}

static void
pieces(void)
{
	static char whole[8000];
	int fd, n = slurp(0, "limits", 8000), same = 0;

	memcpy(whole, buf, n);
	fd = open("/proc/self/limits", O_RDONLY);
	for (int i = 0; i < 20; i++) {
		int at = (int)roll(n + 100), want = 1 + (int)roll(300), left = at < n ? n - at : 0;
		int r = (int)pread(fd, buf, want, at);

		same += r == (want < left ? want : left) && memcmp(buf, whole + at, r > 0 ? r : 0) == 0;
	}
	say("pread: %d of 20 as they should be\n", same);
	lseek(fd, 100, SEEK_SET);
	n = (int)read(fd, buf, 200);
	say("after seeking: %d, the same %d\n", n, memcmp(buf, whole + 100, 200) == 0);
	say("write: %d, ", (int)write(fd, "x", 1));
	say("errno %d\n", errno);
	n = slurp(0, "limits", 1 + (int)roll(7));
	say("in small pieces: the same %d\n", memcmp(buf, whole, n) == 0);
	close(fd);
	call_myself("R");
}

/* What `pieces` executes: the text is a name that was drawn a moment ago. */
static void
name_in_pieces(void)
{
	int fd = open("/proc/self/comm", O_RDONLY);

	for (int i = 0; i < 20; i++) {
		int at = (int)roll(18), want = 1 + (int)roll(18), n = (int)pread(fd, buf, want, at);

		say("%d bytes of the name at %d: %d, sum %x\n", want, at, n, n > 0 ? sum_of(buf, n) : 0);
	}
	slurp(0, "comm", 1 + (int)roll(4));
	say("the name is %s", buf);
}

/* ---- owners ---- */

static int uid;                    /* whose the child is that is being made */

static void
become(void)
{
	if (uid && (setgid(uid) || setuid(uid)))
		say("setuid: errno %d\n", errno);
}

static void
owners(void)
{
	static const char *const files[] = { "", "stat", "environ", "fd", "cmdline", "maps" };
	char path[100], text[100];
	struct stat st;

	if (getuid() != 0) {
		say("only for root\n");
		return;
	}
	for (int i = 0; i < 4; i++) {
		int asker = roll(2) ? 1000 : 0, pid;

		uid = roll(2) ? 1000 + (int)roll(100) : 0;
		pid = child_that('S', become);
		for (unsigned k = 0; k < sizeof files / sizeof *files; k++) {
			snprintf(path, sizeof path, "/proc/%d/%s", pid, files[k]);
			if (stat(path, &st) == 0 && (uid == 0 || k == 0))      /* Linux keeps the rest for root after setuid */
				say("%s: mode %o uid %d gid %d\n", files[k], st.st_mode, st.st_uid, st.st_gid);
		}
		if (fork() == 0) {
			setuid(asker);
			snprintf(path, sizeof path, "/proc/%d/environ", pid);
			say("asked by %d about %d: environ %s, ", asker, uid, asker && uid ? "?" : open(path, O_RDONLY) < 0 ? strerror(errno) : "open");
			snprintf(path, sizeof path, "/proc/%d/cwd", pid);
			say("cwd %s\n", asker && uid ? "?" : readlink(path, text, sizeof text) < 0 ? strerror(errno) : "told");
			_exit(0);
		}
		wait(NULL);
		reap(pid);
	}
}

/* ---- gone ---- */

static void
gone(void)
{
	static const char *const files[] = { "stat", "status", "cmdline", "maps", "fd" };

	for (int i = 0; i < 4; i++) {
		const char *name = files[roll(5)];
		char path[100], link[100];
		int pid = child('S'), fd, dir, r;

		snprintf(path, sizeof path, "/proc/%d", pid);
		dir = open(path, O_RDONLY | O_DIRECTORY);
		snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
		fd = open(path, O_RDONLY);
		reap(pid);
		r = (int)read(fd, buf, 100);
		say("%s: open before, read %d, ", name, strcmp(name, "fd") ? (r < 0 ? -errno : r) : 0);
		r = openat(dir, name, O_RDONLY);
		say("openat %d, ", r < 0 ? -errno : 0);
		say("open %d, ", open(path, O_RDONLY) < 0 ? -errno : 0);
		snprintf(path, sizeof path, "/proc/%d/cwd", pid);
		say("cwd %d\n", readlink(path, link, sizeof link) < 0 ? -errno : 0);
		close(fd);
		close(dir);
	}
}

/* ---- where it is ---- */

static void
places(void)
{
	char name[64], text[600];
	int r;

	for (int i = 0; i < 5; i++) {
		snprintf(name, sizeof name, "procmix dir %u", roll(1000000));
		mkdir(name, 0755);
		if (chdir(name))
			say("chdir: errno %d\n", errno);
		if (roll(2)) {
			char up[80];

			snprintf(up, sizeof up, "../%s", name);
			rmdir(up);
		}
		r = (int)readlink("/proc/self/cwd", text, sizeof text - 1);
		text[r > 0 ? r : 0] = 0;
		say("cwd: %s\n", last_part(text));
		r = (int)readlink("/proc/self/cwd", text, 5);
		say("cut: %d\n", r);
		if (chdir("..") == 0)
			rmdir(name);
		else
			break;
	}
	r = (int)readlink("/proc/self/exe", text, sizeof text - 1);
	text[r > 0 ? r : 0] = 0;
	say("exe: %s\n", last_part(text));
	r = (int)readlink("/proc/self/root", text, sizeof text - 1);
	text[r > 0 ? r : 0] = 0;
	say("root: %s\n", text);
	r = (int)readlink("/proc/self", text, sizeof text - 1);
	text[r > 0 ? r : 0] = 0;
	say("self: %d\n", atoi(text) == getpid());
}

int
main(int argc, char **argv)
{
	static const struct { char letter; void (*fn)(void); } all[] = {
		{ 's', states }, { 'a', arguments }, { 'f', descriptors }, { 'm', mappings }, { 'n', names }, { 'l', listing },
		{ 'r', pieces }, { 'R', name_in_pieces }, { 'o', owners }, { 'g', gone }, { 'p', places } };
	const char *w = argc > 2 ? argv[2] : "safmnlrogp";

	if (*w == '_')
		stay();
	if (access("/proc/self", F_OK) != 0) {           /* the first process of all finds nothing mounted */
		mkdir("/proc", 0755);
		mkdir("/tmp", 0755);
		mount("proc", "/proc", "proc", 0, NULL);
		chdir("/tmp");
	}
	self = argv[0];
	dice_seed(argc > 1 ? argv[1] : NULL);
	for (; *w; w++)
		for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
			if (all[i].letter == *w)
				in_child("all", all[i].fn);
	return 0;
}
