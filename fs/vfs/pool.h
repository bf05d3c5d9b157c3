/* pool.h - objects whose memory always stays objects of the same kind.                        (lab 7) */
#ifndef FS_VFS_POOL_H
#define FS_VFS_POOL_H

#include "kern/boot/spinlock.h"

/* key: I immutable; l lock */
struct pool {
	struct spinlock lock;      /* RANK(7, 10) */
	size_t size;               /* [I] bytes per object, a multiple of 8 */
	void (*ctor)(void *obj);   /* [I] run once per object, when its page is made */
	void *free;                /* [l] chain through the object's last 8 bytes, which are the pool's own */
	uint32_t live;             /* [l] objects handed out */
};

#define POOL(name_, size_, ctor_) { .lock = SPINLOCK(name_, RANK(7, 10)), \
	.size = ((size_) + 15) / 8 * 8, .ctor = (ctor_) }

void *pool_alloc(struct pool *p);
void pool_free(struct pool *p, void *obj);

#endif
