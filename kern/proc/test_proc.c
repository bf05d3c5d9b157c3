/* test_proc.c - tests of lab 4 inside the kernel.                                              (lab 4) */
#include "kern/boot/ktest.h"
#include "kern/mem/kheap.h"
#include "kern/proc/archive.h"
#include "kern/proc/exec.h"
#include "kern/proc/random.h"
#include "kern/proc/sched.h"
#include "kern/proc/waitq.h"
#include "kern/trap/clock.h"
#include "kern/trap/syscall.h"
#include "lib/abi/elf.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

#define NTHREAD 8

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

/* Threads that have ended are freed by the next one: wait until as many are left as before. */
static void
wait_for_threads(int before)
{
	for (int i = 0; i < 1000 && thread_count() > before; i++)
		thread_sleep_until(clock_ns() + 1000000, false);
	CHECK_EQ(thread_count(), before);
}

/* Start n threads of fn(arg) and wait until they have ended. */
static void
run_threads(int n, void (*fn)(void *), void *arg)
{
	int before = thread_count();

	for (int i = 0; i < n; i++) {
		struct thread *t = thread_create("test", fn, arg);

		CHECK(t != NULL);
		if (t)
			thread_start(t);
	}
	wait_for_threads(before);
}

KTEST(4, proc_tids)
{
	int tid[100];

	for (int i = 0; i < 100; i++) {
		tid[i] = tid_alloc();
		CHECK(tid[i] > 1);
		for (int j = 0; j < i; j++)
			CHECK(tid[i] != tid[j]);
	}
	for (int i = 0; i < 100; i++)
		tid_free(tid[i]);
}

static void
add_one(void *arg)
{
	__atomic_add_fetch((int *)arg, 1, __ATOMIC_RELAXED);
}

KTEST(4, proc_thread_create)
{
	int n = 0;

	for (int i = 0; i < 20; i++)
		run_threads(NTHREAD, add_one, &n);
	CHECK_EQ(n, 20 * NTHREAD);
}

KTEST(4, proc_thread_destroy)
{
	int n = 0, before = thread_count();
	struct thread *t = thread_create("never", add_one, &n);

	CHECK_EQ(thread_count(), before + 1);
	thread_destroy(t);
	CHECK_EQ(thread_count(), before);
	CHECK_EQ(n, 0);
}

/* ---- mutexes ---- */

static struct mutex counter_lock = MUTEX(counter_lock, "test counter", RANK(4, 90));
static int counter;

static void
count_slowly(void *arg)
{
	(void)arg;
	for (int i = 0; i < 50; i++) {
		int c;

		mutex_lock(&counter_lock);
		c = counter;
		thread_yield();               /* everybody else runs into the held mutex */
		counter = c + 1;
		mutex_unlock(&counter_lock);
	}
}

KTEST(4, proc_mutex)
{
	counter = 0;
	run_threads(NTHREAD, count_slowly, NULL);
	CHECK_EQ(counter, NTHREAD * 50);
	CHECK(counter_lock.owner == NULL && !counter_lock.contended);
}

static int try_result;

static void
try_it(void *arg)
{
	(void)arg;
	try_result = mutex_trylock(&counter_lock);
	if (try_result)
		mutex_unlock(&counter_lock);
}

KTEST(4, proc_mutex_try)
{
	mutex_lock(&counter_lock);
	CHECK(mutex_held(&counter_lock));
	run_threads(1, try_it, NULL);
	CHECK_EQ(try_result, 0);
	mutex_unlock(&counter_lock);
	CHECK(!mutex_held(&counter_lock));
	run_threads(1, try_it, NULL);
	CHECK_EQ(try_result, 1);
}

/* ---- wait queues ---- */

/* A hand of cards that goes round: thread i waits for turn == i. Any lost wakeup stops it for good. */
struct ring_game {
	struct spinlock lock;
	struct waitq q;
	int turn, next_id, rounds;
};

static void
ring_player(void *arg)
{
	struct ring_game *g = arg;
	int me = __atomic_fetch_add(&g->next_id, 1, __ATOMIC_RELAXED);

	for (int i = 0; i < g->rounds; i++) {
		spin_lock(&g->lock);
		wait_event(&g->q, g->turn == me, &g->lock);
		g->turn = (g->turn + 1) % NTHREAD;
		waitq_wake_all(&g->q);
		spin_unlock(&g->lock);
	}
}

KTEST(4, proc_waitq_ring)
{
	struct ring_game g = { .rounds = 200 };

	spin_init(&g.lock, "ring game", RANK(4, 90));
	waitq_init(&g.q);
	run_threads(NTHREAD, ring_player, &g);
	CHECK_EQ(g.turn, 0);
	CHECK(waitq_empty(&g.q));
}

struct pair {
	struct waitq q;
	volatile uint32_t pings, pongs;
};

static void
ponger(void *arg)
{
	struct pair *p = arg;

	for (uint32_t i = 1; i <= 2000; i++) {
		wait_event(&p->q, p->pings >= i, (void *)NULL);
		p->pongs = i;
		waitq_wake_all(&p->q);
	}
}

/* The same without a lock: the barriers alone must do. */
KTEST(4, proc_waitq_atomics)
{
	struct pair p = { .pings = 0 };
	int before = thread_count();
	struct thread *t = thread_create("ponger", ponger, &p);

	waitq_init(&p.q);
	thread_start(t);
	for (uint32_t i = 1; i <= 2000; i++) {
		p.pings = i;
		waitq_wake_all(&p.q);
		wait_event(&p.q, p.pongs >= i, (void *)NULL);
	}
	wait_for_threads(before);
}

KTEST(4, proc_waitq_timeout)
{
	struct waitq q = WAITQ(q);
	uint64_t start = clock_ns();
	int err = wait_event_timeout(&q, false, (void *)NULL, start + 5000000);

	CHECK_EQ(err, -ETIMEDOUT);
	CHECK(clock_ns() - start >= 5000000);
	CHECK(waitq_empty(&q));
	CHECK_EQ(wait_event_timeout(&q, true, (void *)NULL, start), 0);
}

struct sleeper {
	struct waitq q;
	struct thread *thread;
	volatile int err;
};

static void
sleep_interruptibly(void *arg)
{
	struct sleeper *s = arg;

	s->err = wait_event_intr(&s->q, false, (void *)NULL);
}

KTEST(4, proc_waitq_interrupt)
{
	struct sleeper s = { .err = 1 };
	int before = thread_count();

	waitq_init(&s.q);
	s.thread = thread_create("sleeper", sleep_interruptibly, &s);
	thread_start(s.thread);
	thread_sleep_until(clock_ns() + 2000000, false);
	CHECK_EQ(s.err, 1);
	thread_interrupt(s.thread);
	wait_for_threads(before);
	CHECK_EQ(s.err, -ERESTARTSYS);
}

KTEST(4, proc_sleep)
{
	uint64_t start = clock_ns();

	CHECK_EQ(thread_sleep_until(start + 3000000, false), 0);
	CHECK(clock_ns() >= start + 3000000);
	CHECK_EQ(thread_sleep_until(start, true), 0);
}

/* ---- hostile bytes ---- */

#define PAD4(n) (((n) + 3) & ~3u)

/* Append an entry to a cpio archive under construction. */
static size_t
cpio_put(char *buf, size_t at, const char *name, const char *data)
{
	const char *hex = "0123456789abcdef";
	uint32_t field[13] = { [1] = 0100755, [6] = strlen(data), [11] = strlen(name) + 1 };

	memcpy(buf + at, "070701", 6);
	for (int i = 0; i < 13; i++)
		for (int d = 0; d < 8; d++)
			buf[at + 6 + 8 * i + d] = hex[field[i] >> (28 - 4 * d) & 15];
	at += 110;
	memcpy(buf + at, name, strlen(name) + 1);
	at = PAD4(at + strlen(name) + 1);
	memcpy(buf + at, data, strlen(data));
	return PAD4(at + strlen(data));
}

static int
cpio_walk(const char *buf, size_t n)
{
	struct archive_entry e;
	uint64_t pos = 0;
	int r, count = 0;

	while ((r = archive_parse(buf, n, &pos, &e)) == 1) {
		CHECK(e.name >= buf && e.name + e.namelen < buf + n);
		CHECK((const char *)e.data >= buf && (const char *)e.data + e.size <= buf + n);
		count++;
	}
	return r < 0 ? r : count;
}

KTEST(4, proc_archive)
{
	char *buf = kzalloc(1024), *bad = kmalloc(1024);
	size_t n = cpio_put(buf, 0, "./bin/sh", "hello");
	uint32_t r;

	n = cpio_put(buf, n, "init", "x");
	n = cpio_put(buf, n, "TRAILER!!!", "");
	CHECK_EQ(cpio_walk(buf, n), 2);
	for (size_t cut = 0; cut < n; cut++)
		cpio_walk(buf, cut);
	for (int i = 0; i < 3000; i++) {
		memcpy(bad, buf, 1024);
		for (int j = 0; j < 3; j++) {
			random_bytes(&r, sizeof r);
			bad[r % n] = r & 1 << 20 ? 'f' : (char)(r >> 24);
		}
		cpio_walk(bad, n);
	}
	kfree(bad);
	kfree(buf);
}

static long
mem_read(struct source *s, uint64_t off, void *buf, size_t n)
{
	if (off >= s->size)
		return 0;
	if (n > s->size - off)
		n = s->size - off;
	memcpy(buf, (char *)s->priv + off, n);
	return n;
}

static void
mem_put(struct source *s)
{
	(void)s;
}

static const struct source_ops mem_ops = { .read = mem_read, .put = mem_put };

static int
try_load(char *file, size_t n, struct elf_image *im)
{
	struct source s = { .ops = &mem_ops, .refs = 1, .size = n, .priv = file };
	struct aspace *as;
	int err = aspace_new(&as);

	CHECK_EQ(err, 0);
	if (err)
		return err;
	err = elf_load(as, &s, 0x10000000, im);
	aspace_put(as);
	return err;
}

static void
elf_make(char *file)
{
	Elf64_Ehdr *e = (Elf64_Ehdr *)file;
	Elf64_Phdr *ph = (Elf64_Phdr *)(file + sizeof *e);

	*e = (Elf64_Ehdr){ .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_EXEC, .e_machine = EM_X86_64, .e_entry = 0x400080, .e_phoff = sizeof *e,
		.e_phentsize = sizeof *ph, .e_phnum = 2 };
	ph[0] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_vaddr = 0x400000,
		.p_filesz = 512, .p_memsz = 512 };
	ph[1] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_offset = 512, .p_vaddr = 0x401200,
		.p_filesz = 100, .p_memsz = 9000 };
}

KTEST(4, proc_elf)
{
	char *file = kzalloc(1024);
	Elf64_Phdr *ph = (Elf64_Phdr *)(file + sizeof(Elf64_Ehdr));
	struct elf_image im;

	elf_make(file);
	CHECK_EQ(try_load(file, 1024, &im), 0);
	CHECK_EQ(im.entry, 0x400080);
	CHECK_EQ(im.phdr, 0x400000 + sizeof(Elf64_Ehdr));
	CHECK_EQ(im.brk, 0x404000);
	CHECK_EQ(try_load(file, 600, &im), -ENOEXEC);            /* data beyond the end */
	ph[1].p_flags |= PF_X;
	CHECK_EQ(try_load(file, 1024, &im), -ENOEXEC);           /* writable and executable */
	elf_make(file);
	ph[1].p_vaddr = 0x400200;
	CHECK_EQ(try_load(file, 1024, &im), -ENOEXEC);           /* overlap */
	elf_make(file);
	ph[1].p_memsz = -1ul;
	CHECK_EQ(try_load(file, 1024, &im), -ENOEXEC);
	elf_make(file);
	ph[1].p_vaddr = 0xffffffff80000200;
	CHECK_EQ(try_load(file, 1024, &im), -ENOEXEC);           /* the kernel's own memory */
	kfree(file);
}

KTEST(4, proc_elf_mutated)
{
	char *file = kzalloc(1024);
	struct elf_image im;
	uint32_t r;

	for (int i = 0; i < 1000; i++) {
		elf_make(file);
		for (int j = 0; j < 2; j++) {
			random_bytes(&r, sizeof r);
			file[r % (sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr))] ^= 1 << (r >> 24 & 7);
		}
		Elf64_Phdr *ph = (Elf64_Phdr *)(file + sizeof(Elf64_Ehdr));
		/* larger ones are valid, and slow */
		if (ph[0].p_memsz < 1 << 20 && ph[1].p_memsz < 1 << 20)
			try_load(file, 1024, &im);
	}
	kfree(file);
}

KTEST(4, proc_random)
{
	uint64_t a[16], b[16];

	random_bytes(a, sizeof a);
	random_bytes(b, sizeof b);
	CHECK(memcmp(a, b, sizeof a) != 0);
	CHECK(a[0] != a[1] && a[14] != a[15]);
}

/* ---- our own bugs, made on purpose: each ends in a panic ---- */

static struct mutex outer = MUTEX(outer, "outer test mutex", RANK(4, 95));
static struct mutex inner = MUTEX(inner, "inner test mutex", RANK(4, 94));
static struct spinlock test_spin = SPINLOCK("test spinlock", RANK(4, 96));

KTEST_MANUAL(4, mutex_order)
{
	mutex_lock(&inner);
	mutex_lock(&outer);                   /* the wrong way round, though nobody else holds either */
}

KTEST_MANUAL(4, mutex_twice)
{
	mutex_lock(&outer);
	mutex_lock(&outer);
}

KTEST_MANUAL(4, mutex_under_spinlock)
{
	spin_lock(&test_spin);
	mutex_lock(&outer);
}

KTEST_MANUAL(4, sleep_under_spinlock)
{
	spin_lock(&test_spin);
	thread_yield();
}
