/* string.c - memory and string functions for kernel and programs.
 *
 * Idea.       Bulk copies and fills go eight bytes at a time with rep movsq/stosq, the last n % 8 bytes one by
 *             one. In the emulator a rep instruction costs the same per element whatever its width, so the byte
 *             forms would be eight times slower. Short copies, the usual case, skip rep's start-up cost.
 * Interface.  string.h.
 * Invariants. Compilers like to replace such loops by calls of memcpy or strlen: of themselves, here. An empty
 *             asm statement (KEEP_LOOP) in the body forbids it.
 */
#include "lib/kern/string.h"
#include <stdint.h>

#define REP_MIN 64      /* below this a plain loop is faster than rep */

#define KEEP_LOOP() __asm__ volatile("")

/* A word that may alias anything and lie anywhere. */
typedef uint64_t __attribute__((may_alias, aligned(1))) word_t;

void *
memcpy(void *restrict dst, const void *restrict src, size_t n)
{
	char *d = dst;
	const char *s = src;

	if (n >= REP_MIN) {
		size_t words = n / 8;

		__asm__ volatile("rep movsq" : "+D"(d), "+S"(s), "+c"(words) : : "memory");
		n %= 8;
	}
	for (; n >= 8; n -= 8, d += 8, s += 8) {
		KEEP_LOOP();
		*(word_t *)d = *(const word_t *)s;
	}
	while (n-- > 0) {
		KEEP_LOOP();
		*d++ = *s++;
	}
	return dst;
}

/* Like memcpy, but the areas may overlap. Copying upwards is right whenever dst is not inside [src, src + n). */
void *
memmove(void *dst, const void *src, size_t n)
{
	char *d = dst;
	const char *s = src;

	if ((uintptr_t)d - (uintptr_t)s >= n) {
		if ((uintptr_t)s - (uintptr_t)d >= 8)
			return memcpy(dst, src, n);
		while (n-- > 0) {       /* closer than a word: byte by byte */
			KEEP_LOOP();
			*d++ = *s++;
		}
		return dst;
	}
	for (; n >= 8 && d - s >= 8; n -= 8)
		*(word_t *)(d + n - 8) = *(const word_t *)(s + n - 8);
	while (n-- > 0) {
		KEEP_LOOP();
		d[n] = s[n];
	}
	return dst;
}

void *
memset(void *dst, int c, size_t n)
{
	char *d = dst;
	uint64_t word = 0x0101010101010101ull * (unsigned char)c;

	if (n >= REP_MIN) {
		size_t words = n / 8;

		__asm__ volatile("rep stosq" : "+D"(d), "+c"(words) : "a"(word) : "memory");
		n %= 8;
	}
	for (; n >= 8; n -= 8, d += 8) {
		KEEP_LOOP();
		*(word_t *)d = word;
	}
	while (n-- > 0) {
		KEEP_LOOP();
		*d++ = c;
	}
	return dst;
}

int
memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *p = a, *q = b;

	if (n >= REP_MIN) {
		size_t words = n / 8;

		__asm__ volatile("repe cmpsq" : "+S"(p), "+D"(q), "+c"(words) : : "memory", "cc");
		p -= 8;         /* the last word compared: the first that differs, if one does */
		q -= 8;
		n -= (size_t)(p - (const unsigned char *)a);
	}
	while (n >= 8 && *(const word_t *)p == *(const word_t *)q)
		n -= 8, p += 8, q += 8;
	for (; n > 0; n--, p++, q++) {
		if (*p != *q)
			return *p - *q;
	}
	return 0;
}

void *
memchr(const void *s, int c, size_t n)
{
	const unsigned char *p = s;

	for (; n > 0; n--, p++) {
		if (*p == (unsigned char)c)
			return (void *)p;
	}
	return NULL;
}

size_t
strlen(const char *s)
{
	size_t n = 0;

	for (; s[n]; n++)
		KEEP_LOOP();
	return n;
}

size_t
strnlen(const char *s, size_t max)
{
	size_t n = 0;

	while (n < max && s[n])
		n++;
	return n;
}

int
strcmp(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return (unsigned char)*a - (unsigned char)*b;
}

int
strncmp(const char *a, const char *b, size_t n)
{
	for (; n > 0; n--, a++, b++) {
		if (*a != *b || !*a)
			return (unsigned char)*a - (unsigned char)*b;
	}
	return 0;
}

/* The first c in s, which may be the final NUL; NULL if none. */
char *
strchr(const char *s, int c)
{
	for (;; s++) {
		if (*s == (char)c)
			return (char *)s;
		if (!*s)
			return NULL;
	}
}

/* The last c in s. */
char *
strrchr(const char *s, int c)
{
	const char *found = NULL;

	for (;; s++) {
		if (*s == (char)c)
			found = s;
		if (!*s)
			return (char *)found;
	}
}

char *
strstr(const char *s, const char *what)
{
	size_t n = strlen(what);

	for (;; s++) {
		if (strncmp(s, what, n) == 0)
			return (char *)s;
		if (!*s)
			return NULL;
	}
}

size_t
strlcpy(char *restrict dst, const char *restrict src, size_t size)
{
	size_t n = strlen(src);

	if (size > 0) {
		size_t fit = n < size ? n : size - 1;

		memcpy(dst, src, fit);
		dst[fit] = 0;
	}
	return n;
}

size_t
strlcat(char *restrict dst, const char *restrict src, size_t size)
{
	size_t n = strnlen(dst, size);

	if (n == size)
		return size + strlen(src);
	return n + strlcpy(dst + n, src, size - n);
}
