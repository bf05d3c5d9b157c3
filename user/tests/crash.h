/* crash.h - what a crash workload tells the oracle, on one sector of the marker disk per operation.
 *
 * Idea.       Before each operation a process writes one record: what it is going to do, and how the one
 *             before ended. So the record of operation i says "i has begun; all before it have returned".
 *             The marker disk is another disk than the one under test, but both are recorded by one
 *             process, so the order of records and disk writes is known. Bytes written to files are a
 *             function of (operation, offset): whoever finds one can say who wrote it when.
 * Interface.  struct crash_record, crash_byte(). Used by crash.c in the guest and by grade/crash/ on the
 *             host.
 */
#pragma once
#include <stdint.h>

#define CRASH_MAGIC 0x48535243u         /* "CRSH" */
#define CRASH_PATH  120
#define CRASH_PROCS 16          /* process p writes its records to block p of the marker disk, works in /p<p> */

enum crash_op {
	CRASH_BEGIN,                    /* nothing; the first record of a process */
	CRASH_CREATE,                   /* open with O_CREAT | O_EXCL, mode 0644 */
	CRASH_WRITE,                    /* len bytes at off: crash_byte(id, off + i) */
	CRASH_WRITE_SYNC,               /* the same, through O_SYNC */
	CRASH_TRUNCATE,                 /* to off */
	CRASH_FSYNC,                    /* file or directory; msync(MS_SYNC) of a whole file too */
	CRASH_FDATASYNC,
	CRASH_SYNC,
	CRASH_MKDIR,                    /* mode 0755 */
	CRASH_RMDIR,
	CRASH_UNLINK,
	CRASH_RENAME,                   /* path to path2 */
	CRASH_LINK,                     /* path2 is a new name of path */
	CRASH_SYMLINK,                  /* path2 points at the text path */
	CRASH_CHMOD,                    /* mode: off */
	CRASH_OTHER,                    /* anything that promises and changes nothing */
	CRASH_END                       /* the last record of a process */
};

struct crash_record {
	uint32_t magic, proc, index, op;
	int32_t result;                 /* of operation index-1: >= 0 or -errno */
	uint32_t zero;
	uint64_t off, len;
	char path[CRASH_PATH], path2[CRASH_PATH];
	char pad[512 - 40 - 2 * CRASH_PATH];
};
_Static_assert(sizeof(struct crash_record) == 512, "one sector");

/* Eight bytes of content: word k of what the operation with this id writes. Never zero bytes. */
static inline uint64_t
crash_word(uint64_t id, uint64_t k)
{
	uint64_t x = (id << 40 ^ k) * 0x9e3779b97f4a7c15ull + 0x7f4a7c15ull;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return (x ^ x >> 31) | 0x0101010101010101ull;
}

static inline uint8_t
crash_byte(uint64_t id, uint64_t at)
{
	return (uint8_t)(crash_word(id, at / 8) >> at % 8 * 8);
}

static inline uint64_t
crash_id(uint32_t proc, uint32_t index)
{
	return (uint64_t)proc << 20 | index;
}
