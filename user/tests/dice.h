/* dice.h - random numbers from a seed: the same on Linux and on Eclipse. */
#pragma once
#include <stdint.h>
#include <stdlib.h>

static uint64_t dice = 1;

static inline unsigned
roll(unsigned n)
{
	dice ^= dice >> 12;
	dice ^= dice << 25;
	dice ^= dice >> 27;
	return (dice * 0x2545f4914f6cdd1dull >> 33) % n;
}

/* From an argument; 1 without. */
static inline void
dice_seed(const char *s)
{
	dice = (s ? (uint64_t)atol(s) : 1) * 0x9e3779b97f4a7c15ull + 99;
}
