/* part.c - partition tables: GPT with its backup, MBR with extended partitions.               (lab 6)
 *
 * Idea.       Sector 0 is an MBR. If one of its four entries has type 0xee, the real table is the GPT (UEFI
 *             2.10, chapter 5):
 *                 LBA 1: header --> entries (LBA 2..)        last LBA: the header again --> its own copy of
 *                 the entries
 *             Both header and entries carry a CRC; the copy at the end counts when the first is damaged.
 *             Otherwise the four entries are the partitions; an extended one holds a chain of further MBRs.
 * Interface.  part_scan. It neither knows disks nor keeps anything, so tables in memory can be tested as
 *             well.
 * Invariants. I1 whatever the sectors hold, at most PART_MAX partitions are reported, each non-empty, inside
 *             the disk, and disjoint from those before it.  I2 at most 2 + EBR_MAX single sectors and two
 *             entry tables are read.
 * Locks.      None.
 */
#include "kern/block/part.h"

#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

enum { SECTOR = 512, PART_MAX = 128, EBR_MAX = 64, ENTRIES_MAX = 4096, TABLE_MAX = 1 << 20 };
enum { TYPE_EXT_CHS = 0x05, TYPE_EXT_LBA = 0x0f, TYPE_EXT_LINUX = 0x85, TYPE_GPT = 0xee };

struct mbr_entry {
	uint8_t status, chs_first[3], type, chs_last[3];
	uint32_t start, nsectors;
} __attribute__((packed));

struct mbr {
	uint8_t code[440];
	uint32_t signature;
	uint16_t reserved;
	struct mbr_entry entry[4];
	uint16_t magic;            /* 0xaa55 */
} __attribute__((packed));
_Static_assert(sizeof(struct mbr) == SECTOR, "an MBR is one sector");

struct gpt_header {
	char signature[8];         /* "EFI PART" */
	uint32_t revision, size, crc, reserved;
	uint64_t here, other, first_usable, last_usable;
	uint8_t disk_guid[16];
	uint64_t entries_at;
	uint32_t nentries, entry_size, entries_crc;
} __attribute__((packed));
_Static_assert(sizeof(struct gpt_header) == 92, "UEFI 2.10, table 5.5");

struct gpt_entry {
	uint8_t type[16], guid[16];
	uint64_t first, last, attributes;
	uint16_t name[36];
} __attribute__((packed));
_Static_assert(sizeof(struct gpt_entry) == 128, "UEFI 2.10, table 5.6");

/* The scan's state: what is accepted so far, for the overlap check. */
struct scan {
	const struct part_source *s;
	uint8_t sector[SECTOR];
	int n;
	struct { uint64_t start, end; } used[PART_MAX];
};

static uint32_t crc_table[256];

/* CRC-32 (IEEE 802.3, reflected), continued from `crc`; 0 to begin. */
uint32_t
crc32(uint32_t crc, const void *data, size_t n)
{
	const uint8_t *p = data;

	if (!crc_table[1])
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t c = i;

			for (int bit = 0; bit < 8; bit++)
				c = c >> 1 ^ (c & 1 ? 0xedb88320 : 0);
			crc_table[i] = c;
		}
	crc = ~crc;
	while (n--)
		crc = crc >> 8 ^ crc_table[(crc ^ *p++) & 0xff];
	return ~crc;
}

/* The usual text of a GUID: the first three groups are little-endian numbers. */
void
guid_text(const uint8_t g[16], char text[37])
{
	static const uint8_t order[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };
	static const char hex[] = "0123456789abcdef";
	char *p = text;

	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = hex[g[order[i]] >> 4];
		*p++ = hex[g[order[i]] & 15];
	}
	*p = 0;
}

/* Check one partition (I1) and report it; a message and nothing else if it is refused. */
static void
part_accept(struct scan *c, struct part *p)
{
	const struct part_source *s = c->s;

	if (p->nsectors == 0 || p->start == 0 || p->start >= s->nsectors || p->nsectors > s->nsectors - p->start) {
		klog(LOG_WARN, "%s: partition %d lies outside the disk (%lu + %lu of %lu sectors), ignored\n",
		     s->name, p->number, p->start, p->nsectors, s->nsectors);
		return;
	}
	for (int i = 0; i < c->n; i++)
		if (p->start < c->used[i].end && c->used[i].start < p->start + p->nsectors) {
			klog(LOG_WARN, "%s: partition %d overlaps another one, ignored\n", s->name, p->number);
			return;
		}
	if (c->n == PART_MAX) {
		klog(LOG_WARN, "%s: more than %d partitions, the rest is ignored\n", s->name, PART_MAX);
		return;
	}
	c->used[c->n].start = p->start;
	c->used[c->n++].end = p->start + p->nsectors;
	s->found(s->arg, p);
}

/* ---- MBR ---- */

static bool
mbr_extended(uint8_t type)
{
	return type == TYPE_EXT_CHS || type == TYPE_EXT_LBA || type == TYPE_EXT_LINUX;
}

/* Walk the chain of an extended partition [ext, ext + len): each link holds one logical partition, relative
 * to the link, and the next link, relative to ext. Ends after EBR_MAX links whatever they say (I2). */
static int
mbr_logical(struct scan *c, uint64_t ext, uint64_t len, uint32_t sig)
{
	const struct mbr *m = (const struct mbr *)c->sector;
	uint64_t at = ext;
	int number = 5, err;

	for (int i = 0; i < EBR_MAX; i++) {
		if (at >= c->s->nsectors || at - ext >= len)
			break;
		err = c->s->read(c->s->arg, at, c->sector, 1);
		if (err)
			return err;
		if (m->magic != 0xaa55)
			break;
		if (m->entry[0].type && !mbr_extended(m->entry[0].type)) {
			struct part p = { .number = number++, .start = at + m->entry[0].start,
				.nsectors = m->entry[0].nsectors, .mbr_type = m->entry[0].type, .mbr_sig = sig };
			part_accept(c, &p);
		}
		if (!mbr_extended(m->entry[1].type) || m->entry[1].start == 0)
			return 0;
		at = ext + m->entry[1].start;
	}
	klog(LOG_WARN, "%s: the chain of logical partitions is damaged after %d\n", c->s->name, number - 5);
	return 0;
}

static int
mbr_scan(struct scan *c, const struct mbr *m)
{
	for (int i = 0; i < 4; i++) {
		const struct mbr_entry *e = &m->entry[i];
		struct part p = { .number = i + 1, .start = e->start, .nsectors = e->nsectors, .mbr_type = e->type,
			.mbr_sig = m->signature };

		if (e->type && e->nsectors && !mbr_extended(e->type))
			part_accept(c, &p);
	}
	for (int i = 0; i < 4; i++)
		if (mbr_extended(m->entry[i].type) && m->entry[i].start)
			return mbr_logical(c, m->entry[i].start, m->entry[i].nsectors, m->signature);
	return 0;
}

/* ---- GPT ---- */

/* Read and check the header at `lba`.
 *
 * Checks:  the signature; the size, at least that of our struct and at most a sector; the CRC over as many bytes,
 *          its own field taken as 0; that it is where it says; entries: a power of two from 128 to 4096 bytes
 *          each, 1 to ENTRIES_MAX of them, TABLE_MAX bytes at most, from LBA 2 on and inside the disk; the usable
 *          range: not empty, inside the disk.
 * Returns: NULL: it is good and in *h; else what is wrong with it.
 */
static const char *
gpt_header(struct scan *c, uint64_t lba, struct gpt_header *h)
{
	struct gpt_header *raw = (struct gpt_header *)c->sector;
	uint64_t bytes;
	uint32_t crc;

	if (lba >= c->s->nsectors || c->s->read(c->s->arg, lba, c->sector, 1))
		return "unreadable";
	memcpy(h, raw, sizeof *h);
	if (memcmp(h->signature, "EFI PART", 8) != 0)
		return "absent";
	if (h->size < sizeof *h || h->size > SECTOR)
		return "of a strange size";
	raw->crc = 0;
	crc = crc32(0, raw, h->size);
	if (crc != h->crc)
		return "damaged (CRC)";
	if (h->here != lba)
		return "not where it says";
	if (h->entry_size < sizeof(struct gpt_entry) || h->entry_size > 4096 ||
		h->entry_size & (h->entry_size - 1) ||
	    h->nentries == 0 || h->nentries > ENTRIES_MAX)
		return "describing strange entries";
	bytes = (uint64_t)h->nentries * h->entry_size;
	if (bytes > TABLE_MAX || h->entries_at < 2 || h->entries_at >= c->s->nsectors ||
	    (bytes + SECTOR - 1) / SECTOR > c->s->nsectors - h->entries_at)
		return "pointing outside the disk";
	if (h->first_usable > h->last_usable || h->last_usable >= c->s->nsectors)
		return "for a larger disk";
	return NULL;
}

/* Read and check the entries of a good header. NULL: in *table (kfree it); else what is wrong. */
static const char *
gpt_table(struct scan *c, const struct gpt_header *h, uint8_t **table)
{
	size_t bytes = (size_t)h->nentries * h->entry_size, nsect = (bytes + SECTOR - 1) / SECTOR;
	uint8_t *t = kmalloc(nsect * SECTOR);

	if (!t)
		return "too large for memory";
	if (c->s->read(c->s->arg, h->entries_at, t, nsect)) {
		kfree(t);
		return "unreadable";
	}
	if (crc32(0, t, bytes) != h->entries_crc) {
		kfree(t);
		return "damaged (CRC)";
	}
	*table = t;
	return NULL;
}

static void
gpt_entry(struct scan *c, const struct gpt_header *h, const struct gpt_entry *e, int number)
{
	static const uint8_t unused[16];
	struct part p = { .number = number, .start = e->first };

	if (memcmp(e->type, unused, 16) == 0)
		return;
	if (e->last < e->first || e->first < h->first_usable || e->last > h->last_usable) {
		klog(LOG_WARN, "%s: partition %d lies outside the usable part of the disk, ignored\n", c->s->name, number);
		return;
	}
	p.nsectors = e->last - e->first + 1;
	memcpy(p.type_guid, e->type, 16);
	memcpy(p.part_guid, e->guid, 16);
	for (int i = 0; i < 36 && e->name[i]; i++)
		p.label[i] = e->name[i] >= ' ' && e->name[i] < 127 ? e->name[i] : '?';
	part_accept(c, &p);
}

/* Use the header at `lba` if all of it is good. NULL, or what is wrong and with which part. */
static const char *
gpt_try(struct scan *c, uint64_t lba, const char **which)
{
	struct gpt_header h;
	const char *wrong;
	uint8_t *table;

	*which = "header";
	wrong = gpt_header(c, lba, &h);
	if (wrong)
		return wrong;
	*which = "table";
	wrong = gpt_table(c, &h, &table);
	if (wrong)
		return wrong;
	for (uint32_t i = 0; i < h.nentries; i++)
		gpt_entry(c, &h, (const struct gpt_entry *)(table + (size_t)i * h.entry_size), i + 1);
	kfree(table);
	return NULL;
}

static int
gpt_scan(struct scan *c)
{
	const char *wrong, *which;

	wrong = gpt_try(c, 1, &which);
	if (!wrong)
		return 0;
	klog(LOG_WARN, "%s: GPT %s is %s, trying the backup\n", c->s->name, which, wrong);
	wrong = gpt_try(c, c->s->nsectors - 1, &which);
	if (!wrong)
		return 0;
	klog(LOG_ERR, "%s: backup GPT %s is %s: no partitions\n", c->s->name, which, wrong);
	return -EINVAL;
}

/* Read the partition table of a disk and report each partition.
 *
 * Does:    GPT if the MBR says so, else MBR, else nothing (a disk without a table is fine). Entries that
 *          cannot be true are refused one by one with a message.
 * Returns: 0; -EINVAL: there is a table but it is damaged; -ENOMEM; or what read said. May sleep if read
 *          does.
 */
int
part_scan(const struct part_source *s)
{
	struct scan *c;
	struct mbr m;
	int err;

	if (s->nsectors < 2)
		return 0;
	c = kzalloc(sizeof *c);
	if (!c)
		return -ENOMEM;
	c->s = s;
	err = s->read(s->arg, 0, c->sector, 1);
	if (err)
		goto out;
	memcpy(&m, c->sector, sizeof m);
	if (m.magic != 0xaa55)
		goto out;
	for (int i = 0; i < 4; i++)
		if (m.entry[i].type == TYPE_GPT) {
			err = gpt_scan(c);
			goto out;
		}
	for (int i = 0; i < 4; i++)
		if (m.entry[i].status & 0x7f)    /* a boot sector of something else ends in 0xaa55 too */
			goto out;
	err = mbr_scan(c, &m);
out:
	kfree(c);
	return err;
}
