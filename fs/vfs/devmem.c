/* devmem.c - devices that are only memory: null, zero, full, random, urandom.                 (lab 7)
 *
 * Idea.       The shortest drivers there are. null swallows and has nothing; zero and full have zeros without
 *             an end, full has no room; random and urandom are the kernel's generator (kern/proc/random.c),
 *             which never runs dry.
 * Interface.  Character devices 1:3, 1:5, 1:7, 1:8, 1:9.
 * Locks.      None.
 */
#include "fs/vfs/file.h"
#include "kern/boot/initcall.h"
#include "kern/proc/random.h"
#include "kern/proc/sigslot.h"
#include "kern/trap/syscall.h"
#include "kern/trap/usercopy.h"
#include "lib/abi/errno.h"
#include "lib/abi/mman.h"
#include "lib/kern/string.h"

enum { MAJOR_MEM = 1, BIG = 1 << 20 };

static long
null_read(struct file *f, uint64_t ubuf, size_t n, uint64_t *pos)
{
	(void)f, (void)ubuf, (void)n, (void)pos;
	return 0;
}

static long
null_write(struct file *f, uint64_t ubuf, size_t n, uint64_t *pos)
{
	(void)f, (void)ubuf, (void)pos;
	return n;
}

static long
null_seek(struct file *f, int64_t off, int whence)
{
	(void)f, (void)off, (void)whence;
	return 0;
}

/* Zero as much of the program's memory as there is, up to n bytes. */
static size_t
zero_some(uint64_t ubuf, size_t n)
{
	size_t done = 0;

	if (!user_zero(ubuf, n))
		return n;
	while (done < n) {
		size_t k = PAGE_SIZE - ((ubuf + done) & (PAGE_SIZE - 1));

		k = k < n - done ? k : n - done;
		if (user_zero(ubuf + done, k))
			break;
		done += k;
	}
	return done;
}

/* Zeros, a large piece at a time so that a signal need not wait for gigabytes. */
static long
zero_read(struct file *f, uint64_t ubuf, size_t n, uint64_t *pos)
{
	size_t done = 0, some;

	(void)f, (void)pos;
	if (n <= BIG && !user_zero(ubuf, n))
		return n;
	while (done < n) {
		size_t k = n - done < BIG ? n - done : BIG;

		some = zero_some(ubuf + done, k);
		done += some;
		if (some < k)
			return done ? (long)done : -EFAULT;
		if (done < n && this_cpu->need_resched)
			thread_yield();
		if (done < n && signal_pending())
			break;
	}
	return done;
}

static long
full_write(struct file *f, uint64_t ubuf, size_t n, uint64_t *pos)
{
	(void)f, (void)ubuf, (void)pos;
	return n ? -ENOSPC : 0;
}

static long
random_read(struct file *f, uint64_t ubuf, size_t n, uint64_t *pos)
{
	uint8_t chunk[256];
	size_t done = 0;

	(void)f, (void)pos;
	while (done < n) {
		size_t k = n - done < sizeof chunk ? n - done : sizeof chunk;

		random_bytes(chunk, k);
		if (copyout(ubuf + done, chunk, k))
			return done ? (long)done : -EFAULT;
		done += k;
		if (done < n && this_cpu->need_resched)
			thread_yield();
		if (done < n && signal_pending())
			break;
	}
	return done;
}

/* What is written is stirred in: it can only make the state harder to guess. */
static long
random_write(struct file *f, uint64_t ubuf, size_t n, uint64_t *pos)
{
	uint8_t chunk[256];
	size_t done = 0;

	(void)f, (void)pos;
	while (done < n) {
		size_t k = n - done < sizeof chunk ? n - done : sizeof chunk;

		if (copyin(chunk, ubuf + done, k))
			return done ? (long)done : -EFAULT;
		random_mix(chunk, k);
		done += k;
		if (done < n && signal_pending())
			break;
	}
	return done;
}

/* ---- mmap of /dev/zero: private zero pages ---- */

static int
zero_page(struct map_object *o, uint64_t index, bool write, struct page **out)
{
	(void)o, (void)index, (void)write;
	*out = page_alloc_zero(PG_ANON);
	return *out ? 0 : -ENOMEM;
}

static void
zero_nothing(struct map_object *o)
{
	(void)o;
}

static size_t
zero_name(struct map_object *o, char *buf, size_t n)
{
	(void)o;
	return strlcpy(buf, "/dev/zero", n);
}

static const struct map_ops zero_map_ops = { .get_page = zero_page, .ref = zero_nothing,
	.unref = zero_nothing, .name = zero_name };
static struct map_object zero_object;

/* Shared mappings would have to show every process the same page; MAP_SHARED | MAP_ANONYMOUS does that, this
 * does not. */
static struct map_object *
zero_map(struct file *f, int prot, int flags, int *err)
{
	(void)f, (void)prot;
	if (flags & MAP_SHARED) {
		*err = -ENODEV;
		return NULL;
	}
	return &zero_object;
}

static const struct file_ops null_ops = { .read = null_read, .write = null_write, .seek = null_seek };
static const struct file_ops zero_ops = { .read = zero_read, .write = null_write, .seek = null_seek,
	.map = zero_map };
static const struct file_ops full_ops = { .read = zero_read, .write = full_write, .seek = null_seek };
static const struct file_ops random_ops = { .read = random_read, .write = random_write, .seek = null_seek };

static void
devmem_init(void)
{
	map_object_init(&zero_object, &zero_map_ops);
	chardev_register(MAJOR_MEM, 3, "null", 0666, &null_ops, NULL);
	chardev_register(MAJOR_MEM, 5, "zero", 0666, &zero_ops, NULL);
	chardev_register(MAJOR_MEM, 7, "full", 0666, &full_ops, NULL);
	chardev_register(MAJOR_MEM, 8, "random", 0666, &random_ops, NULL);
	chardev_register(MAJOR_MEM, 9, "urandom", 0666, &random_ops, NULL);
}

INITCALL(7, devmem_init);
