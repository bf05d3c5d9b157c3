/* crc.c - the two checksums of EclipseFS, for kernel and host tools alike.                     (lab 8)
 *
 * Idea.       A CRC is the remainder of a division of polynomials over GF(2). Reflected, bit by bit:
 *                 state = state >> 1 ^ (state & 1 ? POLY : 0)
 *             Eight tables let us take eight bytes at a step: table k holds what a byte does to the state
 *             k further bytes later, and what eight bytes do together is the XOR of what each does.
 *
 *             Metadata has many zeros, and what a run of zeros makes of a state is linear, too: for runs of
 *             some lengths there are tables of what it makes of each nibble, so a run costs eight look-ups
 *             however long it is. (On a processor with a crc32 instruction that is no loss; in an emulator,
 *             where the instruction is a loop over 64 bits, it is ten times as fast.)
 * Interface.  crc32_ieee() for the header, crc32c() and its kin for everything else; crc32c_accel_register()
 *             is the slot for a machine that can do it in hardware.
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

/* What a run of zero bytes makes of each nibble of a state. */
struct crc_shift {
	uint32_t t[8][16];
};

enum { STRIDE = 512, STRIDES = 3, MOST = STRIDE << STRIDES };

/* Runs of 512, 1024 and 2048 zero bytes, and of MOST - 4. */
static struct {
	bool ready;			/* [a] I1 */
	struct crc_shift run[STRIDES], most_but_4;
} shifts;

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

/* ---- runs of zeros ---- */

/* From what a run makes of each single bit. */
static void
shift_fill(struct crc_shift *s, const uint32_t bit[32])
{
	for (int k = 0; k < 8; k++)
		for (int v = 0; v < 16; v++) {
			s->t[k][v] = 0;
			for (int b = 0; b < 4; b++)
				s->t[k][v] ^= v >> b & 1 ? bit[4 * k + b] : 0;
		}
}

static uint32_t
shift_run(const struct crc_shift *s, uint32_t c)
{
	return s->t[0][c & 15] ^ s->t[1][c >> 4 & 15] ^ s->t[2][c >> 8 & 15] ^ s->t[3][c >> 12 & 15]
	     ^ s->t[4][c >> 16 & 15] ^ s->t[5][c >> 20 & 15] ^ s->t[6][c >> 24 & 15] ^ s->t[7][c >> 28];
}

/* A run twice as long is the run, twice; MOST - 4 is 4 + 8 + ... + MOST / 2. */
static void
shifts_fill(void)
{
	uint32_t bit[32], sum[32];
	struct crc_shift s;

	for (int i = 0; i < 32; i++) {
		sum[i] = bit[i] = 1u << i;
		for (int k = 0; k < 8; k++)
			bit[i] = bit[i] >> 1 ^ (bit[i] & 1 ? POLY_C : 0);
	}
	for (int n = 1, k = 0; n < MOST; n *= 2) {
		shift_fill(&s, bit);
		if (n >= STRIDE)
			shifts.run[k++] = s;
		for (int i = 0; i < 32; i++) {
			sum[i] = n >= 4 ? shift_run(&s, sum[i]) : sum[i];
			bit[i] = shift_run(&s, bit[i]);
		}
	}
	shift_fill(&shifts.most_but_4, sum);
	__atomic_store_n(&shifts.ready, true, __ATOMIC_RELEASE);
}

static uint32_t
any_run(uint32_t c, const void *data, size_t n)
{
	return accel ? accel(c, data, n) : tables_run(&tables_c, POLY_C, c, data, n);
}

static uint32_t
zeros_run(uint32_t c, size_t n)
{
	static const uint8_t zeros[STRIDE];

	if (!__atomic_load_n(&shifts.ready, __ATOMIC_ACQUIRE))
		shifts_fill();
	if (n == MOST - 4)
		return shift_run(&shifts.most_but_4, c);
	for (; n >= MOST; n -= MOST / 2)
		c = shift_run(&shifts.run[STRIDES - 1], c);
	for (int k = 0; k < STRIDES; k++)
		if (n & STRIDE << k)
			c = shift_run(&shifts.run[k], c);
	return n % STRIDE ? any_run(c, zeros, n % STRIDE) : c;
}

typedef uint64_t word __attribute__((may_alias, aligned(1)));

#define OR_8(w) ((w)[0] | (w)[1] | (w)[2] | (w)[3] | (w)[4] | (w)[5] | (w)[6] | (w)[7])

/* Is the stride at p all zeros? Where there is data, one look mostly says so. */
static inline bool
stride_zero(const uint8_t *p)
{
	const word *w = (const word *)p, *half = w + STRIDE / 16;

	return !w[0] && !(OR_8(w) | OR_8(w + 8) | OR_8(w + 16) | OR_8(w + 24)) &&
		!(OR_8(half) | OR_8(half + 8) | OR_8(half + 16) | OR_8(half + 24));
}

uint32_t
crc32c(uint32_t crc, const void *data, size_t n)
{
	const uint8_t *p = data;
	uint32_t c = ~crc;

	while (n >= STRIDE) {
		bool zero = stride_zero(p);
		size_t run = STRIDE;
		while (n - run >= STRIDE && stride_zero(p + run) == zero)
			run += STRIDE;
		c = zero ? zeros_run(c, run) : any_run(c, p, run);
		p += run, n -= run;
	}
	return ~(n ? any_run(c, p, n) : c);
}

uint32_t
crc32c_zeros(uint32_t crc, size_t n)
{
	return ~zeros_run(~crc, n);
}

/* Linear: the XOR of the CRC without the value and of what the value alone makes of state 0, which is what a
 * state that is the value becomes by zeros in its own place and behind. */
uint32_t
crc32c_insert(uint32_t crc, uint32_t value, size_t n)
{
	return crc ^ zeros_run(value, n + 4);
}

/* Use `fn` for crc32c() from now on. Called once at boot, before any mount. */
void
crc32c_accel_register(crc32c_accel_fn *fn)
{
	accel = fn;
}
