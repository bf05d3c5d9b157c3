/* usercopy.h - the only way the kernel touches user memory.                                 (lab 3)
 *
 * Every address is checked against USER_END first; a fault inside is recovered through the exception table
 * (.extable: pairs of faulting instruction and landing place, offsets from KERNBASE) after the page-fault
 * handler had its say (demand paging, COW). SMAP is opened (stac) only inside. May fault and so may sleep: no
 * spinlock held (asserted). Interrupts on.
 */
#ifndef KERN_TRAP_USERCOPY_H
#define KERN_TRAP_USERCOPY_H

#include <stddef.h>
#include <stdint.h>

int copyin(void *dst, uint64_t usrc, size_t n);                  /* 0 or -EFAULT (dst may be partly written) */
int copyout(uint64_t udst, const void *src, size_t n);           /* 0 or -EFAULT */
size_t copyin_partial(void *dst, uint64_t usrc, size_t n);       /* bytes NOT copied: 0 is success */
size_t copyout_partial(uint64_t udst, const void *src, size_t n);
long copyinstr(char *dst, uint64_t usrc, size_t n);              /* length without NUL; -EFAULT; -ENAMETOOLONG when no NUL in n bytes */
int user_zero(uint64_t udst, size_t n);                          /* 0 or -EFAULT */
int fetch_user32(uint32_t *dst, uint64_t usrc);
int store_user32(uint64_t udst, uint32_t v);

/* Never sleep: a page fault inside fails at once instead of going to the fault handler (trap.c looks at
 * this_cpu->nofault). For callers that hold a page lock or spinlock; on failure they let go, touch the memory
 * (copyin of a byte) and try again. Returns bytes NOT copied. */
size_t copyin_nofault(void *dst, uint64_t usrc, size_t n);
size_t copyout_nofault(uint64_t udst, const void *src, size_t n);

#endif
