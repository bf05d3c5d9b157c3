/* random.c - random bytes from ChaCha20.                                                       (lab 4)
 *
 * Idea.       ChaCha20 (RFC 8439) stretches a 256-bit key into a stream of bytes. After every request the
 *             key is replaced by the next 32 bytes of its own stream, so that what was given out cannot be
 *             computed from what is in memory later. Short requests share a batch: a block costs 2500
 *             instructions. The key starts from RDRAND where the CPU has it, the TSC, the clock and the
 *             memory map.
 * Interface.  random_bytes, random_mix.
 * Locks.      random_lock.
 */
#include "kern/proc/random.h"
#include "kern/boot/bootinfo.h"
#include "kern/boot/initcall.h"
#include "kern/boot/spinlock.h"
#include "kern/trap/clock.h"
#include "lib/kern/string.h"

#define KEY_WORDS 8
#define BLOCK 64
#define BATCH (8 * BLOCK)
#define CPUID_RDRAND (1u << 30)       /* leaf 1, ecx */

static struct spinlock random_lock = SPINLOCK("random", RANK(4, 2));
static uint32_t key[KEY_WORDS];
/* [random_lock] bytes of the stream not given out yet: the last batch_left */
static uint8_t batch[BATCH] __attribute__((aligned(4)));
static size_t batch_left;

static inline uint32_t
rotl(uint32_t x, int n)
{
	return x << n | x >> (32 - n);
}

static inline void
quarter(uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d)
{
	*a += *b; *d = rotl(*d ^ *a, 16);
	*c += *d; *b = rotl(*b ^ *c, 12);
	*a += *b; *d = rotl(*d ^ *a, 8);
	*c += *d; *b = rotl(*b ^ *c, 7);
}

/* One block of the stream of `k`: RFC 8439, 2.3, with a 64-bit counter and no nonce. */
static void
chacha_block(const uint32_t k[KEY_WORDS], uint64_t counter, uint32_t out[BLOCK / 4])
{
	uint32_t x[16] = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 }, in[16];

	memcpy(&x[4], k, KEY_WORDS * 4);
	memcpy(&x[12], &counter, 8);
	memcpy(in, x, sizeof in);
	for (int i = 0; i < 10; i++) {
		for (int c = 0; c < 4; c++)
			quarter(&x[c], &x[4 + c], &x[8 + c], &x[12 + c]);
		for (int c = 0; c < 4; c++)
			quarter(&x[c], &x[4 + (c + 1) % 4], &x[8 + (c + 2) % 4], &x[12 + (c + 3) % 4]);
	}
	for (int i = 0; i < 16; i++)
		out[i] = x[i] + in[i];
}

/* A new batch and a new key, both from the old key. Requires: random_lock. */
static void
batch_refill(void)
{
	uint32_t block[BLOCK / 4];

	key[0] ^= (uint32_t)rdtsc();
	for (int i = 0; i < BATCH / BLOCK; i++)
		chacha_block(key, i + 1, (uint32_t *)(batch + i * BLOCK));
	chacha_block(key, 0, block);
	memcpy(key, block, sizeof key);
	batch_left = BATCH;
}

/* Fill buf. What is given out is forgotten at once. */
void
random_bytes(void *buf, size_t n)
{
	uint8_t *p = buf;

	while (n > 0) {
		size_t part;

		spin_lock(&random_lock);
		if (batch_left == 0)
			batch_refill();
		part = n < batch_left ? n : batch_left;
		memcpy(p, batch + BATCH - batch_left, part);
		memset(batch + BATCH - batch_left, 0, part);
		batch_left -= part;
		spin_unlock(&random_lock);
		p += part;
		n -= part;
	}
}

/* Stir bytes into the key. They need not be secret: they cannot make it worse. */
void
random_mix(const void *seed, size_t n)
{
	const uint8_t *s = seed;
	uint32_t block[BLOCK / 4];

	spin_lock(&random_lock);
	while (n > 0) {
		size_t part = n < sizeof key ? n : sizeof key;

		for (size_t i = 0; i < part; i++)
			((uint8_t *)key)[i] ^= s[i];
		chacha_block(key, 0, block);
		memcpy(key, block, sizeof key);
		s += part;
		n -= part;
	}
	batch_left = 0;
	spin_unlock(&random_lock);
}

static uint64_t
hardware_random(void)
{
	uint32_t r[4];
	uint64_t v = 0;
	uint8_t ok = 0;

	cpuid(1, 0, r);
	for (int i = 0; i < 10 && (r[2] & CPUID_RDRAND) && !ok; i++)
		asm volatile("rdrand %0; setc %1" : "=r"(v), "=qm"(ok) :: "cc");
	return v ^ rdtsc();
}

static void
random_init(void)
{
	uint64_t seed[6] = { clock_ns(), clock_wall_ns() };

	for (int i = 2; i < 6; i++)
		seed[i] = hardware_random();
	random_mix(seed, sizeof seed);
	random_mix(bootinfo.mem, sizeof bootinfo.mem);
}

INITCALL(4, random_init);
