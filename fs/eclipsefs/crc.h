/* crc.h - the two checksums of EclipseFS. See crc.c.                                           (lab 8) */
#ifndef ECLIPSEFS_CRC_H
#define ECLIPSEFS_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Both: start with crc = 0; feed pieces by passing the last result. Never sleep, never fail. */
uint32_t crc32_ieee(uint32_t crc, const void *data, size_t n);
uint32_t crc32c(uint32_t crc, const void *data, size_t n);

/* What crc32c() gives for n bytes that are 0, without looking at any. */
uint32_t crc32c_zeros(uint32_t crc, size_t n);
/* `crc` is of a message with 4 bytes of 0 before its last n bytes: what is it when they hold `value`? */
uint32_t crc32c_insert(uint32_t crc, uint32_t value, size_t n);

/* A faster crc32c for this machine: takes and gives the un-complemented running value. */
typedef uint32_t crc32c_accel_fn(uint32_t state, const void *data, size_t n);
void crc32c_accel_register(crc32c_accel_fn *fn);

#endif
