/* fmt.h - the core of printf, for kernel and programs. */
#pragma once
#include <stdarg.h>
#include <stddef.h>

/* Where formatted characters go: called once per character, in order. */
typedef void fmt_put(void *arg, char c);

/* Format `f` with the arguments in `ap`, as printf does, passing each character to put(arg, c).
 *
 * Does:     %d %i %u %x %X %o %p %s %c %%, lengths hh h l ll z j t, flags - 0 + space #, width and precision as
 *           numbers or `*`. A NULL string prints as (null). An unknown conversion is printed as it stands.
 * Returns:  the number of characters. Never sleeps, never allocates: usable in panic and interrupts.
 */
size_t fmt_write(fmt_put *put, void *arg, const char *f, va_list ap);

/* Into buf[size], ending in NUL if size > 0. Returns: the length the whole text has; >= size means cut. */
int vsnprintf(char *buf, size_t size, const char *f, va_list ap) __attribute__((format(printf, 3, 0)));
int snprintf(char *buf, size_t size, const char *f, ...) __attribute__((format(printf, 3, 4)));
