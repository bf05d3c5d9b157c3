/* crc_x86.c - CRC-32C by the crc32 instruction of SSE4.2.                                      (lab 8)
 *
 * Idea.       One instruction takes eight bytes (Intel SDM vol. 2A, CRC32); it works on general registers,
 *             so the kernel may use it. CPUs without it keep the tables of crc.c.
 * Interface.  Registers with crc32c_accel_register().
 * Invariants. None. Locks. None.
 */
#include "fs/eclipsefs/crc.h"

#include "kern/boot/cpu.h"
#include "kern/boot/initcall.h"

#define CPUID1_ECX_SSE42 (1u << 20)

/* Eight bytes, a step of the loop below. */
#define CRC_STEP(i) asm("crc32q %1, %0" : "+r"(c) : "m"(*(const uint64_t *)(p + 8 * (i))))

static uint32_t
crc32c_x86(uint32_t state, const void *data, size_t n)
{
	const uint8_t *p = data;
	uint64_t c = state;

	for (; n >= 64; n -= 64, p += 64) {
		CRC_STEP(0); CRC_STEP(1); CRC_STEP(2); CRC_STEP(3);
		CRC_STEP(4); CRC_STEP(5); CRC_STEP(6); CRC_STEP(7);
	}
	for (; n >= 8; n -= 8, p += 8)
		CRC_STEP(0);
	for (; n > 0; n--, p++)
		asm("crc32b %1, %0" : "+r"(c) : "m"(*p));
	return c;
}

static void
crc_x86_init(void)
{
	uint32_t r[4];

	cpuid(1, 0, r);
	if (r[2] & CPUID1_ECX_SSE42)
		crc32c_accel_register(crc32c_x86);
}
INITCALL(8, crc_x86_init);
