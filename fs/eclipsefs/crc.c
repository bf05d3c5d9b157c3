/* crc.c - the two checksums of EclipseFS, for kernel and host tools alike.                     (lab 8)
 *
 * Idea.       A CRC is the remainder of a division of polynomials over GF(2). Reflected, bit by bit:
 *                 state = state >> 1 ^ (state & 1 ? POLY : 0)
 *             Eight tables let us take eight bytes at a step: table k holds what a byte does to the state
 *             k further bytes later, and what eight bytes do together is the XOR of what each does.
 * Interface.  crc32_ieee() for the header, crc32c() for everything else; crc32c_accel_register() is the
 *             slot for a machine that can do it in hardware.
 * Invariants. I1 tables are all zero or complete before `ready` says so; filling them twice is harmless.
 * Locks.      None.
 */
#include "fs/eclipsefs/crc.h"

#include <stdbool.h>

#define POLY_IEEE 0xEDB88320u
#define POLY_C    0x82F63B78u

struct crc_tables {
	bool ready;			/* [a] I1 */
	uint32_t t[8][256];
};

static struct crc_tables tables_ieee, tables_c;
static crc32c_accel_fn *accel;

/* Fill `ct` for polynomial `poly`. */
static void
tables_fill(struct crc_tables *ct, uint32_t poly)
{
	for (uint32_t b = 0; b < 256; b++) {
		uint32_t c = b;
		for (int i = 0; i < 8; i++)
			c = c >> 1 ^ (c & 1 ? poly : 0);
		ct->t[0][b] = c;
	}
	for (uint32_t b = 0; b < 256; b++)
		for (int k = 1; k < 8; k++)
			ct->t[k][b] = ct->t[k - 1][b] >> 8 ^ ct->t[0][ct->t[k - 1][b] & 0xff];
	__atomic_store_n(&ct->ready, true, __ATOMIC_RELEASE);
}

static uint32_t
tables_run(struct crc_tables *ct, uint32_t poly, uint32_t c, const uint8_t *p, size_t n)
{
	if (!__atomic_load_n(&ct->ready, __ATOMIC_ACQUIRE))
		tables_fill(ct, poly);
	for (; n >= 8; n -= 8, p += 8) {
		uint32_t lo, hi;
		__builtin_memcpy(&lo, p, 4);
		__builtin_memcpy(&hi, p + 4, 4);
		lo ^= c;
		c = ct->t[7][lo & 0xff] ^ ct->t[6][lo >> 8 & 0xff] ^ ct->t[5][lo >> 16 & 0xff] ^ ct->t[4][lo >> 24]
		  ^ ct->t[3][hi & 0xff] ^ ct->t[2][hi >> 8 & 0xff] ^ ct->t[1][hi >> 16 & 0xff] ^ ct->t[0][hi >> 24];
	}
	for (; n > 0; n--)
		c = c >> 8 ^ ct->t[0][(c ^ *p++) & 0xff];
	return c;
}

uint32_t
crc32_ieee(uint32_t crc, const void *data, size_t n)
{
	return ~tables_run(&tables_ieee, POLY_IEEE, ~crc, data, n);
}

uint32_t
crc32c(uint32_t crc, const void *data, size_t n)
{
	if (accel)
		return ~accel(~crc, data, n);
	return ~tables_run(&tables_c, POLY_C, ~crc, data, n);
}

/* Use `fn` for crc32c() from now on. Called once at boot, before any mount. */
void
crc32c_accel_register(crc32c_accel_fn *fn)
{
	accel = fn;
}
