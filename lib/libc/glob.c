/* glob.c - patterns, and the names of files that match them. */
#include <dirent.h>
#include <fnmatch.h>
#include <glob.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Does c match the first element of the pattern? Returns: what follows the element; NULL if not. */
static const char *
element_match(const char *p, unsigned char c)
{
	bool negate = p[1] == '!' || p[1] == '^', found = false;
	const char *q = p + 1 + negate;

	if (*p == '?')
		return p + 1;
	if (*p == '[') {
		for (bool first = true; *q && (first || *q != ']'); first = false) {
			unsigned char low, high;

			q += *q == '\\' && q[1];
			low = high = *q++;
			if (*q == '-' && q[1] && q[1] != ']') {
				high = q[1];
				q += 2;
			}
			found |= low <= c && c <= high;
		}
		if (*q)                         /* else a [ that is never closed is just itself */
			return found != negate ? q + 1 : NULL;
	}
	p += *p == '\\' && p[1];
	return *p && (unsigned char)*p == c ? p + 1 : NULL;
}

/* To let the last * take more is enough: an earlier one could not help. */
int
fnmatch(const char *p, const char *s, int flags)
{
	const char *star = NULL, *taken = s, *next;

	if ((flags & FNM_PERIOD) && *s == '.' && p[*p == '\\'] != '.')
		return FNM_NOMATCH;
	while (*s) {
		if (*p == '*') {
			star = ++p;
			taken = s;
		} else if ((next = element_match(p, *s)) != NULL) {
			p = next;
			s++;
		} else if (star) {
			p = star;
			s = ++taken;
		} else {
			return FNM_NOMATCH;
		}
	}
	return p[strspn(p, "*")] ? FNM_NOMATCH : 0;
}

/* Add the path a b c to the names. Returns: false without memory. */
static bool
path_add(glob_t *g, const char *a, const char *b, const char *c)
{
	char *path = malloc(strlen(a) + strlen(b) + strlen(c) + 1);
	char **more = realloc(g->gl_pathv, (g->gl_pathc + 2) * sizeof path);

	if (more)
		g->gl_pathv = more;
	if (!more || !path) {
		free(path);
		return false;
	}
	more[g->gl_pathc++] = strcat(strcat(strcpy(path, a), b), c);
	more[g->gl_pathc] = NULL;
	return true;
}

/* Add what the first part of the pattern, n characters up to its slashes, matches in the directory `dir`, which
 * is "" or ends in a slash, with these slashes. Returns: false without memory. */
static bool
part_match(glob_t *g, const char *dir, const char *pattern, size_t n)
{
	char *part = strndup(pattern, n), *slashes = strndup(pattern + n, strspn(pattern + n, "/"));
	DIR *d = part && slashes && n > 0 ? opendir(*dir ? dir : ".") : NULL;
	bool good = part && slashes && (n > 0 || path_add(g, dir, "", slashes));
	struct dirent *e;

	while (good && d && (e = readdir(d)) != NULL) {
		if (fnmatch(part, e->d_name, FNM_PERIOD) == 0)
			good = path_add(g, dir, e->d_name, slashes);
	}
	if (d)
		closedir(d);
	free(part);
	free(slashes);
	return good;
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void
globfree(glob_t *g)
{
	for (size_t i = 0; i < g->gl_pathc; i++)
		free(g->gl_pathv[i]);
	free(g->gl_pathv);
	*g = (glob_t){ 0, NULL };
}

/* Part by part: what the parts so far have matched are the directories to look for the next one in. */
int
glob(const char *restrict pattern, int flags, int (*error)(const char *, int), glob_t *restrict g)
{
	glob_t dirs = { 0, NULL }, found;
	bool good = path_add(&dirs, "", "", "");

	(void)flags;
	(void)error;
	while (good && *pattern) {
		size_t n = strcspn(pattern, "/");

		found = (glob_t){ 0, NULL };
		for (size_t i = 0; good && i < dirs.gl_pathc; i++)
			good = part_match(&found, dirs.gl_pathv[i], pattern, n);
		globfree(&dirs);
		dirs = found;
		pattern += n + strspn(pattern + n, "/");
	}
	if (!good)
		globfree(&dirs);
	*g = dirs;
	if (g->gl_pathc > 0)
		qsort(g->gl_pathv, g->gl_pathc, sizeof *g->gl_pathv, compare);
	return !good ? GLOB_NOSPACE : g->gl_pathc == 0 ? GLOB_NOMATCH : 0;
}
