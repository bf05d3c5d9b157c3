/* abi_kernel.c - the same table as the host's kernel headers have it. A few names differ there. */
#include <asm/mman.h>
#include <asm/poll.h>
#include <asm/prctl.h>
#include <asm/resource.h>
#include <asm/sigcontext.h>
#include <asm/siginfo.h>
#include <asm/signal.h>
#include <asm/stat.h>
#include <asm/statfs.h>
#include <asm/termbits.h>
#include <asm/termios.h>
#include <asm/ucontext.h>
#include <asm/unistd.h>
#include <linux/auxvec.h>
#include <linux/elf.h>
#include <linux/errno.h>
#include <linux/fadvise.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/limits.h>
#include <linux/magic.h>
#include <linux/mman.h>
#include <linux/mount.h>
#include <linux/prctl.h>
#include <linux/random.h>
#include <linux/reboot.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/stat.h>
#include <linux/sysinfo.h>
#include <linux/time.h>
#include <linux/times.h>
#include <linux/uio.h>
#include <linux/utsname.h>
#include <linux/wait.h>
#include "grade/host/abi_table.h"

#define fpstate _fpstate
#define utsname new_utsname
#define st_atim st_atime
#define st_mtim st_mtime
#define st_ctim st_ctime
#define NUMBER(name, nr) { "SYS_" #name, __NR_##name },

const struct abi_row abi_kernel[] = {
#include "grade/host/abi_rows.h"
	{ NULL, 0 }
};
