/* model.h - what a crashed disk may hold, from the workload's own announcements. */
#ifndef CRASH_MODEL_H
#define CRASH_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/tests/crash.h"

/* One thing found on the disk under a name. */
struct found {
	const char *path;
	uint64_t hash;			/* of path */
	uint32_t ino, mode, nlink;
	uint64_t size;
	const uint8_t *data;		/* files and symlinks: size bytes */
};

void model_add(const struct crash_record *r);
bool model_finish(char *why, size_t n);
void model_announced(uint32_t proc, uint32_t index);
void model_reset(void);
bool model_check(const struct found *found, size_t n, char *why, size_t room);
uint64_t model_hash(const void *p, size_t n);

#endif
