/* asan.h - which bytes of memory may be touched, in a kernel built with SAN=1.                (lab 1)
 * Contracts are above the functions in asan.c. */
#ifndef KERN_BOOT_ASAN_H
#define KERN_BOOT_ASAN_H

#include <stddef.h>
#include <stdint.h>

#define ASAN_PAGE 4096ul
#define ASAN_GRAIN 8                  /* bytes that one byte of shadow speaks for */

/* The shadow of one page: for each grain, how many of its bytes, counted from the first, may be touched. */
struct asan_page { uint8_t grain[ASAN_PAGE / ASAN_GRAIN]; };

/* Whoever knows: the shadow of the page at va; NULL: all of it may be touched. Takes no lock. */
void asan_register(const struct asan_page *(*shadow_of)(uint64_t va));

#endif
