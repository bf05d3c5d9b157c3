/* kmsg.c - the kernel's log for programs: /proc/kmsg and syslog(2).                           (lab 10)
 *
 * Idea.       The ring of print.c is copied out as it is. Nothing is consumed: everybody sees the newest
 *             bytes.
 * Interface.  System call: syslog, as far as dmesg needs it.
 */
#include "fs/procfs/procfs.h"

#include "fs/vfs/namei.h"
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "kern/trap/syscall.h"
#include "kern/trap/usercopy.h"
#include "lib/abi/errno.h"
#include "lib/abi/sysno.h"

#define LOG_MOST (64 * 1024)

/* Linux's numbers for syslog's first argument. */
enum { LOG_CLOSE = 0, LOG_OPEN = 1, LOG_READ_ALL = 3, LOG_CLEAR = 5, LOG_CONSOLE_OFF = 6, LOG_CONSOLE_ON = 7,
	LOG_CONSOLE_LEVEL = 8, LOG_SIZE_UNREAD = 9, LOG_SIZE = 10 };

static int
show_kmsg(struct seq *s, struct proc *p)
{
	char *buf = kmalloc(LOG_MOST);

	(void)p;
	if (!buf)
		return -ENOMEM;
	seq_put(s, buf, klog_read(buf, LOG_MOST));
	kfree(buf);
	return 0;
}

static long
read_all(uint64_t ubuf, size_t n)
{
	struct seq s = { 0 };
	long r = show_kmsg(&s, NULL);

	if (!r && s.failed)
		r = -ENOMEM;
	size_t len = s.len < n ? s.len : n;
	if (!r)
		r = copyout(ubuf, s.buf + (s.len - len), len) ? -EFAULT : (long)len;
	seq_free(&s);
	return r;
}

/* Returns: for reading the bytes copied (the newest that fit), for sizes the size, else 0; -EPERM, -EINVAL,
 * -EFAULT. */
static long
sys_syslog(int what, uint64_t ubuf, int n)
{
	if (what != LOG_READ_ALL && what != LOG_SIZE && !cred_is_root())
		return -EPERM;
	switch (what) {
	case LOG_READ_ALL:
		return n < 0 || !ubuf ? -EINVAL : read_all(ubuf, n);
	case LOG_SIZE:
		return LOG_MOST;
	case LOG_CLOSE:
	case LOG_OPEN:
	case LOG_CLEAR:
	case LOG_CONSOLE_OFF:
	case LOG_CONSOLE_ON:
	case LOG_CONSOLE_LEVEL:
	case LOG_SIZE_UNREAD:
		return 0;
	}
	return -EINVAL;
}

static struct proc_entry entry = { .dir = "", .name = "kmsg", .mode = S_IFREG | 0400, .show = show_kmsg };

static void
kmsg_init(void)
{
	procfs_register(&entry, 1);
	SYSCALL_REG(syslog, sys_syslog);
}
INITCALL(10, kmsg_init);
