/* test_block.c - what lab 6 promises, checked inside the kernel.                              (lab 6)
 *
 * The partition parser is fed tables made in memory. Disks are read by all tests; written only by those that
 * find the kernel word testdisk= (vdb, sda, ...): its contents are lost.
 */
#include "kern/block/block.h"
#include "kern/block/part.h"
#include "kern/block/virtqueue.h"
#include "kern/boot/bootinfo.h"
#include "kern/boot/ktest.h"
#include "kern/mem/kheap.h"
#include "kern/trap/clock.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

/* ---- a disk in memory, for the parser ---- */

enum { MEM_SECTORS = 256 };

struct memdisk {
	uint8_t *data;
	int nfound;
	struct part found[16];
	int nread;
};

static int
mem_read(void *arg, uint64_t sector, void *buf, uint32_t n)
{
	struct memdisk *m = arg;

	m->nread++;
	if (sector >= MEM_SECTORS || n > MEM_SECTORS - sector)
		return -EIO;
	memcpy(buf, m->data + sector * 512, n * 512ul);
	return 0;
}

static void
mem_found(void *arg, const struct part *p)
{
	struct memdisk *m = arg;

	if (m->nfound < 16)
		m->found[m->nfound] = *p;
	m->nfound++;
}

static struct memdisk *
mem_new(void)
{
	struct memdisk *m = kzalloc(sizeof *m);

	if (m && !(m->data = kzalloc(MEM_SECTORS * 512))) {
		kfree(m);
		m = NULL;
	}
	if (m) {
		m->data[510] = 0x55;
		m->data[511] = 0xaa;
	}
	return m;
}

static int
mem_scan(struct memdisk *m)
{
	struct part_source s = { "test", MEM_SECTORS, mem_read, mem_found, m };

	m->nfound = m->nread = 0;
	return part_scan(&s);
}

static void
mem_free(struct memdisk *m)
{
	kfree(m->data);
	kfree(m);
}

static void
put32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, 4);
}

static void
put64(uint8_t *p, uint64_t v)
{
	memcpy(p, &v, 8);
}

/* Entry i of the MBR in `sector`. */
static void
mbr_put(struct memdisk *m, uint32_t sector, int i, uint8_t type, uint32_t start, uint32_t n)
{
	uint8_t *e = m->data + sector * 512 + 446 + 16 * i;

	e[4] = type;
	put32(e + 8, start);
	put32(e + 12, n);
	m->data[sector * 512 + 510] = 0x55;
	m->data[sector * 512 + 511] = 0xaa;
}

KTEST(6, part_mbr)
{
	struct memdisk *m = mem_new();

	CHECK(m != NULL);
	if (!m)
		return;
	mbr_put(m, 0, 0, 0x83, 8, 16);
	mbr_put(m, 0, 1, 0x83, 20, 8);             /* overlaps */
	mbr_put(m, 0, 2, 0x83, 200, 100);          /* past the end */
	mbr_put(m, 0, 3, 0x05, 64, 64);
	mbr_put(m, 64, 0, 0x83, 2, 10);            /* logical: 66..75 */
	mbr_put(m, 64, 1, 0x05, 16, 16);
	mbr_put(m, 80, 0, 0x07, 1, 5);             /* 81..85 */
	mbr_put(m, 80, 1, 0x05, 0, 0);
	CHECK_EQ(mem_scan(m), 0);
	CHECK_EQ(m->nfound, 3);
	CHECK_EQ(m->found[0].number, 1);
	CHECK_EQ(m->found[0].start, 8);
	CHECK_EQ(m->found[1].number, 5);
	CHECK_EQ(m->found[1].start, 66);
	CHECK_EQ(m->found[2].start, 81);
	CHECK_EQ(m->found[2].mbr_type, 7);
	mem_free(m);
}

KTEST(6, part_mbr_hostile)
{
	struct memdisk *m = mem_new();

	CHECK(m != NULL);
	if (!m)
		return;
	mbr_put(m, 0, 0, 0x0f, 64, 64);
	mbr_put(m, 64, 1, 0x05, 8, 8);             /* 72 -> 80 -> 72 ... */
	mbr_put(m, 72, 1, 0x05, 16, 8);
	mbr_put(m, 80, 1, 0x05, 8, 8);
	CHECK_EQ(mem_scan(m), 0);
	CHECK_EQ(m->nfound, 0);
	CHECK(m->nread < 100);
	mbr_put(m, 0, 0, 0x83, 0xffffffff, 0xffffffff);
	mbr_put(m, 0, 1, 0x83, 1, 0xffffffff);
	mbr_put(m, 0, 2, 0x83, 0, 10);
	CHECK_EQ(mem_scan(m), 0);
	CHECK_EQ(m->nfound, 0);
	memset(m->data, 0xff, 510);                /* everything is an extended-looking 0xff */
	CHECK_EQ(mem_scan(m), 0);
	CHECK_EQ(m->nfound, 0);
	mem_free(m);
}

/* A header at `here` for 8 entries at `table`; two partitions, 40..59 and 60..99. */
static void
gpt_put(struct memdisk *m, uint32_t here, uint32_t table)
{
	uint8_t *h = m->data + here * 512, *t = m->data + table * 512;

	memset(h, 0, 512);
	memset(t, 0, 1024);
	for (int i = 0; i < 2; i++) {
		memset(t + i * 128, 0x11 + i, 32);
		put64(t + i * 128 + 32, i ? 60 : 40);
		put64(t + i * 128 + 40, i ? 99 : 59);
		t[i * 128 + 56] = 'A' + i;
	}
	memcpy(h, "EFI PART", 8);
	put32(h + 8, 0x10000);
	put32(h + 12, 92);
	put64(h + 24, here);
	put64(h + 32, here == 1 ? MEM_SECTORS - 1 : 1);
	put64(h + 40, 34);
	put64(h + 48, MEM_SECTORS - 34);
	put64(h + 72, table);
	put32(h + 80, 8);
	put32(h + 84, 128);
}

static void
gpt_sign(struct memdisk *m, uint32_t here, uint32_t table)
{
	uint8_t *h = m->data + here * 512;

	put32(h + 88, crc32(0, m->data + table * 512, 1024));
	put32(h + 16, 0);
	put32(h + 16, crc32(0, h, 92));
}

KTEST(6, part_crc)
{
	CHECK_EQ(crc32(0, "123456789", 9), 0xcbf43926u);
	CHECK_EQ(crc32(crc32(0, "1234", 4), "56789", 5), 0xcbf43926u);
}

KTEST(6, part_gpt)
{
	struct memdisk *m = mem_new();

	CHECK(m != NULL);
	if (!m)
		return;
	mbr_put(m, 0, 0, 0xee, 1, 0xffffffff);
	gpt_put(m, 1, 2);
	gpt_sign(m, 1, 2);
	gpt_put(m, MEM_SECTORS - 1, MEM_SECTORS - 3);
	gpt_sign(m, MEM_SECTORS - 1, MEM_SECTORS - 3);
	CHECK_EQ(mem_scan(m), 0);
	CHECK_EQ(m->nfound, 2);
	CHECK_EQ(m->found[1].start, 60);
	CHECK_EQ(m->found[1].nsectors, 40);
	CHECK_EQ(m->found[1].type_guid[0], 0x12);
	CHECK(strcmp(m->found[1].label, "B") == 0);
	m->data[2 * 512 + 300]++;                  /* table damaged: the backup counts */
	CHECK_EQ(mem_scan(m), 0);
	CHECK_EQ(m->nfound, 2);
	m->data[(MEM_SECTORS - 1) * 512 + 40]++;   /* and the backup's header */
	CHECK_EQ(mem_scan(m), -EINVAL);
	CHECK_EQ(m->nfound, 0);
	mem_free(m);
}

/* Well signed, but lying. */
KTEST(6, part_gpt_hostile)
{
	static const struct { int off, len; uint64_t v; } lies[] = {
		{ 12, 4, 0 }, { 12, 4, 0xffffffff }, { 24, 8, 5 }, { 40, 8, 1ul << 60 }, { 48, 8, ~0ul }, { 72, 8, ~0ul },
		{ 72, 8, 0 },
		{ 80, 4, 0xffffffff }, { 80, 4, 0 }, { 84, 4, 1 }, { 84, 4, 0xffffffff }, { 84, 4, 0 },
	};
	struct memdisk *m = mem_new();

	CHECK(m != NULL);
	if (!m)
		return;
	mbr_put(m, 0, 0, 0xee, 1, 0xffffffff);
	for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
		gpt_put(m, 1, 2);
		memcpy(m->data + 512 + lies[i].off, &lies[i].v, lies[i].len);
		gpt_sign(m, 1, 2);
		CHECK_EQ(mem_scan(m), -EINVAL);
		CHECK_EQ(m->nfound, 0);
	}
	gpt_put(m, 1, 2);
	put64(m->data + 1024 + 40, 61);            /* overlapping: the second is refused */
	gpt_sign(m, 1, 2);
	CHECK_EQ(mem_scan(m), 0);
	CHECK_EQ(m->nfound, 1);
	gpt_put(m, 1, 2);
	put64(m->data + 1024 + 40, ~0ul);          /* outside: the first is refused */
	put64(m->data + 1024 + 128 + 32, 100);     /* first > last */
	gpt_sign(m, 1, 2);
	CHECK_EQ(mem_scan(m), 0);
	CHECK_EQ(m->nfound, 0);
	mem_free(m);
}

/* ---- a hostile VirtIO device ---- */

/* What the device would write. */
static void
device_use(struct virtq *q, uint16_t *idx, uint32_t id, uint32_t len)
{
	struct vring_used *u = (struct vring_used *)q->used;

	u->ring[*idx & (q->size - 1)].id = id;
	u->ring[*idx & (q->size - 1)].len = len;
	u->idx = ++*idx;
}

KTEST(6, virtqueue_order)
{
	struct virtq *q = kmalloc(sizeof *q);
	struct virtq_buf b[3] = { { 4096, 16 }, { 8192, 512 }, { 12288, 1 } };
	char cookie[6];
	uint16_t idx = 0;
	uint32_t len;

	CHECK(q && virtq_init(q, 16, false, true) == 0);
	if (!q)
		return;
	for (int i = 0; i < 5; i++)
		CHECK_EQ(virtq_add(q, b, 1, 2, &cookie[i], NULL), 0);
	CHECK_EQ(virtq_add(q, b, 1, 2, &cookie[5], NULL), -ENOSPC);
	CHECK(virtq_kick(q));
	CHECK(!virtq_kick(q));
	CHECK(virtq_get(q, &len) == NULL);
	device_use(q, &idx, q->avail->ring[3], 513);
	device_use(q, &idx, q->avail->ring[0], 1);
	CHECK(virtq_get(q, &len) == &cookie[3]);
	CHECK_EQ(len, 513);
	CHECK(virtq_get(q, &len) == &cookie[0]);
	CHECK(!virtq_more(q));
	CHECK_EQ(virtq_add(q, b, 1, 2, &cookie[5], NULL), 0);
	CHECK(!q->broken);
	virtq_free(q);
	kfree(q);
}

KTEST(6, virtqueue_hostile)
{
	static const struct { bool wrong_id; uint32_t id, len; int jump; } lies[] = {
		{ true, 16, 0, 0 }, { true, 0xffffffff, 0, 0 }, { true, 1, 0, 0 }, { false, 0, 514, 0 },
		{ false, 0, 0xffffffff, 0 },
		{ false, 0, 1, 7 },
	};
	struct virtq *q = kmalloc(sizeof *q);
	struct virtq_buf b[3] = { { 4096, 16 }, { 8192, 512 }, { 12288, 1 } };
	char cookie;
	uint32_t len;

	for (size_t i = 0; q && i < sizeof lies / sizeof *lies; i++) {
		uint16_t idx = 0;

		CHECK_EQ(virtq_init(q, 16, false, false), 0);
		CHECK_EQ(virtq_add(q, b, 1, 2, &cookie, NULL), 0);
		device_use(q, &idx, lies[i].wrong_id ? lies[i].id : q->avail->ring[0], lies[i].len);
		((struct vring_used *)q->used)->idx += lies[i].jump;
		CHECK(virtq_get(q, &len) == NULL);
		CHECK(q->broken);
		CHECK_EQ(virtq_add(q, b, 1, 2, &cookie, NULL), -EIO);
		CHECK(virtq_cancel(q) == &cookie);
		CHECK(virtq_cancel(q) == NULL);
		virtq_free(q);
	}
	kfree(q);
}

/* ---- disks ---- */

/* The same sectors, read one by one and at once, are the same. */
KTEST(6, block_read)
{
	uint8_t *a = kmalloc(64 * 512), *b = kmalloc(64 * 512);

	for (struct blockdev *d = NULL; a && b && (d = blockdev_next(d)); ) {
		uint32_t n = d->nsectors < 64 ? d->nsectors : 64;

		memset(a, 1, 64 * 512);
		memset(b, 2, 64 * 512);
		CHECK_EQ(block_rw(d, BIO_READ, 0, a, n), 0);
		for (uint32_t i = 0; i < n; i++)
			CHECK_EQ(block_rw(d, BIO_READ, i, b + i * 512, 1), 0);
		CHECK(memcmp(a, b, n * 512) == 0);
		CHECK_EQ(block_rw(d, BIO_READ, d->nsectors - 1, a, 1), 0);
	}
	kfree(a);
	kfree(b);
}

KTEST(6, block_bounds)
{
	uint8_t *a = kmalloc(4096);

	for (struct blockdev *d = NULL; a && (d = blockdev_next(d)); ) {
		CHECK_EQ(block_rw(d, BIO_READ, d->nsectors, a, 1), -EIO);
		CHECK_EQ(block_rw(d, BIO_READ, d->nsectors - 1, a, 2), -EIO);
		CHECK_EQ(block_rw(d, BIO_READ, ~0ul, a, 8), -EIO);
		CHECK_EQ(block_rw(d, BIO_READ, 0, a, 0), -EIO);
		CHECK_EQ(block_flush(d), 0);
	}
	kfree(a);
}

/* Partitions lie where the whole disk says. */
KTEST(6, block_partition)
{
	uint8_t *a = kmalloc(512), *b = kmalloc(512);

	for (struct blockdev *d = NULL; a && b && (d = blockdev_next(d)); ) {
		if (d->disk == d)
			continue;
		CHECK_EQ(block_rw(d, BIO_READ, 3, a, 1), 0);
		CHECK_EQ(block_rw(d->disk, BIO_READ, d->start + 3, b, 1), 0);
		CHECK(memcmp(a, b, 512) == 0);
		CHECK(blockdev_find(d->name) == d);
	}
	kfree(a);
	kfree(b);
}

static struct blockdev *
test_disk(void)
{
	char word[32];

	return cmdline_get("testdisk", word, sizeof word) > 0 ? blockdev_find(word) : NULL;
}

static void
pattern(uint8_t *p, size_t n, uint32_t seed)
{
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1664525 + 1013904223;
		p[i] = seed >> 24;
	}
}

KTEST(6, block_write)
{
	enum { BYTES = 2 << 20 };              /* more than any driver takes at once: split */
	struct blockdev *d = test_disk();
	uint8_t *a = kmalloc(BYTES), *b = kmalloc(BYTES);

	if (d && a && b)
		for (uint32_t at = 0; at < 3; at++) {
			pattern(a, BYTES, at);
			memset(b, 0, BYTES);
			CHECK_EQ(block_rw(d, BIO_WRITE, at * 7, a, BYTES / 512), 0);
			CHECK_EQ(block_flush(d), 0);
			CHECK_EQ(block_rw(d, BIO_READ, at * 7, b, BYTES / 512), 0);
			CHECK(memcmp(a, b, BYTES) == 0);
		}
	kfree(a);
	kfree(b);
}

struct batch { uint32_t left; int error; struct waitq q; };

static void
batch_done(struct bio *b)
{
	struct batch *t = b->arg;

	if (b->error)
		t->error = b->error;
	if (__atomic_sub_fetch(&t->left, 1, __ATOMIC_ACQ_REL) == 0)
		waitq_wake_all(&t->q);
}

enum { NBATCH = 300 };

/* NBATCH requests of one page each, page i at sector order(i), all in flight or merged. 0 or an error. */
static int
batch_run(struct blockdev *d, enum bio_op op, uint8_t *mem, uint32_t stride, bool plug)
{
	static struct batch t;
	static struct bio bios[NBATCH];
	static struct bio_vec vecs[NBATCH];

	t.left = NBATCH;
	t.error = 0;
	waitq_init(&t.q);
	if (plug)
		block_plug();
	for (uint32_t i = 0; i < NBATCH; i++) {
		uint32_t k = i * stride % NBATCH;

		vecs[i] = (struct bio_vec){ V2P(mem + k * 4096ul), 4096 };
		bios[i] = (struct bio){ .op = op, .sector = 8 * k, .nvec = 1, .vec = &vecs[i], .dev = d,
			.done = batch_done, .arg = &t };
		bio_submit(&bios[i]);
	}
	if (plug)
		block_unplug();
	while (__atomic_load_n(&t.left, __ATOMIC_ACQUIRE)) {
		if (current() && current() != this_cpu->idle && irq_enabled())
			wait_event(&t.q, !__atomic_load_n(&t.left, __ATOMIC_ACQUIRE), (void *)NULL);
		else
			d->disk->ops->poll(d->disk);
	}
	return t.error;
}

/* More requests than any queue holds, in a shuffled order, then in order and merged, and what each wrote the
 * other reads. */
KTEST(6, block_many)
{
	struct blockdev *d = test_disk();
	uint8_t *a = kmalloc(NBATCH * 4096ul), *b = kmalloc(NBATCH * 4096ul);

	if (d && a && b && d->nsectors >= NBATCH * 8)
		for (int plug = 0; plug < 2; plug++) {
			pattern(a, NBATCH * 4096ul, 77 + plug);
			memset(b, 0, NBATCH * 4096ul);
			CHECK_EQ(batch_run(d, BIO_WRITE, a, plug ? 1 : 7, plug), 0);
			CHECK_EQ(batch_run(d, BIO_READ, b, plug ? 7 : 1, !plug), 0);
			CHECK(memcmp(a, b, NBATCH * 4096ul) == 0);
		}
	kfree(a);
	kfree(b);
}

/* Many small pieces in one bio, of odd sizes, more than any driver takes at once. */
KTEST(6, block_pieces)
{
	enum { N = 400 };
	struct blockdev *d = test_disk();
	uint8_t *a = kmalloc(N * 1536ul), *b = kmalloc(N * 1536ul);
	struct bio_vec *v = kmalloc(N * sizeof *v);
	uint32_t sectors = 0;

	if (d && a && b && v) {
		struct bio r = { .op = BIO_WRITE, .sector = 5, .nvec = N, .vec = v, .dev = d };

		pattern(a, N * 1536ul, 99);
		for (int i = 0; i < N; i++) {
			v[i] = (struct bio_vec){ V2P(a + i * 1536ul), 512 * (1 + i % 3) };
			sectors += 1 + i % 3;
		}
		CHECK_EQ(bio_submit_wait(&r), 0);
		CHECK_EQ(block_rw(d, BIO_READ, 5, b, sectors), 0);
		for (uint32_t i = 0, at = 0; i < N; at += v[i].len, i++)
			CHECK(memcmp(b + at, a + i * 1536ul, v[i].len) == 0);
	}
	kfree(a);
	kfree(b);
	kfree(v);
}

/* Numbers for the bench: time per request. */
KTEST(6, block_speed)
{
	struct blockdev *d = test_disk();
	uint8_t *a = kmalloc(1 << 20);
	uint64_t t;

	if (d && a && d->nsectors >= 16 * 2048) {
		t = clock_ns();
		for (int i = 0; i < 256; i++)
			CHECK_EQ(block_rw(d, BIO_READ, i * 8, a, 8), 0);
		kprintf("block: 4 KiB at depth 1: %lu ns\n", (clock_ns() - t) / 256);
		t = clock_ns();
		for (int i = 0; i < 16; i++)
			CHECK_EQ(block_rw(d, BIO_READ, i * 2048, a, 2048), 0);
		kprintf("block: 1 MiB sequential: %lu ns per KiB\n", (clock_ns() - t) / 16384);
	}
	kfree(a);
}
