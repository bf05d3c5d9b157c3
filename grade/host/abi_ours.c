/* abi_ours.c - the tables as lib/abi has them. */
#include "lib/abi/auxv.h"
#include "lib/abi/dirent.h"
#include "lib/abi/elf.h"
#include "lib/abi/errno.h"
#include "lib/abi/fcntl.h"
#include "lib/abi/mman.h"
#include "lib/abi/mount.h"
#include "lib/abi/poll.h"
#include "lib/abi/reboot.h"
#include "lib/abi/resource.h"
#include "lib/abi/sched.h"
#include "lib/abi/signal.h"
#include "lib/abi/stat.h"
#include "lib/abi/statfs.h"
#include "lib/abi/sysinfo.h"
#include "lib/abi/sysno.h"
#include "lib/abi/termios.h"
#include "lib/abi/time.h"
#include "lib/abi/types.h"
#include "lib/abi/uio.h"
#include "lib/abi/utsname.h"
#include "lib/abi/wait.h"
#include "grade/host/abi_table.h"

#define NUMBER(name, nr) { "SYS_" #name, SYS_##name },

const struct abi_row abi_ours[] = {
#include "grade/host/abi_rows.h"
	{ NULL, 0 }
};

const struct abi_row abi_ours_libc[] = {
#include "grade/host/abi_rows_libc.h"
	{ NULL, 0 }
};
