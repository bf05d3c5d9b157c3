/* random.h - random bytes that nobody can guess: getrandom, AT_RANDOM, /dev/urandom.           (lab 4) */
#ifndef KERN_PROC_RANDOM_H
#define KERN_PROC_RANDOM_H

#include <stddef.h>

void random_bytes(void *buf, size_t n);          /* any context */
/* stir more into the state: interrupt times, writes to /dev/urandom */
void random_mix(const void *seed, size_t n);

#endif
