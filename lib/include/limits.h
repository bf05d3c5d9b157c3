/* limits.h - ranges of the basic types and of names. */
#pragma once
#include "lib/abi/fcntl.h"

#define CHAR_BIT        8
#define SCHAR_MAX       127
#define UCHAR_MAX       255
#define CHAR_MAX        SCHAR_MAX
#define SHRT_MAX        __SHRT_MAX__
#define USHRT_MAX       (SHRT_MAX * 2 + 1)
#define INT_MAX         __INT_MAX__
#define INT_MIN         (-INT_MAX - 1)
#define UINT_MAX        (INT_MAX * 2u + 1)
#define LONG_MAX        __LONG_MAX__
#define LONG_MIN        (-LONG_MAX - 1)
#define ULONG_MAX       (LONG_MAX * 2ul + 1)
#define LLONG_MAX       __LONG_LONG_MAX__
#define LLONG_MIN       (-LLONG_MAX - 1)
#define ULLONG_MAX      (LLONG_MAX * 2ull + 1)
#define SSIZE_MAX       LONG_MAX
#define PIPE_BUF        4096
