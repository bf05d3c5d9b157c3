/* ata.c - IDE disks: ATA by registers (PIO) and by bus-master DMA (ATA/ATAPI-6; Bus Master IDE 1.0).   (lab
 * 6)
 *
 * Idea.       A controller has two channels, a channel two drives and one set of registers: so one command at
 *             a time per channel, the rest waits in its queue. Two ways to move the data:
 *                 DMA: a table of (address, length) pieces; the controller moves all, one interrupt at the
 *                 end PIO: we move each sector through the data register, one interrupt per sector
 *             DMA where controller and drive can, and the memory lies below 4 GiB; PIO for the rest (kernel
 *             word ata=pio: always).
 *                 IDLE --chan_start--> command --interrupt--> (PIO: next sector) ... --chan_end--> IDLE, next
 *                 bio
 * Interface.  A blockdev (ops below) per drive.
 * Invariants. I1 c->active is the bio whose command the channel executes, NULL: idle; then the queue is
 *             empty.
 *             I2 nothing waits for a drive without an end: registers WAIT_NS, commands STALL_NS; then the
 *             channel is reset
 *                and the request fails; a channel that stays busy takes its disks away.
 * Locks.      c->lock guards a channel; never held across bio_complete.
 */
#include "kern/block/block.h"
#include "kern/block/pci.h"
#include "kern/boot/bootinfo.h"
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "kern/trap/apic.h"
#include "kern/trap/clock.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

/* Command block registers, from the channel's base. */
enum { R_DATA = 0, R_FEATURES = 1, R_COUNT = 2, R_LBA0 = 3, R_LBA1 = 4, R_LBA2 = 5, R_DEVICE = 6,
	R_STATUS = 7, R_COMMAND = 7 };
enum { S_ERR = 1, S_DRQ = 8, S_DF = 0x20, S_BSY = 0x80 };
enum { CTL_NIEN = 2, CTL_SRST = 4 };
enum { DEV_LBA = 0x40, DEV_SLAVE = 0x10 };
enum { C_READ = 0x20, C_READ_EXT = 0x24, C_READ_DMA_EXT = 0x25, C_WRITE = 0x30, C_WRITE_EXT = 0x34,
	C_WRITE_DMA_EXT = 0x35,
	C_READ_DMA = 0xc8, C_WRITE_DMA = 0xca, C_FLUSH = 0xe7, C_FLUSH_EXT = 0xea, C_IDENTIFY = 0xec };
/* Bus master registers, from the channel's base. */
enum { BM_COMMAND = 0, BM_STATUS = 2, BM_TABLE = 4 };
enum { BM_START = 1, BM_READ = 8 };                      /* command; READ: the controller writes memory */
enum { BM_ERROR = 2, BM_IRQ = 4 };                       /* status; written ones clear */

/* pieces: 128, and one cut per 64 KiB of 512 KiB, so 136 at most */
enum { MAX_VEC = 128, MAX_SECTORS = 1024, NPRD = 256 };
#define WAIT_NS  (NSEC / 2)
#define WATCH_NS (2 * NSEC)
#define STALL_NS (30 * NSEC)

struct prd {
	uint32_t addr;
	uint16_t len;              /* 0: 64 KiB */
	uint16_t flags;            /* 0x8000: last */
};

struct drive {
	struct blockdev bd;        /* [I] drv: the drive */
	struct channel *c;         /* [I] */
	bool slave, lba48, dma;    /* [I] */
};

/* key: I immutable after the probe; l lock */
struct channel {
	struct spinlock lock;
	struct bio *active;        /* [l] I1 */
	struct list queue;         /* [l] */
	bool active_dma;           /* [l] */
	uint32_t vec, off, left;   /* [l] PIO: where the next sector goes, sectors not yet moved */
	uint64_t started;          /* [l] */
	int timeouts;              /* [l] since the last command that ended by itself */
	bool watching, dead;       /* [l] */

	uint16_t base, ctl, bm;    /* [I] bm 0: none */
	struct drive drive[2];     /* [I] c NULL: absent */
	struct timer watch;
};

#define NCHANNEL 4
static struct channel channels[NCHANNEL];
static int nchannels;
/* In the kernel's image: below 4 GiB and physically where KERNBASE says; a table must not cross 64 KiB. */
static struct prd tables[NCHANNEL][NPRD] __attribute__((aligned(4096)));
_Static_assert(sizeof(struct prd) == 8 && sizeof tables[0] <= 4096, "a table fits a page");

/* ---- registers ---- */

static uint8_t
status(struct channel *c)
{
	return inb(c->base + R_STATUS);
}

/* Wait until BSY is clear and the bits of `want` are set, or an error shows. Returns: the status, or
 * -ETIMEDOUT (I2). */
static int
status_wait(struct channel *c, uint8_t want)
{
	uint64_t end = 0;

	for (;;) {
		uint8_t s = status(c);

		if (s == 0xff)
			return -ETIMEDOUT;
		if (!(s & S_BSY) && ((s & want) == want || s & (S_ERR | S_DF)))
			return s;
		if (!end)
			end = clock_ns() + WAIT_NS;
		else if (clock_ns() > end)
			return -ETIMEDOUT;
		cpu_relax();
	}
}

/* Select a drive and give it the 400 ns that it may take to answer (ATA-6, 9.2: four reads of the alternate
 * status). */
static void
drive_select(struct channel *c, uint8_t device)
{
	outb(c->base + R_DEVICE, device);
	for (int i = 0; i < 4; i++)
		inb(c->ctl);
}

static void
sector_in(struct channel *c, void *p)
{
	uint64_t n = SECTOR_SIZE / 2;

	asm volatile("rep insw" : "+D"(p), "+c"(n) : "d"(c->base + R_DATA) : "memory");
}

static void
sector_out(struct channel *c, const void *p)
{
	uint64_t n = SECTOR_SIZE / 2;

	asm volatile("rep outsw" : "+S"(p), "+c"(n) : "d"(c->base + R_DATA) : "memory");
}

/* ---- one command ---- */

/* Fill the table for bus-master DMA. false: memory that DMA cannot reach, or odd pieces. */
static bool
prd_fill(struct channel *c, const struct bio *b)
{
	struct prd *t = tables[c - channels];
	int n = 0;

	for (uint32_t i = 0; i < b->nvec; i++) {
		uint64_t at = b->vec[i].phys, end = at + b->vec[i].len;

		if (end > 1ul << 32 || at & 1)
			return false;
		while (at < end) {
			uint64_t cut = (at | 0xffff) + 1;

			cut = cut < end ? cut : end;
			if (n == NPRD)
				return false;
			t[n++] = (struct prd){ at, cut - at, 0 };
			at = cut;
		}
	}
	t[n - 1].flags = 0x8000;
	return true;
}

/* Write sector count, address and command: LBA48 where the drive has it, else LBA28 (ATA-6, 6.2). */
static void
command_write(struct channel *c, struct drive *d, uint64_t lba, uint32_t n, uint8_t cmd)
{
	uint8_t device = DEV_LBA | (d->slave ? DEV_SLAVE : 0);

	drive_select(c, d->lba48 ? device : device | (lba >> 24 & 15));
	if (d->lba48) {
		outb(c->base + R_COUNT, n >> 8);
		outb(c->base + R_LBA0, lba >> 24);
		outb(c->base + R_LBA1, lba >> 32);
		outb(c->base + R_LBA2, lba >> 40);
	}
	outb(c->base + R_COUNT, n);
	outb(c->base + R_LBA0, lba);
	outb(c->base + R_LBA1, lba >> 8);
	outb(c->base + R_LBA2, lba >> 16);
	outb(c->base + R_COMMAND, cmd);
}

static uint8_t
command_of(const struct drive *d, enum bio_op op, bool dma)
{
	if (op == BIO_FLUSH)
		return d->lba48 ? C_FLUSH_EXT : C_FLUSH;
	if (op == BIO_READ)
		return dma ? d->lba48 ? C_READ_DMA_EXT : C_READ_DMA : d->lba48 ? C_READ_EXT : C_READ;
	return dma ? d->lba48 ? C_WRITE_DMA_EXT : C_WRITE_DMA : d->lba48 ? C_WRITE_EXT : C_WRITE;
}

/* Move the next sector of the active bio through the data register. Requires: lock; DRQ seen; c->left > 0. */
static void
sector_move(struct channel *c)
{
	struct bio *b = c->active;
	char *p = (char *)P2V(b->vec[c->vec].phys) + c->off;

	if (b->op == BIO_READ)
		sector_in(c, p);
	else
		sector_out(c, p);
	c->left--;
	c->off += SECTOR_SIZE;
	if (c->off == b->vec[c->vec].len) {
		c->off = 0;
		c->vec++;
	}
}

/* Start the active bio's command. Requires: lock. 0, or -EIO when the drive does not take it. */
static int
command_start(struct channel *c)
{
	struct bio *b = c->active;
	struct drive *d = b->dev->drv;
	int s;

	c->active_dma = d->dma && b->op != BIO_FLUSH && prd_fill(c, b);
	c->vec = c->off = 0;
	c->left = b->op == BIO_FLUSH ? 0 : b->nsect;
	c->started = clock_ns();
	if (status_wait(c, 0) < 0)
		return -EIO;
	if (c->active_dma) {
		outl(c->bm + BM_TABLE, (uint64_t)tables[c - channels] - KERNBASE);
		outb(c->bm + BM_COMMAND, b->op == BIO_READ ? BM_READ : 0);
		outb(c->bm + BM_STATUS, inb(c->bm + BM_STATUS) | BM_ERROR | BM_IRQ);
	}
	command_write(c, d, b->disk_sector, b->nsect, command_of(d, b->op, c->active_dma));
	if (c->active_dma)
		outb(c->bm + BM_COMMAND, (b->op == BIO_READ ? BM_READ : 0) | BM_START);
	else if (b->op == BIO_WRITE) {
		s = status_wait(c, S_DRQ);
		if (s < 0 || s & (S_ERR | S_DF))
			return -EIO;
		sector_move(c);
	}
	return 0;
}

/* ---- the channel's queue ---- */

/* The active bio is finished: it goes to `done`, and the next one that can be started becomes active (I1).
 * Requires: lock. */
static void
chan_end(struct channel *c, int error, struct list *done)
{
	do {
		struct bio *b = c->active;
		struct list *n = c->dead ? NULL : list_pop_front(&c->queue);

		if (b) {
			b->error = error;
			list_push_back(done, &b->link);
		}
		c->active = n ? list_entry(n, struct bio, link) : NULL;
	} while (c->active && (error = command_start(c)));
}

static void
bios_complete(struct list *done)
{
	struct list *n;

	while ((n = list_pop_front(done))) {
		struct bio *b = list_entry(n, struct bio, link);

		bio_complete(b, b->error);
	}
}

/* Reset both drives (ATA-6, 9.2: SRST). Requires: lock. A channel that does not come back, or that needs this
 * again and again, loses its disks (I2). */
static void
chan_reset(struct channel *c, struct list *done)
{
	uint64_t end = clock_ns() + 10 * 1000;
	struct list *n;

	klog(LOG_ERR, "ata: channel at %#x does not answer, reset\n", c->base);
	if (c->bm)
		outb(c->bm + BM_COMMAND, 0);
	outb(c->ctl, CTL_SRST);
	while (clock_ns() < end)
		cpu_relax();
	outb(c->ctl, 0);
	if (++c->timeouts < 3 && status_wait(c, 0) >= 0)
		return;
	c->dead = true;
	while ((n = list_pop_front(&c->queue))) {
		list_entry(n, struct bio, link)->error = -EIO;
		list_push_back(done, n);
	}
	for (int i = 0; i < 2; i++)
		if (c->drive[i].c)
			blockdev_gone(&c->drive[i].bd);
}

/* How far is the active command? Requires: lock, an active bio. Returns: 1 not finished, 0, -EIO. */
static int
command_step(struct channel *c)
{
	uint8_t bm = c->active_dma ? inb(c->bm + BM_STATUS) : 0, s;

	if (c->active_dma && !(bm & (BM_IRQ | BM_ERROR)))
		return 1;
	s = status(c);                         /* also acknowledges the drive's interrupt */
	if (s & S_BSY && s != 0xff)
		return 1;
	if (c->active_dma) {
		outb(c->bm + BM_COMMAND, 0);
		outb(c->bm + BM_STATUS, bm | BM_ERROR | BM_IRQ);
	}
	if (s == 0xff || s & (S_ERR | S_DF) || bm & BM_ERROR)
		return -EIO;
	if (c->active_dma || c->active->op == BIO_FLUSH)
		return 0;
	if (c->left == 0)
		return s & S_DRQ ? -EIO : 0;
	if (!(s & S_DRQ))
		return 1;
	sector_move(c);
	return c->left == 0 && c->active->op == BIO_READ ? 0 : 1;
}

/* The interrupt (also of others on a shared line), the poll, and what the watch timer does first. */
static void
chan_interrupt(void *arg)
{
	struct channel *c = arg;
	struct list done;
	int r;

	list_init(&done);
	spin_lock(&c->lock);
	if (c->active) {
		r = command_step(c);
		if (r <= 0) {
			c->timeouts = 0;
			chan_end(c, r, &done);
		}
	} else {
		status(c);
	}
	spin_unlock(&c->lock);
	bios_complete(&done);
}

/* Reset the channel if its command takes too long. */
static void
chan_check(struct channel *c)
{
	struct list done;

	list_init(&done);
	spin_lock(&c->lock);
	if (c->active && clock_ns() - c->started > STALL_NS) {
		chan_reset(c, &done);
		chan_end(c, -EIO, &done);
	}
	spin_unlock(&c->lock);
	bios_complete(&done);
}

static void
chan_tick(struct timer *t)
{
	struct channel *c = container_of(t, struct channel, watch);

	chan_interrupt(c);
	chan_check(c);
	spin_lock(&c->lock);
	c->watching = c->active;
	if (c->watching)
		timer_arm(&c->watch, clock_ns() + WATCH_NS);
	spin_unlock(&c->lock);
}

static void
ata_submit(struct blockdev *bd, struct bio *b)
{
	struct channel *c = ((struct drive *)bd->drv)->c;
	struct list done;

	list_init(&done);
	spin_lock(&c->lock);
	if (c->dead) {
		b->error = -ENXIO;
		list_push_back(&done, &b->link);
	} else {
		list_push_back(&c->queue, &b->link);
		if (!c->active)
			chan_end(c, 0, &done);
		if (c->active && !c->watching) {
			c->watching = true;
			timer_arm(&c->watch, clock_ns() + WATCH_NS);
		}
	}
	spin_unlock(&c->lock);
	bios_complete(&done);
}

static void
ata_poll(struct blockdev *bd)
{
	struct channel *c = ((struct drive *)bd->drv)->c;

	chan_interrupt(c);
	chan_check(c);
}

static const struct blockdev_ops ata_ops = { .submit = ata_submit, .poll = ata_poll };

/* ---- finding drives ---- */

/* Ask a drive who it is. 0 and its 256 words; -ENODEV: none, or not a disk (ATAPI). */
static int
drive_identify(struct channel *c, bool slave, uint16_t *id)
{
	int s;

	drive_select(c, slave ? DEV_SLAVE : 0);
	outb(c->base + R_COUNT, 0);
	outb(c->base + R_LBA0, 0);
	outb(c->base + R_LBA1, 0);
	outb(c->base + R_LBA2, 0);
	outb(c->base + R_COMMAND, C_IDENTIFY);
	if (status(c) == 0)
		return -ENODEV;
	s = status_wait(c, S_DRQ);
	if (s < 0 || s & (S_ERR | S_DF))
		return -ENODEV;
	sector_in(c, id);
	status(c);
	return 0;
}

/* Register the disk that `id` describes (ATA-6, 8.15). 0 or -errno. */
static int
drive_add(struct channel *c, bool slave, const uint16_t *id)
{
	struct drive *d = &c->drive[slave];

	d->slave = slave;
	d->lba48 = id[83] & 1 << 10;
	d->dma = c->bm && id[49] & 1 << 8;
	if (!(id[49] & 1 << 9) || ((id[106] & 0xd000) == 0x5000 && (id[117] | id[118] << 16) != SECTOR_SIZE / 2))
		return -ENODEV;            /* no LBA, or sectors of another size */
	d->bd.nsectors = id[60] | (uint64_t)id[61] << 16;
	if (d->lba48)
		d->bd.nsectors = id[100] | (uint64_t)id[101] << 16 | (uint64_t)id[102] << 32;
	if (d->bd.nsectors >> 48)
		return -ENODEV;
	d->bd.max_vec = MAX_VEC;
	d->bd.max_sectors = d->lba48 ? MAX_SECTORS : 255;
	d->bd.has_flush = id[83] & 3 << 12;
	d->bd.ops = &ata_ops;
	d->bd.drv = d;
	d->c = c;
	return 0;
}

/* The channel's interrupt: `pci` in native mode, else ISA interrupt `irq`. 0 or -errno. */
static int
chan_irq(struct channel *c, struct pci_dev *pci, int irq)
{
	int vector, err;

	if (pci)
		return pci_irq(pci, 0, chan_interrupt, c, "ata");
	vector = irq_alloc_vector();
	if (vector < 0)
		return vector;
	err = irq_register(vector, chan_interrupt, c, "ata");
	return err ? err : ioapic_route_isa(irq, vector);
}

/* Look for drives on a channel; quick when nothing is wired to it (all ones). */
static void
chan_probe(uint16_t base, uint16_t ctl, uint16_t bm, struct pci_dev *pci, int irq)
{
	struct channel *c = &channels[nchannels];
	uint16_t id[256];
	int n = 0;

	if (nchannels == NCHANNEL || inb(base + R_STATUS) == 0xff)
		return;
	memset(c, 0, sizeof *c);
	spin_init(&c->lock, "ata channel", RANK(6, 30));
	list_init(&c->queue);
	timer_init(&c->watch, chan_tick);
	c->base = base;
	c->ctl = ctl;
	c->bm = bm;
	outb(ctl, CTL_NIEN);
	for (int slave = 0; slave < 2; slave++)
		if (drive_identify(c, slave, id) == 0 && drive_add(c, slave, id) == 0)
			n++;
	if (!n)
		return;
	nchannels++;
	if (chan_irq(c, pci, irq)) {
		klog(LOG_ERR, "ata: no interrupt for the channel at %#x, ignored\n", base);
		return;
	}
	outb(ctl, 0);
	for (int i = 0; i < 2; i++)
		if (c->drive[i].c)
			blockdev_register(&c->drive[i].bd, "sd");
}

/* A PCI IDE controller (PCI IDE 1.0): progif tells for each channel whether it uses the old ports
 * (compatibility) or BARs. */
static int
ide_probe(struct pci_dev *d)
{
	char word[8];
	bool pio = cmdline_get("ata", word, sizeof word) > 0 && strcmp(word, "pio") == 0;
	uint16_t bm = !pio && d->progif & 0x80 && d->bar_io[4] ? d->bar[4] : 0;

	if (bm)
		pci_enable(d);
	for (int i = 0; i < 2; i++) {
		bool native = d->progif & 1 << 2 * i;
		uint16_t chan_bm = bm ? bm + 8 * i : 0;

		if (!native)
			chan_probe(i ? 0x170 : 0x1f0, i ? 0x376 : 0x3f6, chan_bm, NULL, 14 + i);
		else if (d->bar_io[2 * i] && d->bar_io[2 * i + 1])
			chan_probe(d->bar[2 * i], d->bar[2 * i + 1] + 2, chan_bm, d, 0);
	}
	return 0;
}

static const struct pci_driver ide_driver = { "ide", 0xffff, 0xffff, 1, 1, ide_probe };

static void
ata_init(void)
{
	bool any = false;

	pci_register(&ide_driver);
	for (struct pci_dev *d = NULL; (d = pci_next(d)); )
		any = any || (d->class == 1 && d->subclass == 1);
	if (!any) {                            /* a machine without PCI IDE may still have the old ports */
		chan_probe(0x1f0, 0x3f6, 0, NULL, 14);
		chan_probe(0x170, 0x376, 0, NULL, 15);
	}
}

INITCALL(6, ata_init);
