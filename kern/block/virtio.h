/* virtio.h - VirtIO devices without regard to the bus they sit on.                            (lab 6)
 * Contracts are above the functions in virtio.c. */
#ifndef KERN_BLOCK_VIRTIO_H
#define KERN_BLOCK_VIRTIO_H

#include "kern/block/virtqueue.h"
#include "kern/trap/trap.h"

/* Device status (VirtIO 1.1, 2.1) */
enum { VIRTIO_ACK = 1, VIRTIO_DRIVER = 2, VIRTIO_DRIVER_OK = 4, VIRTIO_FEATURES_OK = 8,
	VIRTIO_NEEDS_RESET = 64, VIRTIO_FAILED = 128 };
/* Features of all devices (VirtIO 1.1, 6) */
#define VIRTIO_F_INDIRECT  (1ul << 28)
#define VIRTIO_F_EVENT_IDX (1ul << 29)
#define VIRTIO_F_VERSION_1 (1ul << 32)

struct virtio_dev;

/* Implementer's contract: a transport. Nothing here sleeps. */
struct virtio_ops {
	uint8_t  (*status)(struct virtio_dev *v);                    /* 0xff: the device is gone */
	/* 0: reset, returns when the device has done so (or is gone) */
	void     (*set_status)(struct virtio_dev *v, uint8_t s);
	uint64_t (*features)(struct virtio_dev *v);
	void     (*set_features)(struct virtio_dev *v, uint64_t f);
	/* n 1, 2, 4, 8, aligned; a consistent value */
	void     (*config)(struct virtio_dev *v, int off, void *buf, int n);
	uint16_t (*queue_max)(struct virtio_dev *v, int index);      /* 0: no such queue */
	/* addresses, interrupt, enable; -errno */
	int      (*queue_start)(struct virtio_dev *v, int index, struct virtq *q);
	void     (*notify)(struct virtio_dev *v, int index);         /* ring the doorbell */
};

/* key: I immutable after virtio_add; d the driver's */
struct virtio_dev {
	const struct virtio_ops *ops;    /* [I] */
	uint32_t type;             /* [I] 2: block */
	char name[24];             /* [I] where it is, for messages */
	void (*irq)(struct virtio_dev *v);   /* [d] called by the transport in interrupt context */
	void *drv;                 /* [d] */
};

struct virtio_driver {
	uint32_t type;
	int (*probe)(struct virtio_dev *v);      /* 0: taken */
	struct virtio_driver *next;
};

void virtio_register(struct virtio_driver *drv);     /* before its transport's scan */
int  virtio_add(struct virtio_dev *v);
int  virtio_negotiate(struct virtio_dev *v, uint64_t want, uint64_t *got);
int  virtio_queue(struct virtio_dev *v, int index, struct virtq *q, uint64_t features);
bool virtio_dead(struct virtio_dev *v);

#endif
