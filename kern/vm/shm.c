/* shm.c - the nameless object behind MAP_SHARED | MAP_ANONYMOUS: pages that survive in no file.  (lab 5)
 *
 * Idea.       A table of pages, filled when they are first asked for; parent and children map the same object after fork.
 * Interface.  shm_new; all else goes through map_ops.
 * Invariants. I1 page[i/512][i%512] is NULL or holds one reference.
 * Locks.      s->lock guards the table.
 */
#include "kern/mem/kheap.h"
#include "kern/vm/vm.h"
#include "lib/abi/errno.h"

#define PER_CHUNK (PAGE_SIZE / sizeof(struct page *))

/* key: I immutable; a atomic; l lock */
struct shm {
	struct map_object object;
	uint32_t refs;             /* [a] */
	struct mutex lock;         /* RANK(5, 40) */
	uint64_t npages;           /* [I] */
	uint64_t nchunks;          /* [I] */
	struct page ***chunk;      /* [l] I1 */
};

static struct shm *
shm_of(struct map_object *o)
{
	return container_of(o, struct shm, object);
}

static int
shm_get_page(struct map_object *o, uint64_t index, bool write, struct page **out)
{
	struct shm *s = shm_of(o);
	int err = -ENOMEM;

	(void)write;
	if (index >= s->npages)
		return -ERANGE;
	mutex_lock(&s->lock);
	struct page ***chunk = &s->chunk[index / PER_CHUNK];
	if (!*chunk && !(*chunk = kzalloc(PAGE_SIZE)))
		goto out;
	struct page **slot = &(*chunk)[index % PER_CHUNK];
	if (!*slot && !(*slot = page_alloc_zero(PG_FILE)))
		goto out;
	page_ref(*slot);
	*out = *slot;
	err = 0;
out:
	mutex_unlock(&s->lock);
	return err;
}

static void
shm_ref(struct map_object *o)
{
	__atomic_add_fetch(&shm_of(o)->refs, 1, __ATOMIC_RELAXED);
}

static void
shm_unref(struct map_object *o)
{
	struct shm *s = shm_of(o);

	if (__atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL))
		return;
	for (uint64_t c = 0; c < s->nchunks; c++) {
		for (uint64_t i = 0; s->chunk[c] && i < PER_CHUNK; i++)
			if (s->chunk[c][i])
				page_unref(s->chunk[c][i]);
		kfree(s->chunk[c]);
	}
	kfree(s->chunk);
	kfree(s);
}

static const struct map_ops shm_map_ops = {
	.get_page = shm_get_page,
	.ref = shm_ref,
	.unref = shm_unref,
};

/* A new object of npages zero pages, with one reference for the caller. -ENOMEM. */
int
shm_new(uint64_t npages, struct map_object **out)
{
	struct shm *s = kzalloc(sizeof *s);

	if (!s)
		return -ENOMEM;
	s->npages = npages;
	s->nchunks = (npages + PER_CHUNK - 1) / PER_CHUNK;
	s->chunk = kzalloc(s->nchunks * sizeof *s->chunk);
	if (!s->chunk) {
		kfree(s);
		return -ENOMEM;
	}
	s->refs = 1;
	mutex_init(&s->lock, "shm", RANK(5, 40));
	map_object_init(&s->object, &shm_map_ops);
	*out = &s->object;
	return 0;
}
