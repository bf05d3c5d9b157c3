/* assert.h - stop the program when a condition does not hold. */
#pragma once

#define assert(cond) ((cond) ? (void)0 : assert_fail(#cond, __FILE__, __LINE__))

_Noreturn void assert_fail(const char *cond, const char *file, int line);
