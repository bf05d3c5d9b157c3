/* check.c - cut the power at every point of a recording and look at what is left.
 *
 * Idea.       The recording (nbd.py) is played into a disk in memory. At a point in it the *base* is
 *             everything that a completed flush covers; *pending* are the writes after it, of which the
 *             disk may have any, in part:
 *
 *                 base --flush done covers it--< pending: written, answered or not >-- the rest
 *
 *             An image is the base and some sectors of the pending writes; variant 0 has all of them, 1
 *             none, the others are drawn from (seed, point, variant). Each image is judged, in this
 *             process and with the tools' own sources:
 *                 1. as it was found: fsck -n is content, and the reader sees what the model allows; both
 *                    look through the journal
 *                 2. it is recovered by the kernel's recovery, which may be cut off and begin again, or by
 *                    fsck -y
 *                 3. fsck -n finds nothing, and names and contents are what the model allows
 * Interface.  crashcheck [-s SEED] [-n IMAGES] [-p POINT [-v VARIANT]] [-j JOBS] [-o IMAGE] [-i IMAGE]
 *             [-m LOG -M POINT] [-k] [-q] LOG
 *             -o writes the image of -p -v; -i judges names and contents of that file, a disk the kernel
 *             has recovered, at -p.
 *             -m, -M: LOG is the recording of a recovery, of a disk that was cut off at that point of
 *             another recording.
 *             -k: go on after a failure. Exit status 0 all good, 1 not, 2 could not run.
 * Invariants. I1 point p is the state after event p; (seed, point, variant) gives the same image in every
 *             run.
 *             I2 worker w of j looks at jobs w, w+j, ...: points only go forward in a worker.
 * Locks.      None: workers share counters only.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/eclipsefs/host/view.h"
#include "grade/crash/memdisk.h"
#include "grade/crash/model.h"

#define SECTOR      512u
#define MAX_DEPTH   64
#define MAX_FOUND   20000u
#define MAX_FILE    (1u << 20)
#define HANG        20			/* seconds for one image */

enum kind { WRITE = 1, DONE, FLUSH, FLUSHED, MARK, LOST };

struct event {
	enum kind kind;
	uint32_t id;
	uint64_t off;
	uint32_t len;
	const uint8_t *data;
};

struct pending {
	const struct event *e;
	size_t done;			/* event that answered it, 0 not yet */
};

struct job { size_t point; uint32_t variant; };

/* What the workers count, in shared memory */
struct counts { uint64_t images, same, replayed, transactions, failed; struct job now[16]; };

static struct event *events;
static size_t nevents;
static uint8_t *start;
static uint64_t disk_size;
static struct pending *pending;
static size_t npending;
static size_t *flush_begun;		/* by id: the event */
static size_t position;			/* events played */
static struct counts *counts;
static uint64_t seed = 1;
static const char *log_name, *program;
static const char *first_log;		/* -m */
static size_t first_point;
static bool keep_going, quiet;
static char why[4096];

/* ---- the recording ---- */

static void
die(const char *what, const char *problem)
{
	fprintf(stderr, "crashcheck: %s: %s\n", what, problem);
	exit(2);
}

static uint8_t *
file_read(const char *path, size_t *size)
{
	struct stat st;
	int fd = open(path, O_RDONLY);
	if (fd < 0 || fstat(fd, &st) < 0)
		die(path, strerror(errno));
	*size = (size_t)st.st_size;
	uint8_t *p = mmap(NULL, *size ? *size : 1, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		die(path, strerror(errno));
	close(fd);
	return p;
}

static void
log_load(const char *path)
{
	size_t size, at;
	uint8_t *p = file_read(path, &size);
	if (size < 16 || memcmp(p, "ECRASH01", 8) != 0)
		die(path, "not a recording");
	memcpy(&disk_size, p + 8, 8);
	if (disk_size % EFS_BLOCK || disk_size > size - 16)
		die(path, "cut off");
	start = p + 16;
	events = xalloc(sizeof(*events));
	for (at = 16 + disk_size; at + 24 <= size; at += 24 + events[nevents - 1].len) {
		struct event e = { .kind = p[at], .data = p + at + 24 };
		memcpy(&e.id, p + at + 4, 4);
		memcpy(&e.off, p + at + 8, 8);
		memcpy(&e.len, p + at + 16, 4);
		if (e.len > size - at - 24 || (e.kind == WRITE && (e.off > disk_size || e.len > disk_size - e.off)))
			die(path, "damaged");
		if ((nevents & (nevents - 1)) == 0)
			events = xgrow(events, (nevents ? 2 * nevents : 1) * sizeof(*events));
		events[nevents++] = e;
	}
	pending = xalloc(nevents * sizeof(*pending));
	flush_begun = xalloc((nevents + 1) * sizeof(*flush_begun));
}

/* The model of a recovery is that of the workload that was cut off; nothing is announced after that. */
static void
model_load_first(void)
{
	log_load(first_log);
	for (size_t i = 0; i < nevents; i++)
		if (events[i].kind == MARK && events[i].len >= sizeof(struct crash_record))
			model_add((const struct crash_record *)events[i].data);
	if (!model_finish(why, sizeof(why)))
		die(first_log, why);
	for (size_t i = 0; i <= first_point && i < nevents; i++) {
		const struct crash_record *r = (const struct crash_record *)events[i].data;
		if (events[i].kind == MARK && events[i].len >= sizeof(*r))
			model_announced(r->proc, r->index);
	}
	nevents = 0;
}

static void
model_load(void)
{
	for (size_t i = 0; i < nevents; i++)
		if (events[i].kind == MARK && events[i].len >= sizeof(struct crash_record))
			model_add((const struct crash_record *)events[i].data);
	if (!model_finish(why, sizeof(why)))
		die(log_name, why);
}

/* ---- playing ---- */

/* All writes answered before flush `id` was asked for are safe now. */
static void
flush_complete(uint32_t id)
{
	size_t kept = 0;
	for (size_t i = 0; i < npending; i++) {
		const struct event *e = pending[i].e;
		if (pending[i].done && pending[i].done < flush_begun[id])
			memdisk_put(e->off, e->data, e->len);
		else
			pending[kept++] = pending[i];
	}
	npending = kept;
}

/* The disk has forgotten this write, and no flush brings it back. */
static void
write_lost(uint32_t id)
{
	size_t kept = 0;
	for (size_t i = 0; i < npending; i++)
		if (pending[i].e->id != id)
			pending[kept++] = pending[i];
	npending = kept;
}

static void
event_play(size_t number)
{
	const struct event *e = &events[number];
	const struct crash_record *r = (const struct crash_record *)e->data;
	switch (e->kind) {
	case WRITE:
		pending[npending++] = (struct pending){ .e = e };
		break;
	case DONE:
		for (size_t i = 0; i < npending; i++)
			if (pending[i].e->id == e->id)
				pending[i].done = number;
		break;
	case FLUSH:
		flush_begun[e->id % (nevents + 1)] = number;
		break;
	case FLUSHED:
		flush_complete(e->id % (uint32_t)(nevents + 1));
		break;
	case LOST:
		write_lost(e->id);
		break;
	case MARK:
		if (e->len >= sizeof(*r) && r->magic == CRASH_MAGIC)
			model_announced(r->proc, r->index);
		break;
	}
}

static void
play_to(size_t point)
{
	for (; position <= point && position < nevents; position++)
		event_play(position);
}

/* ---- making an image ---- */

static uint64_t rng;

uint64_t
crash_random(uint64_t n)
{
	rng += 0x9e3779b97f4a7c15ull;
	uint64_t x = rng;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return (x ^ x >> 31) % n;
}

static uint64_t
rnd(uint64_t n)
{
	return crash_random(n);
}

/* Put the sectors of a write for which the draw says so: parts of 8 kept, or a torn front. */
static uint64_t
write_torn(const struct event *e, unsigned parts, bool front)
{
	uint64_t sum = 0;
	uint32_t sectors = (e->len + SECTOR - 1) / SECTOR, upto = front ? (uint32_t)rnd(sectors + 1) : sectors;
	for (uint32_t s = 0; s < upto; s++) {
		uint32_t n = e->len - s * SECTOR < SECTOR ? e->len - s * SECTOR : SECTOR;
		if (!front && rnd(8) >= parts)
			continue;
		memdisk_put(e->off + s * SECTOR, e->data + s * SECTOR, n);
		sum = sum * 31 + s + 1;
	}
	return sum;
}

/* Lay a variant of the pending writes over the base. Returns a fingerprint of what was chosen. */
static uint64_t
variant_lay(size_t point, uint32_t variant)
{
	uint64_t sum = 0;
	rng = seed * 0x100000001b3ull ^ (uint64_t)point << 20 ^ variant;
	if (variant == 1)
		return 0;
	unsigned mode = variant == 0 ? 0 : 1 + (unsigned)rnd(7);
	size_t one = npending ? rnd(npending) : 0;
	bool tear = variant > 1 && rnd(2);
	for (size_t i = 0; i < npending; i++) {
		bool keep = mode == 1 ? rnd(2) : mode == 2 ? rnd(8) != 0 : mode == 3 ? rnd(8) == 0 : mode == 4 ? i != one
		    : mode == 5 ? i == one : mode == 6 ? i <= one : mode == 7 ? rnd(npending) > 1 : true;
		bool torn = tear && (mode >= 4 ? i == one : rnd(4) == 0);
		const struct event *e = pending[i].e;
		uint64_t chosen = keep ? ~0ull : 0;
		if (torn)
			chosen = write_torn(e, 1 + (unsigned)rnd(7), rnd(2));
		else if (keep)
			memdisk_put(e->off, e->data, e->len);
		sum = (sum ^ chosen) * 0x100000001b3ull;
	}
	return sum;
}

/* ---- what is on the disk ---- */

static struct found *found;
static size_t nfound;

static void __attribute__((format(printf, 1, 2)))
explain(const char *fmt, ...)
{
	size_t used = strlen(why);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(why + used, sizeof(why) - used, fmt, ap);
	va_end(ap);
}

static void
found_free(void)
{
	for (size_t i = 0; i < nfound; i++) {
		free((void *)found[i].path);
		free((void *)found[i].data);
	}
	nfound = 0;
}

/* Add everything below directory `dir` to what was found. False: something cannot be read (said so). */
static bool
tree_walk(struct view *v, uint32_t dir, const char *prefix, unsigned depth)
{
	struct node d, n;
	struct entry *list = NULL;
	size_t count;
	bool good = depth < MAX_DEPTH && view_node(v, dir, &d) == 0 && view_entries(v, &d, &list, &count) == 0;
	if (!good)
		explain("directory /%s cannot be read: %s\n", prefix, fsck_text);
	for (size_t i = 0; good && i < count; i++) {
		size_t len = strlen(prefix) + strlen(list[i].name) + 2;
		char *path = xalloc(len);
		snprintf(path, len, "%s%s%s", prefix, *prefix ? "/" : "", list[i].name);
		good = nfound < MAX_FOUND && view_node(v, list[i].ino, &n) == 0 && n.size <= MAX_FILE;
		uint8_t *data = good && !S_ISDIR(n.mode) ? xalloc(n.size + 1) : NULL;
		if (good && data)
			good = view_read(v, &n, 0, data, n.size) == 0;
		if (!good)
			explain("/%s cannot be read: %s\n", path, fsck_text);
		if ((nfound & (nfound - 1)) == 0)
			found = xgrow(found, (nfound ? 2 * nfound : 1) * sizeof(*found));
		if (first_log && strcmp(path, "after-the-crash") == 0) {
			free(path);
			free(data);
			continue;
		}
		found[nfound++] = (struct found){ .path = path, .hash = model_hash(path, strlen(path)), .ino = list[i].ino,
			.mode = n.mode, .nlink = n.nlink, .size = S_ISDIR(n.mode) ? 0 : n.size, .data = data };
		if (good && S_ISDIR(n.mode))
			good = tree_walk(v, list[i].ino, path, depth + 1);
	}
	free(list);
	return good;
}

/* Read the memory disk as `eclipsefs` does and ask the model. */
static bool
contents_judge(void)
{
	struct view v;
	fsck_text[0] = 0;
	bool good = view_open(&v, "disk", 0) == 0;
	if (!good)
		explain("cannot be opened: %s\n", fsck_text);
	good = good && tree_walk(&v, EFS_ROOT_INO, "", 0) && model_check(found, nfound, why, sizeof(why));
	found_free();
	return good;
}

/* ---- judging an image ---- */

static bool
fsck_judge(bool mend, bool clean)
{
	int status = fsck_run(mend);
	const char *note = strstr(fsck_text, "journal:");
	if (!mend && note && !clean) {
		counts->replayed++;
		note = strstr(note, "journal: ");
		counts->transactions += note ? strtoull(note + 9, NULL, 10) : 0;
	}
	if (status == 0 || (mend && status == 1))
		return true;
	explain("fsck %s%s: status %d\n%.1500s", mend ? "-y" : "-n", clean ? " after recovery" : "", status,
	    fsck_text);
	return false;
}

/* The kernel's recovery, now and then cut off twice before it comes to its end. */
static bool
kernel_judge(void)
{
	for (int cuts = rnd(2) ? 2 : 0; cuts > 0; cuts--)
		kernel_recover((int64_t)rnd(rnd(2) ? 4 : 60));
	int err = kernel_recover(-1);
	if (err)
		explain("the kernel's recovery: error %d\n%s", err, kernel_text);
	return err == 0;
}

/* Judge the memory disk. Returns whether it is good; else why[] says why not. It is changed. */
static bool
image_judge(void)
{
	why[0] = 0;
	if (!fsck_judge(false, false) || !contents_judge())
		return false;
	return (rnd(4) ? kernel_judge() : fsck_judge(true, false)) && fsck_judge(false, true) && contents_judge();
}

static const char *
workload(void)
{
	static char name[64];
	const char *slash = strrchr(log_name, '/');
	snprintf(name, sizeof(name), "%s", slash ? slash + 1 : log_name);
	char *dot = strchr(name, '.');
	if (dot)
		*dot = 0;
	return name;
}

static void
failure_say(size_t point, uint32_t variant)
{
	char text[6000];
	char again[1000];
	snprintf(again, sizeof(again), "make crash W=%s SEED=%llu POINT=%zu VARIANT=%u", workload(),
	    (unsigned long long)seed, point, variant);
	if (first_log)
		snprintf(again, sizeof(again), "%s -m %s -M %zu -s %llu -p %zu -v %u %s", program, first_log, first_point,
		    (unsigned long long)seed, point, variant, log_name);
	int n = snprintf(text, sizeof(text),
	    "FAILED %s: power lost after event %zu of %zu, %zu writes pending, variant %u\n%s"
	    "  reproduce: %s\n", workload(), point, nevents, npending, variant, why, again);
	if (!quiet && n > 0 && write(1, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1) < 0)
		exit(2);
}

/* ---- all images ---- */

static int
job_compare(const void *a, const void *b)
{
	const struct job *x = a, *y = b;
	if (x->point != y->point)
		return x->point < y->point ? -1 : 1;
	return x->variant < y->variant ? -1 : x->variant > y->variant;
}

/* Spread `images` over the points. A marker or an answer changes what is promised, so every event is a
 * point. */
static struct job *
jobs_make(uint64_t images, size_t *n)
{
	struct job *jobs = xalloc(images * sizeof(*jobs));
	uint64_t each = images / nevents, rest = images % nevents;
	*n = 0;
	for (size_t p = 0; p < nevents; p++)
		for (uint32_t v = 0; v < each; v++)
			jobs[(*n)++] = (struct job){ p, v };
	rng = seed;
	for (uint64_t i = 0; i < rest; i++)
		jobs[(*n)++] = (struct job){ i * nevents / rest, each ? (uint32_t)each : (uint32_t)rnd(8) };
	qsort(jobs, *n, sizeof(*jobs), job_compare);
	return jobs;
}

static bool
seen_before(uint64_t sum, uint64_t *seen, size_t *n, size_t room)
{
	for (size_t i = 0; i < *n; i++)
		if (seen[i] == sum)
			return true;
	if (*n < room)
		seen[(*n)++] = sum;
	return false;
}

static void
worker(unsigned w, unsigned workers, const struct job *jobs, size_t n)
{
	uint64_t seen[64];
	size_t nseen = 0, at = SIZE_MAX;
	for (size_t i = 0; i < n; i++) {
		if (jobs[i].point / 4 % workers != w)
			continue;
		if (jobs[i].point != at)
			nseen = 0;
		at = jobs[i].point;
		play_to(at);
		counts->now[w] = jobs[i];
		memdisk_mark();
		if (seen_before(variant_lay(at, jobs[i].variant), seen, &nseen, 64)) {
			__atomic_fetch_add(&counts->same, 1, __ATOMIC_RELAXED);
			memdisk_restore();
			continue;
		}
		alarm(HANG);
		__atomic_fetch_add(&counts->images, 1, __ATOMIC_RELAXED);
		if (!image_judge()) {
			if (__atomic_fetch_add(&counts->failed, 1, __ATOMIC_RELAXED) < 3 || keep_going)
				failure_say(at, jobs[i].variant);
		}
		memdisk_restore();
		if (counts->failed >= 3 && !keep_going)
			break;
	}
	alarm(0);
}

static int
explore(uint64_t images, unsigned workers)
{
	size_t n;
	struct job *jobs = jobs_make(images, &n);
	int status, bad = 0;
	fflush(stdout);
	for (unsigned w = 0; w < workers; w++)
		if (fork() == 0) {
			worker(w, workers, jobs, n);
			_exit(0);
		}
	for (pid_t pid; (pid = wait(&status)) > 0;) {
		if (status == 0)
			continue;
		bad++;
		printf("FAILED %s: a worker ended with status %#x; images under way:\n", workload(), status);
		for (unsigned w = 0; w < workers; w++)
			printf("  reproduce: make crash W=%s SEED=%llu POINT=%zu VARIANT=%u\n", workload(),
			    (unsigned long long)seed, counts->now[w].point, counts->now[w].variant);
	}
	printf("%-10s %6zu events, %7llu images (%llu duplicates left out), %llu with a journal to replay "
	    "(%llu transactions): %llu bad\n",
	    workload(), nevents, (unsigned long long)counts->images, (unsigned long long)counts->same,
	    (unsigned long long)counts->replayed, (unsigned long long)counts->transactions,
	    (unsigned long long)counts->failed);
	return bad || counts->failed;
}

/* ---- one point ---- */

static void
image_save(const char *path)
{
	FILE *f = fopen(path, "wb");
	if (!f || fwrite(memdisk_bytes(), 1, memdisk_size(), f) != memdisk_size() || fclose(f) != 0)
		die(path, strerror(errno));
}

static void
pending_list(void)
{
	for (size_t i = 0; i < npending && !quiet; i++) {
		const struct event *e = pending[i].e;
		printf("  pending: block %llu, %u bytes, %s\n", (unsigned long long)(e->off / EFS_BLOCK), e->len,
		    pending[i].done ? "answered" : "on its way");
	}
}

/* Look at one image, or at variants 0..upto-1 of a point. */
static int
one_point(size_t point, uint32_t from, uint32_t upto, const char *save)
{
	int bad = 0;
	if (point >= nevents)
		die(log_name, "no such point");
	play_to(point);
	pending_list();
	for (uint32_t v = from; v < upto; v++) {
		memdisk_mark();
		variant_lay(point, v);
		if (save)
			image_save(save);
		if (!image_judge()) {
			failure_say(point, v);
			bad = 1;
		} else if (!quiet) {
			printf("%s: point %zu, variant %u: good\n", workload(), point, v);
		}
		memdisk_restore();
	}
	return bad;
}

/* A disk that the kernel has mounted, recovered and unmounted: fsck finds nothing, and it holds what is
 * allowed at `point`. */
static int
recovered_judge(const char *path, size_t point)
{
	size_t size;
	uint8_t *p = file_read(path, &size);
	if (size != disk_size || point >= nevents)
		die(path, "not of this recording");
	play_to(point);
	memdisk_put(0, p, size);
	why[0] = 0;
	if (fsck_judge(false, true) && contents_judge())
		return 0;
	printf("FAILED %s: power lost after event %zu, recovered by the kernel: %s"
	    "  reproduce: %s -p %zu -i %s %s\n", workload(), point, why, program, point, path, log_name);
	return 1;
}

int
main(int argc, char **argv)
{
	uint64_t images = 1000;
	long point = -1, variant = -1;
	unsigned workers = 2;
	const char *save = NULL, *recovered = NULL;
	for (int o; (o = getopt(argc, argv, "s:n:p:v:j:o:i:m:M:kq")) != -1;) {
		switch (o) {
		case 's': seed = strtoull(optarg, NULL, 0); break;
		case 'n': images = strtoull(optarg, NULL, 0); break;
		case 'p': point = atol(optarg); break;
		case 'v': variant = atol(optarg); break;
		case 'j': workers = (unsigned)atoi(optarg); break;
		case 'o': save = optarg; break;
		case 'i': recovered = optarg; break;
		case 'm': first_log = optarg; break;
		case 'M': first_point = strtoul(optarg, NULL, 0); break;
		case 'k': keep_going = true; break;
		case 'q': quiet = true; break;
		default: die("usage", "crashcheck [-s SEED] [-n IMAGES] [-p POINT [-v VARIANT]] [-j JOBS] [-o IMAGE] "
		    "[-i IMAGE] [-m LOG -M POINT] [-kq] LOG");
		}
	}
	if (optind != argc - 1 || workers < 1 || workers > 16)
		die("usage", "one recording is wanted, and 1 to 16 jobs");
	log_name = argv[optind];
	program = argv[0];
	if (first_log)
		model_load_first();
	log_load(log_name);
	if (!first_log)
		model_load();
	memdisk_init(start, disk_size);
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED)
		die("memory", strerror(errno));
	if (recovered)
		return recovered_judge(recovered, (size_t)point);
	if (point >= 0)
		return variant < 0 ? one_point((size_t)point, 0, 16, save)
		    : one_point((size_t)point, (uint32_t)variant, (uint32_t)variant + 1, save);
	return explore(images, workers);
}
