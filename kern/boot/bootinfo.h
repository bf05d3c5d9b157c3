/* bootinfo.h - what the boot protocol told us, in one form for Multiboot2 and PVH.           (lab 1) */
#ifndef KERN_BOOT_BOOTINFO_H
#define KERN_BOOT_BOOTINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mem_type { MEM_RAM = 1, MEM_RESERVED = 2, MEM_ACPI = 3, MEM_NVS = 4, MEM_BAD = 5 };

struct mem_range {
	uint64_t base, len;        /* bytes */
	enum mem_type type;
};

struct framebuffer {
	uint64_t phys;             /* 0: none (VGA text or nothing) */
	uint32_t pitch, width, height;
	uint8_t bpp;
	uint8_t red_pos, green_pos, blue_pos;
};

#define BOOT_NRANGE 128
#define BOOT_CMDLINE 4096    /* longer command lines are cut, with a warning */

/* [I] filled by bootinfo_init before any other init function */
struct bootinfo {
	const char *protocol;      /* "multiboot2" or "pvh" */
	struct mem_range mem[BOOT_NRANGE];
	int nmem;
	bool map_guessed;          /* the loader gave no map: one range from the BIOS's memory size */
	char cmdline[BOOT_CMDLINE];
	bool cmdline_cut;
	uint64_t archive_phys, archive_size;    /* boot archive (cpio newc); size 0: none */
	uint64_t rsdp_phys;        /* ACPI root pointer; 0: search the BIOS area */
	struct framebuffer fb;
};

/* Physical memory below this is mapped by boot.S at P2V from the first instruction on. */
#define BOOT_MAPPED (4ul << 30)

extern struct bootinfo bootinfo;
void bootinfo_init(uint32_t magic, uint64_t info_phys);

/* Kernel words. cmdline_get: copies the value of `key=` (the last one wins) into buf, cut to n-1 bytes.
 * Returns its length or -1 when absent; a bare word `key` counts as an empty value.
 * cmdline_init_args: the part after ` -- `, or NULL. */
int cmdline_get(const char *key, char *buf, size_t n);
const char *cmdline_init_args(void);
/* Is one of the (possibly many) `key=` words `value`, or `value,something`? */
bool cmdline_has(const char *key, const char *value);

/* The parsers, on any bytes: they read info[0..n) and nothing else, and never fail on what they find
 * there. */
void bootinfo_parse_multiboot2(struct bootinfo *b, const uint8_t *info, size_t n);

#endif
