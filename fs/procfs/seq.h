/* seq.h - a text that grows.                                                                  (lab 10) */
#ifndef FS_PROCFS_SEQ_H
#define FS_PROCFS_SEQ_H

#include <stdbool.h>
#include <stddef.h>

struct seq {
	char *buf;                 /* not NUL-terminated */
	size_t len, size;
	bool failed;               /* out of memory, or longer than SEQ_MAX: the text is cut */
};

#define SEQ_MAX (1ul << 20)

void seq_put(struct seq *s, const void *data, size_t n);
void seq_printf(struct seq *s, const char *f, ...) __attribute__((format(printf, 2, 3)));
void seq_free(struct seq *s);

#endif
