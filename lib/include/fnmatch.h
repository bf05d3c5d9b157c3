/* fnmatch.h - does a string match a pattern of * ? [a-z] [!a-z] \c and characters? */
#pragma once

#define FNM_NOMATCH 1
#define FNM_PERIOD  4           /* a . at the beginning only matches a . */

int fnmatch(const char *pattern, const char *s, int flags);
