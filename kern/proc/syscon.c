/* syscon.c - read and write for programs, as long as there are no files: the console.          (lab 4)
 *
 * Idea.       Descriptor 0 reads a line that a person edits, 1 and 2 write. Lab 7 replaces these calls.
 * Locks.      line_lock guards `reading`: one reader at a time has the line; the others wait, and may be killed.
 */
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/proc/conin.h"
#include "kern/proc/proc.h"
#include "kern/trap/syscall.h"
#include "kern/trap/usercopy.h"
#include "lib/abi/errno.h"
#include "lib/abi/uio.h"

#define CTRL(c) ((c) & 0x1f)
#define LINE 256
#define MAX_IOV 1024

/* key: l line_lock; r who has set reading */
static struct spinlock line_lock = SPINLOCK("console line", RANK(4, 70));
static struct waitq line_wait = WAITQ(line_wait);
static bool reading;                  /* [l] */
static char line[LINE];               /* [r] */
static size_t line_len, line_pos;     /* [r] not read yet: line_pos .. line_len - 1 */

/* Get the line for ourselves. Returns: 0 or -ERESTARTSYS. */
static int
line_take(void)
{
	int err;

	spin_lock(&line_lock);
	err = wait_event_intr(&line_wait, !reading, &line_lock);
	if (!err)
		reading = true;
	spin_unlock(&line_lock);
	return err;
}

static void
line_give(void)
{
	spin_lock(&line_lock);
	reading = false;
	waitq_wake_one(&line_wait);
	spin_unlock(&line_lock);
}

/* Edit a line until Enter or ^D. Returns: 0 or -ERESTARTSYS. Requires: line_take. */
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
	long r;

	if (fd != 0)
		return -EBADF;
	if (n == 0)
		return 0;
	r = line_take();
	if (r)
		return r;
	if (line_pos == line_len)
		r = line_read();
	if (r == 0) {
		n = n < line_len - line_pos ? n : line_len - line_pos;
		r = copyout(ubuf, line + line_pos, n) ? -EFAULT : (long)n;
		line_pos += r > 0 ? r : 0;
	}
	line_give();
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
