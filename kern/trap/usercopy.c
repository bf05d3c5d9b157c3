/* usercopy.c - checked copies between kernel and user memory.                                (lab 3)
 *
 * Idea.       Check the range against USER_END, so that only user addresses reach the instructions in copy.S;
 *             a fault there ends the copy. Exactly how much was copied is known to the byte.
 * Invariants. I1 no address at or above USER_END is ever touched on behalf of a user pointer.
 *             I2 callers may sleep (demand paging), except of the _nofault functions.
 */
#include "kern/trap/usercopy.h"
#include "kern/boot/print.h"
#include "kern/mem/page.h"
#include "lib/abi/errno.h"

/* copy.S */
size_t user_copy(void *dst, const void *src, size_t n);
size_t user_clear(void *dst, size_t n);
long user_strcpy(char *dst, const char *src, size_t n);
int user_load32(uint32_t *dst, const uint32_t *src);
int user_store32(uint32_t *dst, uint32_t v);

/* Is [va, va+n) below USER_END? Safe against wrap-around. */
static inline bool
user_range(uint64_t va, size_t n)
{
	return n <= USER_END && va <= USER_END - n;
}

static inline void
may_fault(void)
{
	assert(this_cpu->nheld == 0);            /* a copy may sleep: let go of spinlocks first, or use _nofault */
}

size_t
copyin_partial(void *dst, uint64_t usrc, size_t n)
{
	may_fault();
	return user_range(usrc, n) ? user_copy(dst, (const void *)usrc, n) : n;
}

size_t
copyout_partial(uint64_t udst, const void *src, size_t n)
{
	may_fault();
	return user_range(udst, n) ? user_copy((void *)udst, src, n) : n;
}

int
copyin(void *dst, uint64_t usrc, size_t n)
{
	return copyin_partial(dst, usrc, n) ? -EFAULT : 0;
}

int
copyout(uint64_t udst, const void *src, size_t n)
{
	return copyout_partial(udst, src, n) ? -EFAULT : 0;
}

/* The same for holders of spinlocks or page locks: a page that is not there right now counts as a fault.
 * Interrupts are off so that nobody else runs on this CPU while it says nofault. */
size_t
copyin_nofault(void *dst, uint64_t usrc, size_t n)
{
	bool on = irq_save();

	this_cpu->nofault = true;
	n = user_range(usrc, n) ? user_copy(dst, (const void *)usrc, n) : n;
	this_cpu->nofault = false;
	irq_restore(on);
	return n;
}

size_t
copyout_nofault(uint64_t udst, const void *src, size_t n)
{
	bool on = irq_save();

	this_cpu->nofault = true;
	n = user_range(udst, n) ? user_copy((void *)udst, src, n) : n;
	this_cpu->nofault = false;
	irq_restore(on);
	return n;
}

/* Copy a NUL-terminated string of fewer than `n` bytes.
 *
 * Returns: its length without the NUL; -EFAULT; -ENAMETOOLONG when no NUL is within n bytes (dst is then not
 * terminated).
 */
long
copyinstr(char *dst, uint64_t usrc, size_t n)
{
	size_t limit = n;
	long len;

	may_fault();
	if (usrc >= USER_END)
		return -EFAULT;
	if (limit > USER_END - usrc)
		limit = USER_END - usrc;
	len = user_strcpy(dst, (const char *)usrc, limit);
	if (len < 0)
		return -EFAULT;
	if ((size_t)len < limit)
		return len;
	return limit < n ? -EFAULT : -ENAMETOOLONG;
}

int
user_zero(uint64_t udst, size_t n)
{
	may_fault();
	return user_range(udst, n) && user_clear((void *)udst, n) == 0 ? 0 : -EFAULT;
}

int
fetch_user32(uint32_t *dst, uint64_t usrc)
{
	may_fault();
	return user_range(usrc, 4) && user_load32(dst, (const uint32_t *)usrc) == 0 ? 0 : -EFAULT;
}

int
store_user32(uint64_t udst, uint32_t v)
{
	may_fault();
	return user_range(udst, 4) && user_store32((uint32_t *)udst, v) == 0 ? 0 : -EFAULT;
}
