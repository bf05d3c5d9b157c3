/* abi_libc.c - the second table as the host's C library has it. */
#define _GNU_SOURCE
#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "grade/host/abi_table.h"

#define linux_dirent64 dirent64

const struct abi_row abi_libc[] = {
#include "grade/host/abi_rows_libc.h"
	{ NULL, 0 }
};
