/* observe_block.c - lab 6 shown to the grader: disks that it made, and a driver that takes notes.  (lab 6)
 *
 * Idea.       Real disks are read and written at random places; the judge has their images. A disk of our own
 *             holds every request back and says what it was asked: the judge sees how the layer checks, cuts
 *             and joins. What should come out is known to the judge (labs/06-block/test_block.py), which draws
 *             every input again: what is drawn here depends on the seed and on nothing that is judged, and
 *             in an order that C prescribes.
 * Interface.  OBSERVE (kern/boot/observe.h).
 */
#include "kern/block/block.h"
#include "kern/block/part.h"
#include "kern/boot/observe.h"
#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

enum { OP_PIECES = 48, OP_SECTORS = 300 };

/* ---- what disks there are ---- */

OBSERVE(6, disks)
{
	for (struct blockdev *d = NULL; (d = blockdev_next(d)); ) {
		char type[37], part[37];

		guid_text(d->type_guid, type);
		guid_text(d->part_guid, part);
		observe("%s sectors %lu start %lu of %s number %u readonly %d", d->name, d->nsectors, d->start,
			d->disk->name, d->part_number, d->readonly);
		observe("%s mbr %02x %08x type %s guid %s label [%s]", d->name, d->mbr_type, d->mbr_sig, type, part,
			d->part_label);
	}
}

/* ---- reading and writing them ---- */

/* Adler-32, continued from `sum`; 1 to begin. */
static uint32_t
adler(uint32_t sum, const uint8_t *p, size_t n)
{
	uint32_t a = sum & 0xffff, b = sum >> 16;

	for (size_t i = 0; i < n; i++) {
		a = (a + p[i]) % 65521;
		b = (b + a) % 65521;
	}
	return b << 16 | a;
}

/* Pieces for n sectors, all over the buffer. */
static uint32_t
pieces_make(struct bio_vec *vec, uint8_t *buf, uint32_t n)
{
	uint32_t nvec = 0;

	for (uint32_t at = 0; at < n; nvec++) {
		uint32_t len = 1 + observe_below(observe_below(4) ? 4 : n);

		if (len > n - at || nvec == OP_PIECES - 1)
			len = n - at;
		/* what comes first on the disk lies last in memory */
		vec[nvec] = (struct bio_vec){ V2P(buf + (n - at - len) * SECTOR_SIZE), len * SECTOR_SIZE };
		at += len;
	}
	return nvec;
}

/* Every sector says which it is. */
static void
pieces_fill(const struct bio_vec *vec, uint32_t nvec, uint64_t seed)
{
	for (uint32_t i = 0; i < nvec; i++) {
		uint64_t *p = P2V(vec[i].phys);

		for (uint32_t k = 0; k < vec[i].len / 8; k += 64, seed += 0x9e3779b97f4a7c15ul)
			for (int j = 0; j < 64; j++)
				p[k + j] = seed + j;
	}
}

static uint32_t
pieces_sum(const struct bio_vec *vec, uint32_t nvec)
{
	uint32_t sum = 1;

	for (uint32_t i = 0; i < nvec; i++)
		sum = adler(sum, P2V(vec[i].phys), vec[i].len);
	return sum;
}

/* The device before whose name i others come in the alphabet. */
static struct blockdev *
device_at(uint64_t i)
{
	struct blockdev *d = NULL;

	while ((d = blockdev_next(d))) {
		uint64_t before = 0;

		for (struct blockdev *e = NULL; (e = blockdev_next(e)); )
			before += strcmp(e->name, d->name) < 0;
		if (before == i)
			break;
	}
	return d;
}

static void
disk_op(struct blockdev *d, bool writes, uint8_t *buf, struct bio_vec *vec)
{
	uint64_t most = d->nsectors < OP_SECTORS ? d->nsectors : OP_SECTORS;
	uint32_t n = 1 + observe_below(observe_below(3) ? most : most < 8 ? most : 8);
	uint64_t sector = observe_below(d->nsectors - n + 1), seed = observe_random();
	enum bio_op op = writes && observe_below(2) ? BIO_WRITE : BIO_READ;
	struct bio b = { .op = op, .sector = sector, .vec = vec, .dev = d };

	b.nvec = pieces_make(vec, buf, n);
	memset(buf, 0x5a, n * SECTOR_SIZE);
	if (b.op == BIO_WRITE)
		pieces_fill(vec, b.nvec, seed);
	if (bio_submit_wait(&b))
		observe("%s %s %lu+%u: error %d", b.op == BIO_WRITE ? "write" : "read", d->name, sector, n, b.error);
	else if (b.op == BIO_WRITE)
		observe("write %s %lu+%u: seed %lu", d->name, sector, n, seed);
	else
		observe("read %s %lu+%u: sum %u", d->name, sector, n, pieces_sum(vec, b.nvec));
}

/* arg: steps, whether some are writes. */
OBSERVE(6, disk_io)
{
	static struct bio_vec vec[OP_PIECES];
	uint8_t *buf = kmalloc(OP_SECTORS * SECTOR_SIZE);
	uint64_t n = 0;

	for (struct blockdev *d = NULL; (d = blockdev_next(d)); )
		n++;
	for (uint64_t i = observe_number(0); i > 0 && n && buf; i--) {
		struct blockdev *d = device_at(observe_below(n));

		if (d)
			disk_op(d, observe_number(1), buf, vec);
	}
	for (struct blockdev *d = NULL; (d = blockdev_next(d)); )
		observe("flush %s: %d", d->name, block_flush(d));
	kfree(buf);
}

/* ---- many at once ---- */

enum { BATCH = 160, SLOT = 8 };          /* more than fit into a queue; sectors for each */

static struct { uint32_t left; struct waitq q; } batch;

static void
batch_done(struct bio *b)
{
	(void)b;
	if (__atomic_sub_fetch(&batch.left, 1, __ATOMIC_ACQ_REL) == 0)
		waitq_wake_all(&batch.q);
}

/* Every slot once, in a random order, part of the time plugged. */
static void
batch_run(struct blockdev *d, enum bio_op op, uint8_t *mem, struct bio *bios, struct bio_vec *vec)
{
	uint32_t stride = 1 + 2 * observe_below(BATCH / 2), plugged = 0;

	while (BATCH % 5 == 0 && stride % 5 == 0)
		stride += 2;
	batch.left = BATCH;
	for (uint32_t i = 0; i < BATCH; i++) {
		uint32_t k = i * stride % BATCH;

		if (plugged == 0 && observe_below(8) == 0) {
			block_plug();
			plugged = 1 + observe_below(40);
		}
		vec[k] = (struct bio_vec){ V2P(mem + k * SLOT * SECTOR_SIZE), SLOT * SECTOR_SIZE };
		bios[k] = (struct bio){ .op = op, .sector = k * SLOT, .nvec = 1, .vec = &vec[k], .dev = d,
			.done = batch_done };
		bio_submit(&bios[k]);
		if (plugged && --plugged == 0)
			block_unplug();
	}
	if (plugged)
		block_unplug();
	wait_event(&batch.q, !__atomic_load_n(&batch.left, __ATOMIC_ACQUIRE), (void *)NULL);
}

OBSERVE(6, disk_batch)
{
	struct blockdev *d = blockdev_next(NULL);
	uint8_t *mem = kmalloc(BATCH * SLOT * SECTOR_SIZE);
	struct bio *bios = kzalloc(BATCH * sizeof *bios);
	struct bio_vec *vec = kzalloc(BATCH * sizeof *vec);
	uint64_t seed = observe_random();

	waitq_init(&batch.q);
	for (int write = 1; write >= 0 && mem && bios && vec; write--) {
		for (uint32_t i = 0; i < BATCH; i++) {
			vec[i] = (struct bio_vec){ V2P(mem + i * SLOT * SECTOR_SIZE), SLOT * SECTOR_SIZE };
			pieces_fill(&vec[i], 1, write ? seed + i : 0);
		}
		batch_run(d, write ? BIO_WRITE : BIO_READ, mem, bios, vec);
		for (uint32_t i = 0; i < BATCH; i++)
			observe("%s %u: error %d sum %u", write ? "write" : "read", i, bios[i].error, pieces_sum(&vec[i], 1));
	}
	observe("seed %lu", seed);
}

/* ---- a disk that holds everything back ---- */

enum { HELD = 64, SERIALS = 32 };

static struct fake {
	struct blockdev d;
	uint8_t first[SECTOR_SIZE];        /* what sector 0 holds: its partition table */
	bool up;                           /* the table has been read */
	struct bio *held[HELD];
	int nheld;
	uint64_t bad;                      /* requests with this sector fail; ~0: none */
} fakes[2];

static void
fake_submit(struct blockdev *d, struct bio *b)
{
	struct fake *f = d->drv;
	uint64_t bytes = 0;

	if (!f->up) {
		memcpy(P2V(b->vec[0].phys), f->first, SECTOR_SIZE);
		bio_complete(b, 0);
		return;
	}
	for (uint32_t i = 0; i < b->nvec; i++)
		bytes += b->vec[i].len;
	observe("driver %s op %d sector %lu count %u pieces %u bytes %lu", d->disk->name, b->op, b->disk_sector,
		b->nsect, b->nvec, bytes);
	if (f->nheld < HELD)
		f->held[f->nheld++] = b;
}

static void
fake_kick(struct blockdev *d)
{
	if (((struct fake *)d->drv)->up)
		observe("kick %s", d->disk->name);
}

static const struct blockdev_ops fake_ops = { .submit = fake_submit, .kick = fake_kick, .poll = fake_kick };

/* A disk of n sectors with partitions 1 (start, len) and 2, read-only perhaps. */
static struct fake *
fake_new(int i, uint64_t n, uint32_t max_vec, uint32_t max_sectors, bool readonly)
{
	struct fake *f = &fakes[i];
	uint32_t start = 1 + observe_below(n / 4), len = 1 + observe_below(n / 4);
	uint32_t table[2][4] = { { 0, 0x83, start, len }, { 0, 0x83, n / 2 + start, len } };

	memcpy(f->first + 446, table, sizeof table);
	f->first[510] = 0x55;
	f->first[511] = 0xaa;
	f->bad = ~0ul;
	f->d.nsectors = n;
	f->d.max_vec = max_vec;
	f->d.max_sectors = max_sectors;
	f->d.readonly = readonly;
	f->d.has_flush = true;
	f->d.ops = &fake_ops;
	f->d.drv = f;
	if (blockdev_register(&f->d, "sd"))
		panic("the grader's disk was not taken");
	f->up = true;
	for (struct blockdev *d = NULL; (d = blockdev_next(d)); )
		if (d->disk == &f->d)
			observe("disk %s start %lu sectors %lu readonly %d", d->name, d->start, d->nsectors, d->readonly);
	return f;
}

static bool
fake_fails(const struct fake *f, const struct bio *b)
{
	return b->op != BIO_FLUSH && b->disk_sector <= f->bad && f->bad < b->disk_sector + b->nsect;
}

/* Complete what is held, in any order, and what comes when that is done. */
static void
fake_finish(void)
{
	for (struct fake *f = fakes; f < fakes + 2; f++)
		while (f->nheld) {
			int i = observe_below(f->nheld);
			struct bio *b = f->held[i];

			f->held[i] = f->held[--f->nheld];
			bio_complete(b, fake_fails(f, b) ? -EIO : 0);
		}
}

static void
told_done(struct bio *b)
{
	observe("done %lu: %d", (uint64_t)b->arg, b->error);
}

/* 0 to 5: one of our disks, whole, or partition 1 or 2 of it. */
static struct blockdev *
fake_device(int i)
{
	struct blockdev *d = NULL;

	while ((d = blockdev_next(d)))
		if (d->disk == &fakes[i / 3].d && d->part_number == i % 3)
			return d;
	panic("the grader's disk has no partition %d", i % 3);
}

/* ---- what may be asked ---- */

static uint64_t
random_sector(const struct blockdev *d, uint32_t n)
{
	switch (observe_below(6)) {
	case 0: return d->nsectors - n;
	case 1: return d->nsectors - n + 1 + observe_below(3);
	case 2: return d->nsectors + observe_below(2) * d->start;
	case 3: return -(uint64_t)(1 + observe_below(2 * n));
	case 4: return 0 - d->start;                    /* wraps around to the disk's first */
	}
	return observe_below(d->nsectors);
}

static uint32_t
random_len(void)
{
	switch (observe_below(12)) {
	case 0: return observe_below(SECTOR_SIZE);
	case 1: return SECTOR_SIZE + 1 + observe_below(SECTOR_SIZE);
	case 2: return -(uint32_t)SECTOR_SIZE;          /* two of these are more than 32 bits */
	}
	return SECTOR_SIZE * (1 + observe_below(8));
}

static void
check_one(uint64_t serial)
{
	struct bio_vec vec[4];
	struct bio b = { .vec = vec, .done = told_done, .arg = (void *)serial };
	uint64_t bytes = 0;
	uint32_t n;

	b.op = observe_below(8) ? observe_below(2) : BIO_FLUSH;
	b.dev = fake_device(observe_below(6));
	b.nvec = observe_below(12) ? 1 + observe_below(3) : 0;
	for (uint32_t i = 0; i < b.nvec; i++) {
		vec[i] = (struct bio_vec){ (1 + i) << 24, random_len() };
		bytes += vec[i].len;
	}
	n = bytes / SECTOR_SIZE ? bytes / SECTOR_SIZE : 1;
	b.sector = random_sector(b.dev, n);
	observe("bio %lu on %s op %d sector %lu pieces %u: %u %u %u gone %d", serial, b.dev->name, b.op, b.sector,
		b.nvec, b.nvec > 0 ? vec[0].len : 0, b.nvec > 1 ? vec[1].len : 0, b.nvec > 2 ? vec[2].len : 0,
		b.dev->disk->gone);
	bio_submit(&b);
	fake_finish();
}

OBSERVE(6, bio_checks)
{
	for (int i = 0; i < 2; i++)
		fake_new(i, (1ul << 25) + observe_below(1ul << 30), 16, -1, i == 1);
	for (uint64_t serial = 0; serial < 300; serial++) {
		if (serial == 280)
			blockdev_gone(&fakes[observe_below(2)].d);
		check_one(serial);
	}
}

/* ---- neighbours ---- */

/* What one bio asks for. The bio belongs to the layer while it is out, so this is kept apart. */
struct ask {
	enum bio_op op;
	struct blockdev *dev;
	uint64_t sector;
	uint32_t n;                        /* sectors */
};

/* Often continues the one before. */
static void
ask_draw(struct ask *a, const struct ask *last, struct bio_vec *vec, uint32_t nvec, uint32_t most)
{
	bool follows = last && observe_below(5);

	a->op = last && observe_below(6) ? last->op : observe_below(2);
	a->dev = follows ? last->dev : fake_device(observe_below(6));
	if (follows && a->dev->disk == a->dev && observe_below(4) == 0)
		a->dev = &fakes[a->dev == &fakes[0].d].d;        /* the next sector, but of the other disk */
	a->n = 0;
	for (uint32_t i = 0; i < nvec; i++) {
		uint32_t len = 1 + observe_below(most);

		vec[i] = (struct bio_vec){ (1 + observe_below(4)) << 20, SECTOR_SIZE * len };
		a->n += len;
	}
	a->sector = follows ? last->sector + last->n + (observe_below(8) == 0) : observe_below(a->dev->nsectors / 2);
	if (a->sector + a->n > a->dev->nsectors)
		a->sector = 0;
	if (observe_below(16) == 0)
		*a = (struct ask){ .op = BIO_FLUSH, .dev = a->dev };
}

static void
merge_round(uint64_t serial, uint32_t most_vec, uint32_t most, bool fails)
{
	static struct bio bios[SERIALS];
	static struct bio_vec vec[SERIALS][4];
	static struct ask asks[SERIALS];
	int n = 4 + observe_below(SERIALS - 4);

	block_plug();
	for (int i = 0; i < n; i++) {
		struct ask *last = i && asks[i - 1].op != BIO_FLUSH ? &asks[i - 1] : NULL, *a = &asks[i];
		uint32_t nvec = 1 + observe_below(most_vec);

		ask_draw(a, last, vec[i], nvec, most / most_vec);
		if (a->op == BIO_FLUSH)
			nvec = 0;
		bios[i] = (struct bio){ .op = a->op, .dev = a->dev, .sector = a->sector, .nvec = nvec,
			.vec = nvec ? vec[i] : NULL, .done = told_done, .arg = (void *)(serial + i) };
		observe("bio %lu on %s op %d sector %lu count %u pieces %u", serial + i, a->dev->name, a->op,
			a->sector, a->n, nvec);
		bio_submit(&bios[i]);
	}
	for (int i = 0; i < 2; i++) {
		const struct ask *a = &asks[observe_below(n)];

		fakes[i].bad = fails && a->dev->disk == &fakes[i].d ? a->dev->start + a->sector : ~0ul;
		observe("bad %s %lu", fakes[i].d.name, fakes[i].bad);
	}
	observe("unplug");
	block_unplug();
	observe("finish");
	fake_finish();
}

/* arg: pieces and sectors that the driver takes at most, those of one bio at most, whether some fail. */
OBSERVE(6, merging)
{
	for (int i = 0; i < 2; i++)
		fake_new(i, 4096 + observe_below(4096), observe_number(0), observe_number(1), false);
	for (int round = 0; round < 12; round++) {
		observe("round");
		merge_round(100 * round, observe_number(2), observe_number(3), observe_number(4));
	}
}
