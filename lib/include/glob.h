/* glob.h - names of files that match a pattern. */
#pragma once
#include <stddef.h>

#define GLOB_NOSPACE 1
#define GLOB_NOMATCH 3

typedef struct {
	size_t gl_pathc;
	char **gl_pathv;        /* sorted; NULL ends it */
} glob_t;

/* flags must be 0 and error NULL: what cannot be read matches nothing. */
int glob(const char *restrict pattern, int flags, int (*error)(const char *, int), glob_t *restrict g);
void globfree(glob_t *g);
