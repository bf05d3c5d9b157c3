/* observe_proc.c - lab 4 shown to the grader: numbers, threads, queues, mutexes, loaders.      (lab 4)
 *
 * Idea.       Each observation draws what it does from the run's seed, does it, and reports what it did and
 *             what came of it. What should have come of it is not known here: the judge beside the lab's
 *             handout works it out, and draws the same numbers again: therefore they are drawn one per
 *             expression (C leaves open which of two comes first), and by one thread only.
 * Interface.  OBSERVE (kern/boot/observe.h).
 */
#include "kern/boot/observe.h"
#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "kern/proc/archive.h"
#include "kern/proc/exec.h"
#include "kern/proc/sched.h"
#include "kern/proc/waitq.h"
#include "kern/trap/clock.h"
#include "lib/abi/elf.h"
#include "lib/abi/errno.h"
#include "lib/abi/mman.h"
#include "lib/kern/string.h"

#define MS 1000000ul
#define NWORKER 6

static uint32_t
below(uint32_t n)
{
	return observe_random() % n;
}

static void
nap(uint64_t ns)
{
	thread_sleep_until(clock_ns() + ns, false);
}

/* ---- numbers ---- */

static void
show_tid(struct thread *t, void *arg)
{
	int *tids = arg;

	if (t->tid > 0 && tids[0] < 30)
		tids[++tids[0]] = t->tid;
}

static void
show_threads(void)
{
	int tids[32] = { 0 };

	thread_each(show_tid, tids);
	for (int i = 1; i <= tids[0]; i++)
		observe("thread %d", tids[i]);
}

OBSERVE(4, tid_numbers)
{
	int held[80], n = 0;

	show_threads();
	for (int step = 0; step < 500; step++) {
		if (n == 0 || (n < 80 && below(5) < 3)) {
			held[n] = tid_alloc();
			observe("alloc %d", held[n++]);
		} else {
			int i = below(n);

			observe("free %d", held[i]);
			tid_free(held[i]);
			held[i] = held[--n];
		}
	}
}

#define ALL_TIDS 32768
#define GIVEN_BACK 40

/* All numbers are in use: give some back, and ask for one more. */
static void
tids_again(uint8_t *seen)
{
	observe("round");
	for (int i = 0; i < GIVEN_BACK;) {
		int tid = 2 + below(ALL_TIDS - 2);

		if (seen[tid] == 1) {
			seen[tid] = 2;
			tid_free(tid);
			observe("free %d", tid);
			i++;
		}
	}
	for (int i = 0; i <= GIVEN_BACK; i++) {
		int tid = tid_alloc();

		if (tid > 0 && tid < ALL_TIDS)
			seen[tid] = 1;
		observe("alloc %d", tid);
	}
}

OBSERVE(4, tid_exhaustion)
{
	uint8_t *seen = kzalloc(ALL_TIDS);
	int n, tid;

	show_threads();
	for (n = 0; n < 2 * ALL_TIDS && (tid = tid_alloc()) > 0; n++) {
		if (tid < 2 || tid >= ALL_TIDS || seen[tid]++)
			observe("odd %d", tid);
	}
	observe("end %d", tid);
	for (int i = 2; i < ALL_TIDS; i++)
		if (!seen[i])
			observe("missing %d", i);
	for (int round = 0; round < 4; round++)
		tids_again(seen);
	kfree(seen);
}

/* ---- who runs ---- */

struct worker {
	int id, count;
	uint64_t dice;             /* of its own: in which order workers run must not change what they draw */
	struct thread *thread;
	bool intr;                 /* sleeps interruptibly */
	bool go, stop;
	uint64_t deadline;
};

static struct worker workers[NWORKER];
static int nworker, nalive;
static struct thread *waiting;         /* for the last worker's end */

static void
worker_end(struct worker *w)
{
	observe("end %d", w->id);
	if (--nalive == 0 && waiting)
		thread_wake(waiting);
}

/* n workers (0: 3 to NWORKER) that run fn, started in order; `count` of each is below(span). */
static void
workers_start(int n, void (*fn)(void *), uint32_t span)
{
	nworker = nalive = n ? n : 3 + (int)below(NWORKER - 2);
	for (int i = 0; i < nworker; i++) {
		workers[i] = (struct worker){ .id = i };
		workers[i].count = 1 + (int)below(span);
		workers[i].intr = below(2);
		workers[i].dice = observe_random() | 1;
		workers[i].thread = thread_create("worker", fn, &workers[i]);
		if (!workers[i].thread)
			panic("no memory for the grader's threads");
	}
	for (int i = 0; i < nworker; i++) {
		observe("worker %d count %d intr %d", i, workers[i].count, workers[i].intr);
		thread_start(workers[i].thread);
	}
}

/* Until all have ended, and have been freed. On one CPU nothing happens between a look and a sleep. */
static void
workers_wait(void)
{
	waiting = current();
	while (__atomic_load_n(&nalive, __ATOMIC_RELAXED) > 0) {
		thread_prepare_sleep(false);
		thread_sleep();
	}
	waiting = NULL;
	nap(MS);
}

static void
take_turns(void *arg)
{
	struct worker *w = arg;

	for (int i = 0; i < w->count; i++) {
		observe("turn %d", w->id);
		thread_yield();
	}
	worker_end(w);
}

OBSERVE(4, run_order)
{
	for (int round = 0; round < 4; round++) {
		observe("round");
		workers_start(0, take_turns, 12);
		workers_wait();
	}
}

static void
sleep_and_tell(void *arg)
{
	struct worker *w = arg;

	while (!w->stop) {
		thread_prepare_sleep(w->intr);
		thread_sleep();
		observe("woke %d", w->id);
		__atomic_store_n(&current()->intr, false, __ATOMIC_RELAXED);
	}
	worker_end(w);
}

/* Announces sleep, is woken before it comes to it, and sleeps. */
static void
wake_myself(void)
{
	thread_prepare_sleep(false);
	observe("self %d", thread_wake(current()));
	thread_sleep();
	observe("self again %d", thread_wake(current()));
}

static void
wake_step(void)
{
	struct worker *w = &workers[below(nworker)];

	switch (below(6)) {
	case 0: case 1:
		observe("wake %d: %d", w->id, thread_wake(w->thread));
		break;
	case 2:
		observe("interrupt %d", w->id);
		thread_interrupt(w->thread);
		break;
	case 3: case 4:
		observe("yield");
		thread_yield();
		break;
	default:
		wake_myself();
	}
}

OBSERVE(4, wake_results)
{
	workers_start(NWORKER, sleep_and_tell, 1);
	observe("yield");
	thread_yield();
	for (int i = 0; i < 150; i++)
		wake_step();
	observe("yield");
	thread_yield();
	for (int i = 0; i < nworker; i++) {
		workers[i].stop = true;
		observe("wake %d: %d", i, thread_wake(workers[i].thread));
	}
	workers_wait();
}

static void
sleep_until(void *arg)
{
	struct worker *w = arg;
	uint64_t until = w->deadline;

	thread_sleep_until(until, w->intr);
	observe("slept %d until %lu now %lu", w->id, until, clock_ns());
	worker_end(w);
}

OBSERVE(4, sleep_order)
{
	uint64_t start = clock_ns() + 5 * MS;
	uint32_t slot[NWORKER];

	for (int round = 0; round < 3; round++, start = clock_ns() + 5 * MS) {
		observe("round");
		workers_start(NWORKER, sleep_until, 1);
		for (int i = 0; i < NWORKER; i++) {
			slot[i] = below(60);
			for (int k = 0; k < i; k++)
				if (slot[k] == slot[i])
					slot[i] += 60;
			workers[i].deadline = start + slot[i] * 500000ul;
		}
		workers_wait();
	}
}

/* ---- wait queues ---- */

static struct waitq queue = WAITQ(queue);

/* Is told by `go` to join the queue, joins it, and tells how it came out. */
static void
join_and_tell(void *arg)
{
	struct worker *w = arg;
	struct waiter me = { .thread = current() };
	int err;

	while (!w->stop) {
		if (!w->go) {
			thread_prepare_sleep(false);
			thread_sleep();
			continue;
		}
		thread_prepare_sleep(w->intr);
		waitq_add(&queue, &me);
		err = wait_step(&me, w->intr ? WAIT_INTR : 0, w->deadline);
		observe("left %d: %d, queued %d, waits for %d", w->id, err, me.q != NULL, current()->wait_for != NULL);
		waitq_del(&me);
		__atomic_store_n(&current()->intr, false, __ATOMIC_RELAXED);
		w->go = false;
	}
	worker_end(w);
}

static void
join(struct worker *w)
{
	uint32_t ms = below(3) ? 0 : 500 + 50 * w->id;

	w->go = true;
	w->deadline = ms ? clock_ns() + ms * MS : 0;
	observe("join %d deadline %u", w->id, ms);
	thread_wake(w->thread);
	thread_yield();
}

static void
queue_step(void)
{
	struct worker *w = &workers[below(nworker)];
	uint32_t what = below(8);

	if (what < 4) {
		if (!w->go)
			join(w);
	} else if (what == 4) {
		observe("one: %d", waitq_wake_one(&queue));
	} else if (what == 5) {
		observe("interrupt %d", w->id);
		thread_interrupt(w->thread);
		thread_yield();
		__atomic_store_n(&w->thread->intr, false, __ATOMIC_RELAXED);
	} else if (what == 6) {
		observe("all");
		waitq_wake_all(&queue);
	} else {
		observe("empty %d", waitq_empty(&queue));
	}
	thread_yield();
	if (below(12) == 0) {
		observe("long pause");
		nap(2000 * MS);
	}
}

OBSERVE(4, waitq_order)
{
	workers_start(NWORKER, join_and_tell, 1);
	thread_yield();
	for (int i = 0; i < 200; i++)
		queue_step();
	observe("long pause");
	nap(2000 * MS);
	for (int i = 0; i < NWORKER; i++)
		workers[i].stop = true;
	observe("all");
	waitq_wake_all(&queue);
	thread_yield();
	for (int i = 0; i < NWORKER; i++)
		thread_wake(workers[i].thread);
	workers_wait();
}

/* A timer that makes the condition true, at a moment nobody knows. */
static struct timer bell;
static uint32_t rings;                           /* [a] */

static void
ring(struct timer *t)
{
	(void)t;
	__atomic_fetch_add(&rings, 1, __ATOMIC_SEQ_CST);
	waitq_wake_all(&queue);
}

OBSERVE(4, interrupt_wakes)
{
	uint64_t drawn = 0;

	timer_init(&bell, ring);
	for (uint32_t i = 1; i <= 1500; i++) {
		uint32_t spin = below(400), delay = below(20000);

		drawn += spin + delay;
		timer_arm(&bell, clock_ns() + delay);
		while (spin--)
			cpu_relax();
		wait_event(&queue, __atomic_load_n(&rings, __ATOMIC_SEQ_CST) >= i, (void *)NULL);
		if (i % 100 == 0)
			observe("heard %u drawn %lu", rings, drawn);
	}
}

/* ---- mutexes ---- */

static struct mutex turn = MUTEX(turn, "the grader's mutex", RANK(4, 90));

/* Random numbers of a worker's own: a step of xorshift64. */
static uint32_t
dice(struct worker *w, uint32_t n)
{
	w->dice ^= w->dice << 13;
	w->dice ^= w->dice >> 7;
	w->dice ^= w->dice << 17;
	return (w->dice >> 20) % n;
}

static void
yield_some(struct worker *w, uint32_t span)
{
	for (uint32_t n = dice(w, span); n > 0; n--)
		thread_yield();
}

static void
use_mutex(void *arg)
{
	struct worker *w = arg;

	for (int i = 0; i < w->count; i++) {
		yield_some(w, 8);
		if (dice(w, 4) == 0) {
			bool got = mutex_trylock(&turn);

			observe("try %d: %d", w->id, got);
			if (!got)
				continue;
		} else {
			observe("want %d", w->id);
			mutex_lock(&turn);
			observe("has %d", w->id);
		}
		yield_some(w, 4);
		observe("leaves %d", w->id);
		mutex_unlock(&turn);
	}
	worker_end(w);
}

OBSERVE(4, mutex_turns)
{
	for (int round = 0; round < 4; round++) {
		observe("round");
		workers_start(0, use_mutex, 25);
		workers_wait();
		observe("free: owner %d, contended %u, waiters %d", turn.owner != NULL, turn.contended,
			!list_empty(&turn.waiters));
	}
}

/* ---- the boot archive ---- */

#define ARCHIVE_MAX 2048
#define FIELD_CHARS 8

static void
show_bytes(const char *what, const uint8_t *p, size_t n)
{
	static const char hex[] = "0123456789abcdef";
	char line[2 * 64 + 1];

	for (size_t at = 0; at < n; at += 64) {
		size_t part = n - at < 64 ? n - at : 64, i;

		for (i = 0; i < part; i++) {
			line[2 * i] = hex[p[at + i] >> 4];
			line[2 * i + 1] = hex[p[at + i] & 15];
		}
		line[2 * i] = '\0';
		observe("%s %s", what, line);
	}
}

/* Append an entry with random numbers and random data; open_name: without the NUL that ends the name. */
static size_t
entry_put(uint8_t *buf, size_t at, const char *name, bool open_name)
{
	static const char hex[] = "0123456789abcdefABCDEF";
	uint32_t name_len = strlen(name) + 1, size = below(60), field;

	memcpy(buf + at, "070701", 6);
	buf[at + 5] += below(2);
	for (int i = 0; i < 13; i++) {
		field = i == 6 ? size : i == 11 ? name_len : below(2) ? observe_random() : 0;
		for (int d = 0; d < FIELD_CHARS; d++) {
			uint32_t digit = field >> (28 - 4 * d) & 15;

			buf[at + 6 + FIELD_CHARS * i + d] = hex[digit + (digit > 9 && below(2) ? 6 : 0)];
		}
	}
	at += 110;
	memcpy(buf + at, name, name_len);
	if (open_name)
		buf[at + name_len - 1] = 'x';
	at = (at + name_len + 3) & ~3ul;
	for (uint32_t i = 0; i < size; i++)
		buf[at + i] = observe_random();
	return (at + size + 3) & ~3ul;
}

static size_t
archive_make(uint8_t *buf, bool sound)
{
	static const char *const prefix[] = { "", "/", "./", ".//", "bin/", ".hidden", "//" };
	size_t at = 0;

	memset(buf, 0, ARCHIVE_MAX);
	for (uint32_t n = below(6); n > 0; n--) {
		char name[32];
		size_t len = strlcpy(name, prefix[below(7)], sizeof name);

		for (uint32_t i = below(12); i > 0; i--)
			name[len++] = (char)('a' + below(26));
		name[len] = '\0';
		at = entry_put(buf, at, name, !sound && below(6) == 0);
	}
	return below(4) ? entry_put(buf, at, "TRAILER!!!", false) : at;
}

/* Change some bytes, or a whole size or name length; or cut the end off. */
static size_t
archive_spoil(uint8_t *buf, size_t n)
{
	static const char with[] = "0123456789abcdefFg/\0", sizes[][9] = { "ffffffff", "fffffff0", "ffffff80", "80000000",
		"00000000", "00000001", "00000800", "7fffffff" };

	if (n && below(3)) {
		int field = below(3) ? 6 : 11;

		memcpy(buf + 6 + FIELD_CHARS * field, sizes[below(8)], FIELD_CHARS);
	}
	for (uint32_t i = below(4); n && i > 0; i--) {
		size_t at = below(3) ? below(n) : below(n < 110 ? n : 110);

		buf[at] = with[below(sizeof with - 1)];
	}
	return below(4) ? n : n - below(n + 1);
}

static void
archive_walk(const char *buf, size_t n)
{
	struct archive_entry e;
	uint64_t pos = 0;
	int r;

	for (int i = 0; i < 20 && (r = archive_parse(buf, n, &pos, &e)) == 1; i++) {
		observe("entry name %ld+%lu data %ld+%lu mode %x uid %x gid %x time %x links %x ino %x", e.name - buf,
			e.namelen, (const char *)e.data - buf, e.size, e.mode, e.uid, e.gid, e.mtime, e.nlink, e.ino);
	}
	observe("end %d", r);
}

OBSERVE(4, archive_entries)
{
	uint8_t *buf = kmalloc(ARCHIVE_MAX);

	for (int i = 0; i < 110; i++) {
		size_t n = archive_make(buf, i < 10);

		if (i >= 10)
			n = archive_spoil(buf, n);
		observe("archive %lu", n);
		show_bytes("bytes", buf, n);
		archive_walk((const char *)buf, n);
	}
	kfree(buf);
}

/* ---- memory and programs ---- */

#define FILE_MAX (8 * PAGE_SIZE)

/* A file in memory, whose reading fails where fails_at says. */
static struct fake { struct source source; uint8_t *bytes; uint64_t fails_at; } file;

static long
file_read(struct source *s, uint64_t off, void *buf, size_t n)
{
	if (off >= s->size)
		return 0;
	if (n > s->size - off)
		n = s->size - off;
	if (file.fails_at >= off && file.fails_at - off < n)
		return -EIO;
	memcpy(buf, file.bytes + off, n);
	return n;
}

static void
file_put(struct source *s)
{
	(void)s;
}

/* The byte at `off` is off * 131 + (off >> 8) * 7 + key: the judge can tell any of them. */
static void
file_make(uint32_t key, uint64_t size)
{
	static const struct source_ops ops = { .read = file_read, .put = file_put };

	if (!file.bytes)
		file.bytes = kmalloc(FILE_MAX);
	for (uint64_t off = 0; off < FILE_MAX; off++)
		file.bytes[off] = off * 131 + (off >> 8) * 7 + key;
	file.fails_at = ~0ul;
	file.source = (struct source){ .ops = &ops, .refs = 1, .size = size };
	observe("file key %u size %lu", key, size);
}

static int
show_page(pte_t *pte, uint64_t va, void *arg)
{
	const uint8_t *p = P2V(*pte & PTE_ADDR);
	struct page *frame = page_of_phys(*pte & PTE_ADDR);
	uint64_t sum = 0;

	(void)arg;
	for (uint64_t i = 0; i < PAGE_SIZE; i++)
		sum = sum * 31 + p[i];
	observe("page %lx w %d x %d u %d refs %u kind %d sum %lx", va, !!(*pte & PTE_W), !(*pte & PTE_NX), !!(*pte & PTE_U),
		page_refs(frame), frame->kind == PG_ANON, sum);
	return 0;
}

static void
map_some(struct aspace *as)
{
	static const int prots[] = { PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC };
	uint64_t va = 0x10000000ul + below(12) * PAGE_SIZE, len = (1 + below(5)) * PAGE_SIZE;
	uint64_t off = below(4) ? below(16) * 512 : below(FILE_MAX), filelen = below(len + 1);
	bool from_file = below(3);
	int prot = prots[below(3)];

	file.fails_at = below(3) ? ~0ul : off + below(filelen + 1);
	observe("map %lx+%lx prot %d file %d off %lu filelen %lu fails %ld", va, len, prot, from_file, off, filelen,
		(long)file.fails_at);
	observe("mapped %d", aspace_map(as, va, len, prot, MAP_PRIVATE | MAP_FIXED, from_file ? &file.source : NULL, off,
		filelen));
	observe("rss %lu", as->rss);
	pt_each(&as->pt, 0, USER_END, show_page, NULL);
}

OBSERVE(4, plain_pages)
{
	struct aspace *as;

	for (int round = 0; round < 12; round++) {
		uint32_t key = below(256);

		observe("round");
		file_make(key, PAGE_SIZE + below(FILE_MAX - PAGE_SIZE));
		if (aspace_new(&as) < 0)
			panic("no memory for the grader's address space");
		for (int i = 0; i < 4; i++)
			map_some(as);
		aspace_put(as);
		observe("pages free %lu", page_count_free());
	}
}

/* Take all memory but `spare` pages; the pages are a list. */
static void
hoard(struct list *all, uint64_t spare)
{
	struct page *p;

	list_init(all);
	while (page_count_free() > spare && (p = page_alloc(PG_KERNEL)))
		list_push_back(all, &p->link);
}

static void
hoard_end(struct list *all)
{
	for (struct list *l; (l = list_pop_front(all));)
		page_unref(list_entry(l, struct page, link));
}

OBSERVE(4, plain_pages_scarce)
{
	struct aspace *as;
	struct list all;
	int err;

	for (int round = 0; round < 12; round++) {
		uint64_t want = 8 + below(40), spare = 6 + below(want + 16);

		if (aspace_new(&as) < 0)
			panic("no memory for the grader's address space");
		hoard(&all, spare);
		err = aspace_map(as, 0x10000000, want * PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_FIXED, NULL, 0, 0);
		observe("want %lu spare %lu: %d rss %lu", want, spare, err, as->rss);
		hoard_end(&all);
		pt_each(&as->pt, 0, USER_END, show_page, NULL);
		aspace_put(as);
		observe("pages free %lu", page_count_free());
	}
}

/* A number that a careless check lets through. */
static uint64_t
evil(void)
{
	static const uint64_t numbers[] = { 0, 1, PAGE_SIZE - 1, PAGE_SIZE, FILE_MAX, FILE_MAX + 1, 1ul << 32, USER_END,
		USER_END - PAGE_SIZE, USER_END + 1, -1ul, -PAGE_SIZE, 1ul << 63, 0xffffffff80000000ul };

	return numbers[below(sizeof numbers / sizeof numbers[0])];
}

/* One to three segments that are right. */
static void
elf_make(Elf64_Ehdr *e, Elf64_Phdr *ph)
{
	uint64_t off = 0, va = 0x400000 + below(16) * PAGE_SIZE, entry = va + below(4096);

	*e = (Elf64_Ehdr){ .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT }, .e_type = ET_EXEC,
		.e_machine = EM_X86_64, .e_entry = entry, .e_phoff = sizeof *e, .e_phentsize = sizeof *ph,
		.e_phnum = 1 + below(3) };
	for (int i = 0; i < e->e_phnum; i++) {
		uint64_t filesz = below(3) ? 700 + below(2 * PAGE_SIZE) : 0;

		ph[i] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R | (i % 2 ? PF_W : PF_X), .p_offset = off,
			.p_vaddr = va + off % PAGE_SIZE, .p_filesz = filesz,
			.p_memsz = filesz + 1 + (i % 2 ? below(3 * PAGE_SIZE) : 0) };
		va = PAGE_UP(ph[i].p_vaddr + ph[i].p_memsz) + below(2) * PAGE_SIZE;
		off += filesz;
	}
}

static void
elf_spoil(Elf64_Ehdr *e, Elf64_Phdr *ph)
{
	ph += below(e->e_phnum);
	switch (below(12)) {
	case 0: ph->p_filesz = evil(); break;
	case 1: ph->p_offset = evil(); break;
	case 2: ph->p_vaddr = evil() + ph->p_offset % PAGE_SIZE; break;
	case 3: ph->p_memsz = below(2) ? USER_END + below(9999) : -1ul - below(99999); break;
	case 4: ph->p_vaddr += 1 + below(PAGE_SIZE - 1); break;
	case 5: ph->p_flags = PF_R | PF_W | PF_X; break;
	case 6: ph->p_vaddr -= (1 + below(3)) * PAGE_SIZE; break;
	case 7: ph->p_type = PT_NOTE; break;
	case 8: ph->p_filesz = ph->p_memsz + 1; break;
	case 9: case 10: ph->p_offset -= PAGE_UP(ph->p_offset) + below(3) * PAGE_SIZE; break;
	default: ph->p_vaddr = USER_END - PAGE_UP(ph->p_memsz) - PAGE_SIZE + below(3) * PAGE_SIZE + ph->p_offset % PAGE_SIZE;
	}
}

static void
show_segment(struct aspace *as, const Elf64_Phdr *ph)
{
	for (int i = 0; i < 6; i++) {
		uint64_t at = ph->p_vaddr + (i ? below(PAGE_UP(ph->p_memsz)) : ph->p_memsz - 1);
		pte_t *pte = pt_walk(&as->pt, at, false);
		uint8_t byte = 0;
		int err = aspace_read(as, &byte, at, 1);

		observe("byte %lx: %d %u w %d x %d", at, err, byte, pte && *pte & PTE_W, pte && *pte && !(*pte & PTE_NX));
	}
}

static void
elf_try(const Elf64_Ehdr *e, const Elf64_Phdr *ph)
{
	struct elf_image im = { 0 };
	struct aspace *as;
	int err;

	memcpy(file.bytes, e, sizeof *e);
	memcpy(file.bytes + sizeof *e, ph, e->e_phnum * sizeof *ph);
	for (int i = 0; i < e->e_phnum; i++)
		observe("segment type %u flags %u offset %lu at %lu filesz %lu memsz %lu", ph[i].p_type, ph[i].p_flags,
			ph[i].p_offset, ph[i].p_vaddr, ph[i].p_filesz, ph[i].p_memsz);
	if (aspace_new(&as) < 0)
		panic("no memory for the grader's address space");
	err = elf_load(as, &file.source, 0, &im);
	observe("load %d", err);
	if (!err)
		observe("entry %lu wanted %lu end %lu", im.entry, e->e_entry, im.brk);
	for (int i = 0; !err && i < e->e_phnum; i++)
		if (ph[i].p_type == PT_LOAD && ph[i].p_memsz)
			show_segment(as, &ph[i]);
	aspace_put(as);
}

OBSERVE(4, elf_segments)
{
	Elf64_Ehdr e;
	Elf64_Phdr ph[3];

	for (int i = 0; i < 150; i++) {
		file_make(below(256), FILE_MAX);
		elf_make(&e, ph);
		for (int n = i < 30 ? 0 : 1 + below(2); n > 0; n--)
			elf_spoil(&e, ph);
		elf_try(&e, ph);
	}
	observe("pages free %lu", page_count_free());
}
