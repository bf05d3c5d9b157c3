/* virtqueue.h - the ring of buffers that a driver shares with a VirtIO device.                (lab 6)
 * Contracts are above the functions in virtqueue.c. */
#ifndef KERN_BLOCK_VIRTQUEUE_H
#define KERN_BLOCK_VIRTQUEUE_H

#include "kern/boot/cpu.h"

#define VIRTQ_MAX 256            /* largest queue we use; a power of two */

/* VirtIO 1.1, 2.6.5: one piece of memory. */
struct vring_desc {
	uint64_t addr;             /* physical */
	uint32_t len;
	uint16_t flags, next;
};
enum { VRING_NEXT = 1, VRING_WRITE = 2, VRING_INDIRECT = 4 };

struct vring_avail { uint16_t flags, idx, ring[VIRTQ_MAX + 1]; };    /* behind ring[size]: used_event */
struct vring_used_elem { uint32_t id, len; };
struct vring_used { uint16_t flags, idx; struct vring_used_elem ring[VIRTQ_MAX + 1]; };

/* key: I immutable after virtq_init; o the owner's lock; d also written by the device, never trusted */
struct virtq {
	uint16_t size;             /* [I] */
	bool indirect, event_idx;  /* [I] negotiated */
	bool broken;               /* [o] the device answered nonsense: no more requests */
	struct vring_desc *desc;   /* [I] [d] */
	struct vring_avail *avail; /* [I] */
	volatile struct vring_used *used;    /* [I] [d] */
	uint16_t free, nfree;      /* [o] chain of free descriptors, through next[] */
	uint16_t avail_idx;        /* [o] what we last published */
	uint16_t kicked;           /* [o] avail_idx when the device was last told */
	uint16_t used_idx;         /* [o] what we have taken */
	uint16_t inflight;         /* [o] */
	uint16_t next[VIRTQ_MAX];  /* [o] our own copy of the links: the device cannot bend it */
	void *cookie[VIRTQ_MAX];   /* [o] of the request that begins at this descriptor, NULL: none */
	uint32_t in_len[VIRTQ_MAX];    /* [o] bytes the device may write for it */
	uint16_t ndesc[VIRTQ_MAX]; /* [o] descriptors it holds */
};

/* A request: `n_out` pieces that the device reads, then `n_in` that it writes. */
struct virtq_buf { uint64_t phys; uint32_t len; };

int  virtq_init(struct virtq *q, uint16_t size, bool indirect, bool event_idx);
void virtq_free(struct virtq *q);
int  virtq_add(struct virtq *q, const struct virtq_buf *buf, int n_out, int n_in, void *cookie,
	struct vring_desc *table);
bool virtq_kick(struct virtq *q);
void *virtq_get(struct virtq *q, uint32_t *len);
bool virtq_more(struct virtq *q);
void *virtq_cancel(struct virtq *q);

#endif
