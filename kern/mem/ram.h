/* ram.h - which memory is ours to give out: RAM without what others claim.                   (lab 2) */
#ifndef KERN_MEM_RAM_H
#define KERN_MEM_RAM_H

#include "kern/boot/bootinfo.h"

#define RAM_NHOLE (BOOT_NRANGE + 4)

struct span { uint64_t lo, hi; };              /* page-aligned, [lo, hi) */

struct ram {
	const struct bootinfo *boot;
	struct span holes[RAM_NHOLE];
	int nholes;
};

/* Contracts are above the functions in ram.c. */
void ram_init(struct ram *m, const struct bootinfo *b);
void ram_hole(struct ram *m, uint64_t lo, uint64_t hi);
bool ram_next(const struct ram *m, int *k, uint64_t *at, uint64_t hi, struct span *out);
uint64_t ram_top(const struct ram *m);

#endif
