/* ubsan.c - C's undefined behaviour, seen when it happens (SAN=1).                            (lab 1)
 *
 * Idea.       gcc -fsanitize=undefined puts a test before every operation that C leaves undefined: shifts that
 *             are too far, additions that overflow, indices outside an array, unaligned pointers, and so on.
 *             When a test fails it calls a handler with the place in the source; ours panic with it.
 * Source.     The handlers' names and arguments are the compiler's: gcc's ubsan.h calls them, and lays out
 *             the data that the first argument points to. Each kind begins with the place, but for the
 *             two kinds marked below.
 */
#include "kern/boot/print.h"

struct place { const char *file; uint32_t line, column; };

static void
report(const struct place *p, const char *what)
{
	if (!panicking())
		panic_at(p->file, (int)p->line, "ubsan: %s (column %u)", what, p->column);
}

/* Handlers that get the place and values whose types only the compiler knows. */
#define HANDLER(name, what, ...) \
	void __ubsan_handle_##name(const struct place *p, ##__VA_ARGS__); \
	void __ubsan_handle_##name(const struct place *p, ##__VA_ARGS__) { report(p, what); }

HANDLER(add_overflow, "signed addition overflows")
HANDLER(sub_overflow, "signed subtraction overflows")
HANDLER(mul_overflow, "signed multiplication overflows")
HANDLER(negate_overflow, "negation overflows")
HANDLER(divrem_overflow, "division by zero, or of the smallest number by -1")
HANDLER(shift_out_of_bounds, "shift by a negative number or too far, or of a bit into the sign")
HANDLER(out_of_bounds, "index outside the array")
HANDLER(pointer_overflow, "pointer arithmetic overflows")
HANDLER(load_invalid_value, "a bool or an enum has a value it cannot have")
HANDLER(vla_bound_not_positive, "variable-length array without elements")
HANDLER(nonnull_arg, "null pointer where none may be")
HANDLER(builtin_unreachable, "a place that cannot be reached was reached")
HANDLER(missing_return, "a function that returns a value ended without one")
HANDLER(float_cast_overflow, "floating-point number too large for the integer type")

/* Here the place of the return statement is the second argument. */
void __ubsan_handle_nonnull_return_v1(const void *data, const struct place *p);
void
__ubsan_handle_nonnull_return_v1(const void *data, const struct place *p)
{
	(void)data;
	report(p, "null pointer returned where none may be");
}

/* Null, misaligned, or into an object that is too small: place, type, log2 of the alignment asked for, kind. */
struct mismatch { struct place place; const void *type; uint8_t log_align, kind; };

void __ubsan_handle_type_mismatch_v1(const struct mismatch *m, uint64_t pointer);
void
__ubsan_handle_type_mismatch_v1(const struct mismatch *m, uint64_t pointer)
{
	if (!pointer)
		report(&m->place, "access through a null pointer");
	else if (pointer & ((1ul << m->log_align) - 1))
		report(&m->place, "access through a misaligned pointer");
	else
		report(&m->place, "access to more than the object has");
}
