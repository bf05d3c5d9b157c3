/* fmt.c - the core of printf.
 *
 * Idea.       Each conversion is parsed into a struct spec, then printed as
 *                 padding | sign or 0x | zeros | digits or text | padding
 *             where only the lengths of these parts differ between conversions.
 * Interface.  fmt_write() with any sink; snprintf() on top of it.
 * Locks.      None, no static state.
 */
#include "lib/kern/fmt.h"
#include "lib/kern/string.h"
#include <stdbool.h>
#include <stdint.h>

struct out {
	fmt_put *put;
	void *arg;
	size_t count;           /* characters so far */
};

struct spec {
	bool left, zero, plus, space, alt;
	int width;
	int precision;          /* -1: none given */
	int size;               /* of an integer argument, in bytes */
	char conv;
};

static void
out_char(struct out *o, char c)
{
	o->put(o->arg, c);
	o->count++;
}

static void
out_fill(struct out *o, char c, int n)
{
	while (n-- > 0)
		out_char(o, c);
}

static void
out_bytes(struct out *o, const char *s, size_t n)
{
	while (n-- > 0)
		out_char(o, *s++);
}

/* A width or precision: digits, or `*` for an int argument. */
static const char *
parse_number(const char *f, int *n, va_list *ap)
{
	if (*f == '*') {
		*n = va_arg(*ap, int);
		return f + 1;
	}
	for (*n = 0; *f >= '0' && *f <= '9'; f++) {
		if (*n < 100000)
			*n = *n * 10 + (*f - '0');
	}
	return f;
}

static const char *
parse_flags(const char *f, struct spec *s)
{
	for (;; f++) {
		switch (*f) {
		case '-': s->left = true; break;
		case '0': s->zero = true; break;
		case '+': s->plus = true; break;
		case ' ': s->space = true; break;
		case '#': s->alt = true; break;
		default: return f;
		}
	}
}

static const char *
parse_length(const char *f, struct spec *s)
{
	s->size = sizeof(int);
	switch (*f) {
	case 'h':
		s->size = f[1] == 'h' ? 1 : 2;
		return f + (f[1] == 'h' ? 2 : 1);
	case 'l':
		s->size = 8;
		return f + (f[1] == 'l' ? 2 : 1);
	case 'z': case 'j': case 't':
		s->size = 8;
		return f + 1;
	default:
		return f;
	}
}

/* Read what stands between % and the conversion letter.
 * Returns: the position after the letter; at the end of the string, the position of its NUL.
 */
static const char *
parse_spec(const char *f, struct spec *s, va_list *ap)
{
	memset(s, 0, sizeof *s);
	f = parse_flags(f, s);
	f = parse_number(f, &s->width, ap);
	if (s->width < 0) {
		s->left = true;
		s->width = -s->width;
	}
	s->precision = -1;
	if (*f == '.')
		f = parse_number(f + 1, &s->precision, ap);
	f = parse_length(f, s);
	s->conv = *f;
	return *f ? f + 1 : f;
}

/* Print prefix, zeros and body in the field that the spec describes. */
static void
out_field(struct out *o, const struct spec *s, const char *prefix, int zeros, const char *body, int n)
{
	int pad = s->width - (int)strlen(prefix) - zeros - n;

	if (!s->left)
		out_fill(o, ' ', pad);
	out_bytes(o, prefix, strlen(prefix));
	out_fill(o, '0', zeros);
	out_bytes(o, body, n);
	if (s->left)
		out_fill(o, ' ', pad);
}

static uint64_t
arg_integer(const struct spec *s, bool is_signed, va_list *ap)
{
	uint64_t v = s->size == 8 ? va_arg(*ap, uint64_t) : va_arg(*ap, unsigned int);

	switch (s->size) {
	case 1: return is_signed ? (uint64_t)(int8_t)v : (uint8_t)v;
	case 2: return is_signed ? (uint64_t)(int16_t)v : (uint16_t)v;
	case 4: return is_signed ? (uint64_t)(int32_t)v : (uint32_t)v;
	default: return v;
	}
}

static const char *
integer_prefix(const struct spec *s, bool is_signed, bool negative, bool nonzero)
{
	if (is_signed)
		return negative ? "-" : s->plus ? "+" : s->space ? " " : "";
	if (s->conv == 'p')
		return "0x";
	if (s->alt && nonzero && (s->conv == 'x' || s->conv == 'X'))
		return s->conv == 'x' ? "0x" : "0X";
	return "";
}

static void
out_integer(struct out *o, const struct spec *s, va_list *ap)
{
	bool is_signed = s->conv == 'd' || s->conv == 'i';
	unsigned base = is_signed || s->conv == 'u' ? 10 : s->conv == 'o' ? 8 : 16;
	const char *digits = s->conv == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
	uint64_t v = arg_integer(s, is_signed, ap), rest;
	bool negative = is_signed && (int64_t)v < 0;
	const char *prefix = integer_prefix(s, is_signed, negative, v != 0);
	char buf[24];
	int n = 0, zeros = 0;

	for (rest = negative ? -v : v; rest; rest /= base)
		buf[sizeof buf - ++n] = digits[rest % base];
	if (s->precision >= 0)
		zeros = s->precision - n;
	else if (n == 0)
		zeros = 1;
	if (s->conv == 'o' && s->alt && zeros <= 0 && (n == 0 || v))
		zeros = 1;
	if (s->zero && !s->left && s->precision < 0 && s->width - (int)strlen(prefix) - n > zeros)
		zeros = s->width - (int)strlen(prefix) - n;
	out_field(o, s, prefix, zeros > 0 ? zeros : 0, buf + sizeof buf - n, n);
}

static void
out_conversion(struct out *o, struct spec *s, va_list *ap)
{
	const char *str;
	char c;

	switch (s->conv) {
	case 'p':
		s->size = 8;
		/* fall through */
	case 'd': case 'i': case 'u': case 'x': case 'X': case 'o':
		out_integer(o, s, ap);
		break;
	case 's':
		str = va_arg(*ap, const char *);
		if (!str)
			str = "(null)";
		out_field(o, s, "", 0, str, s->precision < 0 ? strlen(str) : strnlen(str, s->precision));
		break;
	case 'c':
		c = va_arg(*ap, int);
		out_field(o, s, "", 0, &c, 1);
		break;
	case '%':
		out_char(o, '%');
		break;
	default:
		out_char(o, '%');
		if (s->conv)
			out_char(o, s->conv);
	}
}

size_t
fmt_write(fmt_put *put, void *arg, const char *f, va_list ap)
{
	struct out o = { put, arg, 0 };
	struct spec s;
	va_list args;

	va_copy(args, ap);
	while (*f) {
		if (*f != '%') {
			out_char(&o, *f++);
			continue;
		}
		f = parse_spec(f + 1, &s, &args);
		out_conversion(&o, &s, &args);
	}
	va_end(args);
	return o.count;
}

struct buffer {
	char *at, *end;         /* end: where the NUL goes at the latest */
};

static void
buffer_put(void *arg, char c)
{
	struct buffer *b = arg;

	if (b->at < b->end)
		*b->at++ = c;
}

int
vsnprintf(char *buf, size_t size, const char *f, va_list ap)
{
	struct buffer b = { buf, size > 0 ? buf + size - 1 : buf };
	size_t n = fmt_write(buffer_put, &b, f, ap);

	if (size > 0)
		*b.at = 0;
	return n;
}

int
snprintf(char *buf, size_t size, const char *f, ...)
{
	va_list ap;
	int n;

	va_start(ap, f);
	n = vsnprintf(buf, size, f, ap);
	va_end(ap);
	return n;
}
