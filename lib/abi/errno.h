/* errno.h - error numbers. The kernel returns them negated; the library sets errno. */
#pragma once

enum errno_code {
#define ERRNO(nr, name, text) name = nr,
#include "lib/abi/errnos.h"
#undef ERRNO
	EWOULDBLOCK = EAGAIN,
	EDEADLOCK = EDEADLK,
	ENOTSUP = EOPNOTSUPP,

	ERRNO_MAX = 4095,       /* a result above (unsigned long)-4096 is an error */
};
