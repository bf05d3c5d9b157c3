/* bootinfo.c - reads what the boot loader left in memory, whichever loader it was.            (lab 1)
 *
 * Idea.       Multiboot2 leaves a list of tags, PVH a structure with pointers. Both become `bootinfo`,
 *             copied, so that the loader's memory is free afterwards. Only the boot archive stays where it
 *             is.
 * Interface.  bootinfo_init once; then bootinfo and cmdline_*.
 * Invariants. I1 no byte outside [0, BOOT_MAPPED) is read, whatever lengths the loader claims.
 *             I2 bootinfo.cmdline ends in NUL.  I3 for every range base + len does not overflow.
 * Locks.      None: written once, before there is anybody else.
 */
#include "kern/boot/bootinfo.h"
#include "kern/boot/cpu.h"
#include "lib/kern/string.h"

#define DIRECTMAP 0xffff888000000000ul
#define MB2_BOOT_MAGIC 0x36d76289
#define PVH_BOOT_MAGIC 0x336ec578
#define PHYS_END (1ul << 46)          /* the direct map has room for it; base + len cannot overflow */
#define MB2_INFO_MAX (1ul << 20)      /* no honest loader writes more */

struct bootinfo bootinfo;

/* The bytes [pa, pa + n) if all of them are mapped, else NULL. */
static const void *
boot_bytes(uint64_t pa, uint64_t n)
{
	if (pa == 0 || pa >= BOOT_MAPPED || n > BOOT_MAPPED - pa)
		return NULL;
	return (const void *)(pa + DIRECTMAP);
}

static void
range_add(struct bootinfo *b, uint64_t base, uint64_t len, uint32_t type)
{
	if (b->nmem == BOOT_NRANGE || len == 0 || base >= PHYS_END)
		return;
	if (len > PHYS_END - base)
		len = PHYS_END - base;
	if (type < MEM_RAM || type > MEM_BAD)
		type = MEM_RESERVED;
	b->mem[b->nmem++] = (struct mem_range){ base, len, type };
}

static void
cmdline_set(struct bootinfo *b, const char *s, size_t max)
{
	size_t n = strnlen(s, max);

	b->cmdline_cut = n >= BOOT_CMDLINE;
	if (b->cmdline_cut)
		n = BOOT_CMDLINE - 1;
	memcpy(b->cmdline, s, n);
	b->cmdline[n] = '\0';
}

static void
archive_set(struct bootinfo *b, uint64_t base, uint64_t size)
{
	if (boot_bytes(base, size) && size != 0) {
		b->archive_phys = base;
		b->archive_size = size;
	}
}

/* How far from `at` on is there memory that holds what a loader put there? RAM, or a reserved range: with several disks the
 * BIOS reserves part of where QEMU's loader has the archive. Returns the first address where there is not. */
static uint64_t
memory_end(const struct bootinfo *b, uint64_t at)
{
	for (int i = 0; i < b->nmem; i++) {
		const struct mem_range *r = &b->mem[i];

		if (r->type <= MEM_RESERVED && at >= r->base && at - r->base < r->len)
			return r->base + r->len;
	}
	return at;
}

/* The archive must lie in memory from end to end; else there is none. */
static void
archive_check(struct bootinfo *b)
{
	uint64_t at = b->archive_phys, end = at + b->archive_size, next;

	for (; at < end; at = next)
		if ((next = memory_end(b, at)) <= at)
			break;
	if (end < b->archive_phys || at < end)
		b->archive_phys = b->archive_size = 0;
}

/* ---- Multiboot2 (specification 3.6) ---- */

enum {
	TAG_END = 0, TAG_CMDLINE = 1, TAG_MODULE = 3, TAG_MMAP = 6, TAG_FRAMEBUFFER = 8,
	TAG_ACPI_OLD = 14, TAG_ACPI_NEW = 15
};

struct mb2_tag { uint32_t type, size; };
struct mb2_module { struct mb2_tag tag; uint32_t start, end; };
struct mb2_mmap { struct mb2_tag tag; uint32_t entry_size, version; };
struct mb2_mmap_entry { uint64_t base, len; uint32_t type, zero; };
struct mb2_framebuffer {
	struct mb2_tag tag;
	uint64_t phys;
	uint32_t pitch, width, height;
	uint8_t bpp, type;         /* type 1: direct colour; 2: text */
	uint16_t reserved;
	uint8_t red_pos, red_size, green_pos, green_size, blue_pos, blue_size;
} __attribute__((packed));

static void
mb2_mmap(struct bootinfo *b, const uint8_t *p, size_t size)
{
	struct mb2_mmap m;
	struct mb2_mmap_entry e;

	if (size < sizeof m)
		return;
	memcpy(&m, p, sizeof m);
	if (m.entry_size < sizeof e)
		return;
	for (size_t at = sizeof m; at + sizeof e <= size; at += m.entry_size) {
		memcpy(&e, p + at, sizeof e);
		range_add(b, e.base, e.len, e.type);
	}
}

static void
mb2_framebuffer(struct bootinfo *b, const uint8_t *p, size_t size)
{
	struct mb2_framebuffer f;

	if (size < sizeof f)
		return;
	memcpy(&f, p, sizeof f);
	if (f.type != 1 || f.bpp != 32 || f.red_pos > 24 || f.green_pos > 24 || f.blue_pos > 24)
		return;
	if (f.width > 16384 || f.height > 16384 || f.pitch < f.width * 4 || f.pitch > 1 << 20)
		return;
	b->fb = (struct framebuffer){ f.phys, f.pitch, f.width, f.height, f.bpp,
		f.red_pos, f.green_pos, f.blue_pos };
}

static void
mb2_tag(struct bootinfo *b, const uint8_t *p, uint32_t type, size_t size, uint64_t phys)
{
	struct mb2_module m;

	switch (type) {
	case TAG_CMDLINE:
		cmdline_set(b, (const char *)p + 8, size - 8);
		break;
	case TAG_MODULE:
		if (size < sizeof m)
			break;
		memcpy(&m, p, sizeof m);
		if (b->archive_size == 0 && m.end > m.start)
			archive_set(b, m.start, m.end - m.start);
		break;
	case TAG_MMAP:
		mb2_mmap(b, p, size);
		break;
	case TAG_FRAMEBUFFER:
		mb2_framebuffer(b, p, size);
		break;
	case TAG_ACPI_OLD:                   /* a copy of the RSDP itself; the newer one wins */
		if (b->rsdp_phys != 0)
			break;
		/* fall through */
	case TAG_ACPI_NEW:
		if (phys != 0 && size >= 8 + 20)
			b->rsdp_phys = phys + 8;
		break;
	}
}

/* Read the tags in info[0..n). Hint: a tag's size counts its header but not the padding to 8. */
void
bootinfo_parse_multiboot2(struct bootinfo *b, const uint8_t *info, size_t n)
{
	uint64_t phys = (uint64_t)info - DIRECTMAP;
	struct mb2_tag t;

	b->protocol = "multiboot2";
	for (size_t at = 8; at + sizeof t <= n; at += (t.size + 7ul) & ~7ul) {
		memcpy(&t, info + at, sizeof t);
		if (t.type == TAG_END || t.size < sizeof t || t.size > n - at)
			break;
		mb2_tag(b, info + at, t.type, t.size, phys < BOOT_MAPPED ? phys + at : 0);
	}
}

static void
parse_multiboot2(struct bootinfo *b, uint64_t phys)
{
	const uint32_t *total = boot_bytes(phys, 8);
	size_t n;

	if (!total)
		return;
	n = *total < MB2_INFO_MAX ? *total : MB2_INFO_MAX;
	if (boot_bytes(phys, n))
		bootinfo_parse_multiboot2(b, (const uint8_t *)total, n);
}

/* ---- PVH (Xen's public header arch-x86/hvm/start_info.h) ---- */

struct pvh_start {
	uint32_t magic, version, flags, nmodules;
	uint64_t modules, cmdline, rsdp, memmap;      /* memmap from version 1 on */
	uint32_t nmemmap, reserved;
};
struct pvh_module { uint64_t base, size, cmdline, reserved; };
struct pvh_range { uint64_t base, len; uint32_t type, reserved; };

static void
parse_pvh(struct bootinfo *b, uint64_t phys)
{
	const struct pvh_start *s = boot_bytes(phys, sizeof *s);
	const struct pvh_module *m;
	const struct pvh_range *r;

	b->protocol = "pvh";
	if (!s || s->magic != PVH_BOOT_MAGIC)          /* QEMU overwrites it when the words are longer than 4 KiB */
		return;
	b->rsdp_phys = s->rsdp;
	if (boot_bytes(s->cmdline, 1))
		cmdline_set(b, boot_bytes(s->cmdline, 1), BOOT_MAPPED - s->cmdline);
	if (s->nmodules > 0 && (m = boot_bytes(s->modules, sizeof *m)))
		archive_set(b, m->base, m->size);
	for (uint32_t i = 0; s->version >= 1 && i < s->nmemmap && i < BOOT_NRANGE; i++)
		if ((r = boot_bytes(s->memmap + i * sizeof *r, sizeof *r)))
			range_add(b, r->base, r->len, r->type);
}

/* ---- no map at all ---- */

static uint32_t
cmos_read16(uint8_t low)
{
	uint32_t v;

	outb(0x70, low);
	v = inb(0x71);
	outb(0x70, low + 1);
	return v | (uint32_t)inb(0x71) << 8;
}

/* The loader's map is missing or damaged: the BIOS also left the size of memory in the clock's RAM, in
 * units of 64 KiB above 16 MiB. Its last MiB is left alone: firmware tables may lie there. */
static void
map_guess(struct bootinfo *b)
{
	uint64_t size = (uint64_t)cmos_read16(0x34) << 16;

	b->map_guessed = true;
	if (size <= 0xe0000000ul)
		range_add(b, 1ul << 20, (15ul << 20) + (size > 0 ? size - (1ul << 20) : 0), MEM_RAM);
}

/* Fill bootinfo. `magic` says which protocol; `info_phys` is the loader's structure. */
void
bootinfo_init(uint32_t magic, uint64_t info_phys)
{
	bootinfo.protocol = "unknown";
	if (magic == MB2_BOOT_MAGIC)
		parse_multiboot2(&bootinfo, info_phys);
	else if (magic == PVH_BOOT_MAGIC)
		parse_pvh(&bootinfo, info_phys);
	if (bootinfo.nmem == 0)
		map_guess(&bootinfo);
	archive_check(&bootinfo);
}

/* ---- kernel words ---- */

/* The next word at *s as [start, returned length), stopping at a lone "--", after which words are init's.
 * 0: no more. */
static size_t
word_next(const char **s)
{
	const char *p = *s;
	size_t n = 0;

	while (*p == ' ')
		p++;
	while (p[n] && p[n] != ' ')
		n++;
	*s = p;
	return n == 2 && p[0] == '-' && p[1] == '-' ? 0 : n;
}

/* If the word of n bytes is `key` or `key=...`: its value and length. */
static const char *
word_value(const char *w, size_t n, const char *key, size_t *len)
{
	size_t k = strlen(key);

	if (n < k || memcmp(w, key, k) != 0 || (n > k && w[k] != '='))
		return NULL;
	*len = n > k ? n - k - 1 : 0;
	return n > k ? w + k + 1 : w + k;
}

/* Find the kernel word `key` or `key=value`; of several the last one counts.
 *
 * Does:     copies the value, cut to n - 1 bytes, and a NUL into buf; n 0: copies nothing.
 * Returns:  the length of the value (0: the word stands alone), uncut; -1: there is no such word.
 */
int
cmdline_get(const char *key, char *buf, size_t n)
{
	const char *s = bootinfo.cmdline, *v;
	size_t w, len;
	int found = -1;

	for (; (w = word_next(&s)) > 0; s += w) {
		if (!(v = word_value(s, w, key, &len)))
			continue;
		found = (int)len;
		if (n > 0) {
			len = len < n ? len : n - 1;
			memcpy(buf, v, len);
			buf[len] = '\0';
		}
	}
	return found;
}

bool
cmdline_has(const char *key, const char *value)
{
	const char *s = bootinfo.cmdline, *v;
	size_t w, len, k = strlen(value);

	for (; (w = word_next(&s)) > 0; s += w)
		if ((v = word_value(s, w, key, &len)) && len >= k && memcmp(v, value, k) == 0 && (len == k || v[k] == ','))
			return true;
	return false;
}

const char *
cmdline_init_args(void)
{
	const char *s = bootinfo.cmdline;
	size_t w;

	while ((w = word_next(&s)) > 0)
		s += w;
	if (*s == '\0')
		return NULL;
	for (s += 2; *s == ' '; s++)
		;
	return s;
}
