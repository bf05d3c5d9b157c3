/* virtqueue.c - split virtqueues (VirtIO 1.1, 2.6).                                           (lab 6)
 *
 * Idea.       Three arrays in shared memory. The driver puts buffers into `desc`, announces the first
 *             descriptor of a request in `avail`, and rings; the device works in any order and announces what
 *             it finished in `used`.
 *                 desc   [addr,len,flags,next] ...      chains of descriptors, or one that points to a table
 *                 of them avail  idx, ring[head ...]  ------->  device
 *                 used   idx, ring[(head, len) ...] <-  device
 *             With EVENT_IDX each side also says at which index it wants to hear from the other: a busy queue
 *             needs neither doorbells nor interrupts per request.
 * Interface.  virtq_add, virtq_kick (is a doorbell needed?), virtq_get, virtq_more (re-arms the interrupt).
 * Invariants. I1 nfree + descriptors of requests in flight == size.
 *             I2 cookie[h] != NULL exactly while the request that begins at h is in flight.
 *             I3 nothing the device writes is used as an index, a length or a link before it is checked; a
 *             wrong value
 *                sets `broken`, and then virtq_add fails and virtq_get finds nothing. `desc` is never read
 *                back.
 * Locks.      The owner's, around every call.
 */
#include "kern/block/virtqueue.h"

#include "kern/mem/page.h"
#include "lib/abi/errno.h"
#include "lib/kern/string.h"

/* for VIRTQ_MAX: 4096 + 518, then 2054 bytes */
enum { AVAIL_AT = 4096, USED_AT = 4096 + 1024, RING_ORDER = 1 };
_Static_assert(VIRTQ_MAX * sizeof(struct vring_desc) <= AVAIL_AT, "descriptors fit");
_Static_assert(sizeof(struct vring_avail) <= USED_AT - AVAIL_AT, "avail ring fits");
_Static_assert(USED_AT + sizeof(struct vring_used) <= 8192, "used ring fits");

static uint16_t
avail_event(struct virtq *q)
{
	return *(volatile uint16_t *)&q->used->ring[q->size];
}

/* Ask for an interrupt once the device has used one more than `idx`. */
static void
used_event(struct virtq *q, uint16_t idx)
{
	*(volatile uint16_t *)&q->avail->ring[q->size] = idx;
}

/* Make an empty queue. Requires: size a power of two <= VIRTQ_MAX. 0, -EINVAL, -ENOMEM. */
int
virtq_init(struct virtq *q, uint16_t size, bool indirect, bool event_idx)
{
	struct page *p;
	char *ring;

	if (size == 0 || size > VIRTQ_MAX || size & (size - 1))
		return -EINVAL;
	p = page_alloc_order(RING_ORDER, PG_KERNEL);
	if (!p)
		return -ENOMEM;
	memset(q, 0, sizeof *q);
	ring = page_virt(p);
	memset(ring, 0, PAGE_SIZE << RING_ORDER);
	q->size = size;
	q->indirect = indirect;
	q->event_idx = event_idx;
	q->desc = (struct vring_desc *)ring;
	q->avail = (struct vring_avail *)(ring + AVAIL_AT);
	q->used = (struct vring_used *)(ring + USED_AT);
	q->nfree = size;
	for (int i = 0; i < size; i++)
		q->next[i] = i + 1;
	return 0;
}

/* Requires: the device no longer uses the queue (it was reset). */
void
virtq_free(struct virtq *q)
{
	if (q->desc)
		page_unref(page_of_virt(q->desc));
	q->desc = NULL;
}

/* Descriptors table[0..n) as one chain. */
static void
table_fill(struct vring_desc *table, const struct virtq_buf *buf, int n_out, int n)
{
	for (int i = 0; i < n; i++)
		table[i] = (struct vring_desc){ buf[i].phys, buf[i].len, VRING_NEXT | (i < n_out ? 0 : VRING_WRITE),
			i + 1 };
	table[n - 1].flags &= ~VRING_NEXT;
}

/* The same in the queue's own descriptors, from the free chain. Returns the new head of the free chain. */
static uint16_t
chain_fill(struct virtq *q, const struct virtq_buf *buf, int n_out, int n)
{
	uint16_t at = q->free, last = at;

	for (int i = 0; i < n; i++) {
		q->desc[at] = (struct vring_desc){ buf[i].phys, buf[i].len, VRING_NEXT | (i < n_out ? 0 : VRING_WRITE),
			q->next[at] };
		last = at;
		at = q->next[at];
	}
	q->desc[last].flags &= ~VRING_NEXT;
	return at;
}

/* Queue a request; the device learns of it with the next doorbell (virtq_kick).
 *
 * Does:    with `table` (room for all pieces, direct map) and the feature, one indirect descriptor; else a
 *          chain.
 * Returns: 0; -ENOSPC: not enough free descriptors now; -EIO: the queue is broken.
 */
int
virtq_add(struct virtq *q, const struct virtq_buf *buf, int n_out, int n_in, void *cookie,
	struct vring_desc *table)
{
	int n = n_out + n_in, need = table && q->indirect ? 1 : n;
	uint16_t head = q->free;
	uint32_t in_len = 0;

	if (q->broken)
		return -EIO;
	if (q->nfree < need)
		return -ENOSPC;
	for (int i = n_out; i < n; i++)
		in_len += buf[i].len;
	if (table && q->indirect) {
		table_fill(table, buf, n_out, n);
		q->desc[head] = (struct vring_desc){ V2P(table), n * sizeof *table, VRING_INDIRECT, 0 };
		q->free = q->next[head];
	} else {
		q->free = chain_fill(q, buf, n_out, n);
	}
	q->nfree -= need;
	q->cookie[head] = cookie;
	q->in_len[head] = in_len;
	q->ndesc[head] = need;
	q->inflight++;
	q->avail->ring[q->avail_idx & (q->size - 1)] = head;
	__atomic_store_n(&q->avail->idx, ++q->avail_idx, __ATOMIC_RELEASE);
	return 0;
}

/* Does the device want a doorbell for what was added since the last call? */
bool
virtq_kick(struct virtq *q)
{
	uint16_t old = q->kicked, new = q->avail_idx;

	if (old == new || q->broken)
		return false;
	q->kicked = new;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);       /* our idx before its event */
	if (q->event_idx)
		return (uint16_t)(new - avail_event(q) - 1) < (uint16_t)(new - old);
	return !(q->used->flags & 1);
}

/* Give the descriptors of the request at `head` back (I1), following our links, not the device's. */
static void
chain_free(struct virtq *q, uint16_t head)
{
	uint16_t last = head;

	for (int i = 1; i < q->ndesc[head]; i++)
		last = q->next[last];
	q->next[last] = q->free;
	q->free = head;
	q->nfree += q->ndesc[head];
}

/* Take the next finished request. Returns: its cookie, *len the bytes the device says it wrote; NULL: none,
 * or broken. */
void *
virtq_get(struct virtq *q, uint32_t *len)
{
	uint16_t idx = __atomic_load_n(&q->used->idx, __ATOMIC_ACQUIRE);
	uint32_t id, n;
	void *cookie;

	if (q->broken || idx == q->used_idx)
		return NULL;
	id = q->used->ring[q->used_idx & (q->size - 1)].id;
	n = q->used->ring[q->used_idx & (q->size - 1)].len;
	if ((uint16_t)(idx - q->used_idx) > q->inflight || id >= q->size || !q->cookie[id] || n > q->in_len[id]) {
		q->broken = true;
		return NULL;
	}
	cookie = q->cookie[id];
	q->cookie[id] = NULL;
	q->used_idx++;
	q->inflight--;
	chain_free(q, id);
	*len = n;
	return cookie;
}

/* Ask for an interrupt at the next finished request. Returns: true when there already is one, so look again
 * first. */
bool
virtq_more(struct virtq *q)
{
	if (q->event_idx)
		used_event(q, q->used_idx);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);       /* our event before its idx */
	return !q->broken && __atomic_load_n(&q->used->idx, __ATOMIC_RELAXED) != q->used_idx;
}

/* After the device was reset: take any request still in flight out. Returns: its cookie; NULL: none left. */
void *
virtq_cancel(struct virtq *q)
{
	for (int i = 0; i < q->size; i++)
		if (q->cookie[i]) {
			void *cookie = q->cookie[i];

			q->cookie[i] = NULL;
			q->inflight--;
			return cookie;
		}
	return NULL;
}
