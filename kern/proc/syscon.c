/* syscon.c - read and write for programs, as long as there are no files: the console.          (lab 4)
 *
 * Idea.       Descriptor 0 reads a line that a person edits, 1 and 2 write. Lab 7 replaces these calls.
 * Locks.      read_lock: one reader at a time. May sleep long; nothing below it but the console.
 */
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/proc/conin.h"
#include "kern/proc/mutex.h"
#include "kern/proc/proc.h"
#include "kern/trap/syscall.h"
#include "kern/trap/usercopy.h"
#include "lib/abi/errno.h"
#include "lib/abi/uio.h"

#define CTRL(c) ((c) & 0x1f)
#define LINE 256
#define MAX_IOV 1024

static struct mutex read_lock = MUTEX(read_lock, "console line", RANK(4, 70));
static char line[LINE];               /* [read_lock] */
static size_t line_len, line_pos;     /* [read_lock] not read yet: line_pos .. line_len - 1 */

/* Edit a line until Enter or ^D. Returns: 0 or -ERESTARTSYS. Requires: read_lock. */
static int
line_read(void)
{
	line_len = line_pos = 0;
	for (;;) {
		int ch = conin_wait();
		char c = ch == '\r' ? '\n' : ch;

		if (ch < 0)
			return ch;
		if (c == '\b' || c == 0x7f) {
			if (line_len > 0) {
				line_len--;
				cons_write("\b \b", 3);
			}
		} else if (c == CTRL('D')) {
			return 0;
		} else if (line_len < LINE - 1 || c == '\n') {
			line[line_len++] = c;
			cons_text(&c, 1);
			if (c == '\n')
				return 0;
		}
	}
}

static long
sys_read(int fd, uint64_t ubuf, size_t n)
{
	long r = 0;

	if (fd != 0)
		return -EBADF;
	if (n == 0)
		return 0;
	mutex_lock(&read_lock);
	if (line_pos == line_len)
		r = line_read();
	if (r == 0) {
		n = n < line_len - line_pos ? n : line_len - line_pos;
		r = copyout(ubuf, line + line_pos, n) ? -EFAULT : (long)n;
		line_pos += r > 0 ? r : 0;
	}
	mutex_unlock(&read_lock);
	return r;
}

static long
sys_write(int fd, uint64_t ubuf, size_t n)
{
	char buf[256];
	size_t done = 0;

	if (fd != 1 && fd != 2)
		return -EBADF;
	while (done < n && !current()->killed) {
		size_t part = n - done < sizeof buf ? n - done : sizeof buf;

		if (copyin(buf, ubuf + done, part))
			return done ? (long)done : -EFAULT;
		cons_text(buf, part);
		done += part;
	}
	return done;
}

static long
sys_writev(int fd, uint64_t uiov, int n)
{
	struct iovec v;
	long done = 0, r;

	if (n < 0 || n > MAX_IOV)
		return -EINVAL;
	for (int i = 0; i < n; i++) {
		if (copyin(&v, uiov + i * sizeof v, sizeof v))
			return done ? done : -EFAULT;
		r = sys_write(fd, (uint64_t)v.iov_base, v.iov_len);
		if (r < 0)
			return done ? done : r;
		done += r;
	}
	return done;
}

static void
syscon_init(void)
{
	SYSCALL_REG(read, sys_read);
	SYSCALL_REG(write, sys_write);
	SYSCALL_REG(writev, sys_writev);
}

INITCALL(4, syscon_init);
