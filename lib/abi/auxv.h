/* auxv.h - the vector that exec leaves above envp: pairs of (type, value) up to AT_NULL. */
#pragma once
#include <stdint.h>

#define AT_NULL         0
#define AT_IGNORE       1
#define AT_EXECFD       2
#define AT_PHDR         3       /* program headers in user memory */
#define AT_PHENT        4
#define AT_PHNUM        5
#define AT_PAGESZ       6
#define AT_BASE         7       /* where the interpreter was loaded, 0 without one */
#define AT_FLAGS        8
#define AT_ENTRY        9       /* of the program, not of the interpreter */
#define AT_UID          11
#define AT_EUID         12
#define AT_GID          13
#define AT_EGID         14
#define AT_PLATFORM     15      /* "x86_64" */
#define AT_HWCAP        16      /* cpuid 1 edx */
#define AT_CLKTCK       17      /* 100 */
#define AT_SECURE       23
#define AT_BASE_PLATFORM 24
#define AT_RANDOM       25      /* 16 random bytes */
#define AT_HWCAP2       26
#define AT_EXECFN       31
#define AT_SYSINFO_EHDR 33
#define AT_MINSIGSTKSZ  51

struct auxv {
	uint64_t a_type;
	uint64_t a_val;
};
