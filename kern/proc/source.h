/* source.h - where a program's bytes come from: the boot archive (lab 4) or a file (lab 7).   (lab 4) */
#ifndef KERN_PROC_SOURCE_H
#define KERN_PROC_SOURCE_H

#include <stddef.h>
#include <stdint.h>

struct map_object;           /* lab 5: something whose pages can be mapped */
struct source;

struct source_ops {
	/* bytes (short at the end) or -errno; may sleep */
	long (*read)(struct source *s, uint64_t off, void *buf, size_t n);
	void (*put)(struct source *s);                                       /* the last reference is gone */
};

struct source {
	const struct source_ops *ops;
	uint32_t refs;             /* [a] */
	uint64_t size;             /* bytes, when opened */
	struct map_object *object; /* for lab 5: map pages instead of copying; NULL: only read() */
	uint32_t mode, uid, gid;   /* st_mode for the execute check and set-id bits */
	uint64_t id;               /* lab 7: the file's identity for /proc/PID/exe */
	void *priv;
};

void source_put(struct source *s);

static inline struct source *
source_get(struct source *s)
{
	__atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}

#endif
