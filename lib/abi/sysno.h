/* sysno.h - SYS_read, SYS_write, ...: the numbers of syscalls.h as constants. */
#pragma once

enum sysno {
#define SYSCALL(nr, name, nargs) SYS_##name = nr,
#include "lib/abi/syscalls.h"
#undef SYSCALL
	SYSNO_MAX = 450,        /* the largest number in the list */
};
