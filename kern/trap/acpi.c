/* acpi.c - what the firmware's tables tell: CPUs, interrupt controllers, power, PCI.         (lab 3)
 *
 * Idea.       RSDP -> XSDT or RSDT -> tables, each with a signature, a length and a checksum. We read four:
 *             MADT (interrupt controllers), FADT (power), DSDT (only its \_S5_ object), MCFG (PCI express).
 *             ACPI 6.4, chapter 5.
 * Interface.  acpi, acpi_table.
 * Invariants. I1 tables are input: every length is checked against what is mapped before it is believed; a
 *             bad table counts as absent.  I2 `acpi` always names this CPU and a local APIC address. */
#include "kern/boot/bootinfo.h"
#include "kern/boot/print.h"
#include "kern/mem/pagetable.h"
#include "kern/trap/apic.h"
#include "lib/kern/string.h"

#define TABLE_MAX (1u << 20)       /* longer than any real table */
#define NTABLE 64
#define MSR_APIC_BASE 0x1b

struct sdt {                       /* ACPI 6.4, table 5.4 */
	char sig[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem[6], oem_table[8];
	uint32_t oem_revision, creator, creator_revision;
} __attribute__((packed));

struct rsdp {                      /* table 5.3; the part from `length` on only in revision 2 */
	char sig[8];
	uint8_t checksum;
	char oem[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t xchecksum, reserved[3];
} __attribute__((packed));

#define RSDP_V1_SIZE 20

struct gas {                       /* generic address, table 5.1 */
	uint8_t space, width, offset, access;
	uint64_t addr;
} __attribute__((packed));

struct fadt {                      /* table 5.9 */
	struct sdt h;
	uint32_t facs, dsdt;
	uint8_t reserved, profile;
	uint16_t sci_int;
	uint32_t smi_cmd;
	uint8_t acpi_enable, acpi_disable, s4bios, pstate;
	uint32_t pm1a_evt, pm1b_evt, pm1a_cnt, pm1b_cnt, pm2_cnt, pm_tmr, gpe0, gpe1;
	uint8_t lengths[18];           /* of blocks, latencies, duty cycle */
	uint8_t day_alarm, month_alarm, century;
	uint16_t boot_arch;
	uint8_t reserved2;
	uint32_t flags;
	struct gas reset_reg;
	uint8_t reset_value;
	uint16_t arm_boot;
	uint8_t minor;
	uint64_t x_facs, x_dsdt;
	struct gas x_pm1a_evt, x_pm1b_evt, x_pm1a_cnt, x_pm1b_cnt, x_pm2_cnt, x_pm_tmr, x_gpe0, x_gpe1;
	struct gas sleep_control, sleep_status;
} __attribute__((packed));

_Static_assert(offsetof(struct fadt, pm_tmr) == 76 && offsetof(struct fadt, flags) == 112 &&
	       offsetof(struct fadt, sleep_control) == 244, "FADT layout");

enum { FADT_TMR_32 = 1 << 8, FADT_RESET = 1 << 10, FADT_HW_REDUCED = 1 << 20 };

struct acpi_info acpi;

/* [I] after acpi_init */
static struct { char sig[4]; uint64_t phys; uint32_t length; const void *mapped; } tables[NTABLE];
static int ntable;

static uint32_t rd32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return v; }
static uint16_t rd16(const uint8_t *p) { uint16_t v; memcpy(&v, p, 2); return v; }

static bool
checksum_ok(const void *p, size_t n)
{
	const uint8_t *b = p;
	uint8_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += b[i];
	return sum == 0;
}

/* Physical memory that a table points to: mostly in the direct map already. NULL: no such memory. */
static const void *
phys_ptr(uint64_t phys, uint64_t len)
{
	const void *p = directmap_ptr(phys, len);

	return p ? p : map_device(phys, len);
}

/* A whole table whose checksum holds, or NULL. */
static const void *
table_map(uint64_t phys, uint32_t length)
{
	const void *t;

	if (length < sizeof(struct sdt) || length > TABLE_MAX)
		return NULL;
	t = phys_ptr(phys, length);
	return t && checksum_ok(t, length) ? t : NULL;
}

/* Read a table's header at `phys`. Returns false when it cannot be one. */
static bool
header_read(uint64_t phys, struct sdt *h)
{
	const void *p = phys ? phys_ptr(phys, sizeof *h) : NULL;

	if (!p)
		return false;
	memcpy(h, p, sizeof *h);
	return h->length >= sizeof *h && h->length <= TABLE_MAX;
}

const void *
acpi_table(const char sig[4])
{
	for (int i = 0; i < ntable; i++) {
		if (memcmp(tables[i].sig, sig, 4) != 0)
			continue;
		if (!tables[i].mapped)
			tables[i].mapped = table_map(tables[i].phys, tables[i].length);
		if (tables[i].mapped)
			return tables[i].mapped;
	}
	return NULL;
}

/* ---- the root ---- */

static bool
rsdp_ok(const struct rsdp *r)
{
	return memcmp(r->sig, "RSD PTR ", 8) == 0 && checksum_ok(r, RSDP_V1_SIZE);
}

/* Look on 16-byte boundaries of [phys, phys + len). */
static bool
rsdp_search(uint64_t phys, uint64_t len, struct rsdp *out)
{
	const char *p = phys_ptr(phys, len);

	for (uint64_t i = 0; p && i + sizeof *out <= len; i += 16) {
		memcpy(out, p + i, sizeof *out);
		if (rsdp_ok(out))
			return true;
	}
	return false;
}

/* The boot protocol's pointer, else the extended BIOS data area, else the BIOS ROM (ACPI 6.4, 5.2.5.1). */
static bool
rsdp_find(struct rsdp *out)
{
	const uint8_t *bda;
	uint64_t ebda;

	if (bootinfo.rsdp_phys && rsdp_search(bootinfo.rsdp_phys, sizeof *out, out))
		return true;
	bda = phys_ptr(0x400, 0x100);
	ebda = bda ? (uint64_t)rd16(bda + 0x0e) << 4 : 0;
	if (ebda >= 0x400 && ebda < 0xa0000 && rsdp_search(ebda, 0x400, out))
		return true;
	return rsdp_search(0xe0000, 0x20000, out);
}

/* Note every table that the root table at `phys`, with entries of `width` bytes, names. */
static void
root_read(uint64_t phys, int width)
{
	struct sdt h;
	const uint8_t *root;

	if (!header_read(phys, &h))
		return;
	root = table_map(phys, h.length);
	if (!root)
		return;
	for (uint32_t off = sizeof h; off + width <= h.length && ntable < NTABLE; off += width) {
		uint64_t entry = 0;
		struct sdt t;

		memcpy(&entry, root + off, width);
		if (!header_read(entry, &t))
			continue;
		memcpy(tables[ntable].sig, t.sig, 4);
		tables[ntable].phys = entry;
		tables[ntable++].length = t.length;
	}
}

/* ---- MADT: CPUs and interrupt controllers (ACPI 6.4, 5.2.12) ---- */

enum { MADT_LAPIC = 0, MADT_IOAPIC = 1, MADT_ISO = 2, MADT_LAPIC_ADDR = 5 };

static void
madt_cpu(uint32_t apic_id, bool enabled)
{
	if (enabled && apic_id != acpi.apic_ids[0] && acpi.ncpu < 64)
		acpi.apic_ids[acpi.ncpu++] = apic_id;
}

/* MPS flags: polarity in bits 0-1, trigger in bits 2-3; 3 means low, or level; 0 the ISA bus's own: high,
 * edge. */
static void
madt_iso(const uint8_t *e)
{
	int i = acpi.niso;
	uint16_t flags = rd16(e + 8);

	if (i == 16)
		return;
	acpi.iso[i].irq = e[3];
	acpi.iso[i].gsi = rd32(e + 4);
	acpi.iso[i].low = (flags & 3) == 3;
	acpi.iso[i].level = (flags >> 2 & 3) == 3;
	acpi.niso++;
}

static void
madt_ioapic(const uint8_t *e)
{
	int i = acpi.nioapic;

	if (i == 4)
		return;
	acpi.ioapic[i].id = e[2];
	acpi.ioapic[i].phys = rd32(e + 4);
	acpi.ioapic[i].gsi_base = rd32(e + 8);
	acpi.nioapic++;
}

static void
madt_read(const struct sdt *t)
{
	const uint8_t *p = (const uint8_t *)t;

	if (t->length < 44)
		return;
	acpi.lapic_phys = rd32(p + 36);
	for (uint32_t off = 44; off + 2 <= t->length; off += p[off + 1]) {
		const uint8_t *e = p + off;

		if (e[1] < 2 || off + e[1] > t->length)
			return;                  /* an entry that lies about its length: no way to find the next */
		if (e[0] == MADT_LAPIC && e[1] >= 8)
			madt_cpu(e[3], rd32(e + 4) & 1);
		else if (e[0] == MADT_IOAPIC && e[1] >= 12)
			madt_ioapic(e);
		else if (e[0] == MADT_ISO && e[1] >= 10)
			madt_iso(e);
		else if (e[0] == MADT_LAPIC_ADDR && e[1] >= 12)
			memcpy(&acpi.lapic_phys, e + 4, 8);
	}
}

/* ---- FADT and \_S5: power ---- */

/* An AML integer at p (ZeroOp, OneOp or BytePrefix); advances p. Returns -1 for anything else. */
static int
aml_byte(const uint8_t **p, const uint8_t *end)
{
	if (*p < end && **p <= 1)
		return *(*p)++;
	if (*p + 1 < end && **p == 0x0a) {
		*p += 2;
		return (*p)[-1];
	}
	return -1;
}

/* Find Name(_S5_, Package(){a, b, ...}) in the DSDT's byte code without interpreting it: the name, PackageOp
 * (0x12), a package length of 1 to 4 bytes (its first two bits tell), the number of elements, then the two
 * sleep types (ACPI 6.4, 7.4.2). */
static void
s5_find(const uint8_t *p, uint32_t n)
{
	const uint8_t *end = p + n;

	for (; p + 8 < end; p++) {
		int a, b;
		const uint8_t *q = p + 5;

		if (memcmp(p, "_S5_", 4) != 0 || p[4] != 0x12)
			continue;
		q += (*q >> 6) + 2;
		a = aml_byte(&q, end);
		b = aml_byte(&q, end);
		if (a < 0)
			continue;
		acpi.slp_typ_a = a & 7;
		acpi.slp_typ_b = (b < 0 ? a : b) & 7;
		acpi.has_s5 = true;
		return;
	}
}

static void
dsdt_read(uint64_t phys)
{
	struct sdt h;
	const uint8_t *t = NULL;

	if (header_read(phys, &h) && memcmp(h.sig, "DSDT", 4) == 0)
		t = table_map(phys, h.length);
	if (t)
		s5_find(t + sizeof h, h.length - sizeof h);
}

static void
fadt_read(const struct sdt *t)
{
	struct fadt f;

	memset(&f, 0, sizeof f);                 /* older tables are shorter: what they lack is 0 */
	memcpy(&f, t, t->length < sizeof f ? t->length : sizeof f);
	dsdt_read(f.x_dsdt ? f.x_dsdt : f.dsdt);
	if (f.flags & FADT_RESET) {
		acpi.reset_addr = f.reset_reg.addr;
		acpi.reset_space = f.reset_reg.space;
		acpi.reset_value = f.reset_value;
	}
	if (f.flags & FADT_HW_REDUCED) {
		acpi.sleep_ctrl = f.sleep_control.addr;
		acpi.sleep_space = f.sleep_control.space;
		return;
	}
	acpi.pm1a_cnt = f.pm1a_cnt;
	acpi.pm1b_cnt = f.pm1b_cnt;
	acpi.pm_timer = f.pm_tmr;
	acpi.pm_timer_32 = f.flags & FADT_TMR_32;
	acpi.smi_cmd = f.smi_cmd;
	acpi.acpi_enable = f.acpi_enable;
}

static void
mcfg_read(const struct sdt *t)
{
	if (t->length >= 60)
		memcpy(&acpi.mcfg_base, (const uint8_t *)t + 44, 8);
}

static void
tables_read(void)
{
	const struct sdt *t;

	if ((t = acpi_table("APIC")))
		madt_read(t);
	if ((t = acpi_table("FACP")))
		fadt_read(t);
	if ((t = acpi_table("MCFG")))
		mcfg_read(t);
}

/* Fill `acpi`. Requires: memory; one CPU. */
void
acpi_init(void)
{
	struct rsdp r;
	uint32_t id[4];

	cpuid(1, 0, id);
	acpi.ncpu = 1;
	acpi.apic_ids[0] = id[1] >> 24;
	if (!rsdp_find(&r)) {
		klog(LOG_WARN, "acpi: no tables: one CPU, no power-off\n");
	} else {
		if (r.revision >= 2 && r.xsdt)
			root_read(r.xsdt, 8);
		if (!ntable)
			root_read(r.rsdt, 4);
		tables_read();
	}
	if (!acpi.lapic_phys || acpi.lapic_phys > PTE_ADDR)
		acpi.lapic_phys = rdmsr(MSR_APIC_BASE) & PTE_ADDR;
	if (!acpi.nioapic) {
		acpi.ioapic[0].phys = 0xfec00000;    /* where all PCs have it; ioapic.c tests whether something answers */
		acpi.nioapic = 1;
	}
}
