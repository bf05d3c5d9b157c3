/* part.h - partition tables: GPT and MBR, read from anything that gives sectors.              (lab 6)
 * Contracts are above the functions in part.c. */
#ifndef KERN_BLOCK_PART_H
#define KERN_BLOCK_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct part {
	int number;                /* as Linux counts: GPT slot + 1; MBR 1..4, logical from 5 */
	uint64_t start, nsectors;  /* in sectors of the disk; checked: inside it, overlapping nothing before */
	uint8_t type_guid[16], part_guid[16];   /* GPT, as on disk; zero for MBR */
	uint8_t mbr_type;
	uint32_t mbr_sig;
	char label[37];
};

/* What part_scan reads from and reports to. read: 0 or -errno, n sectors; found: once per partition, in table
 * order. */
struct part_source {
	const char *name;          /* for messages */
	uint64_t nsectors;
	int  (*read)(void *arg, uint64_t sector, void *buf, uint32_t n);
	void (*found)(void *arg, const struct part *p);
	void *arg;
};

uint32_t crc32(uint32_t crc, const void *data, size_t n);
int part_scan(const struct part_source *s);
void guid_text(const uint8_t guid[16], char text[37]);

#endif
