/* virtio.c - how any VirtIO device is brought up (VirtIO 1.1, 3.1).                           (lab 6)
 *
 * Idea.       Transports (PCI, MMIO) find devices and offer them here; drivers say which type they can drive.
 *             Between the two stands a table of eight functions, struct virtio_ops.
 *                 reset -> ACK -> DRIVER -> features -> FEATURES_OK -> queues -> DRIVER_OK
 * Interface.  virtio_add for transports; virtio_register, virtio_negotiate, virtio_queue for drivers.
 * Invariants. I1 a device that is refused is left reset or FAILED, so it touches no memory.
 * Locks.      None: boot only.
 */
#include "kern/block/virtio.h"

#include "kern/boot/print.h"
#include "lib/abi/errno.h"

static struct virtio_driver *drivers;

void
virtio_register(struct virtio_driver *drv)
{
	drv->next = drivers;
	drivers = drv;
}

/* Offer a device, reset, to the drivers. 0; -ENODEV: nobody wants it; or the driver's error (I1). */
int
virtio_add(struct virtio_dev *v)
{
	for (struct virtio_driver *d = drivers; d; d = d->next) {
		int err;

		if (d->type != v->type)
			continue;
		v->ops->set_status(v, 0);
		v->ops->set_status(v, VIRTIO_ACK);
		v->ops->set_status(v, VIRTIO_ACK | VIRTIO_DRIVER);
		err = d->probe(v);
		if (err) {
			v->ops->set_status(v, 0);
			v->ops->set_status(v, VIRTIO_FAILED);
			klog(LOG_ERR, "%s: not usable, error %d\n", v->name, -err);
		}
		return err;
	}
	return -ENODEV;
}

/* Agree on features: those we want and the device has; VERSION_1 is a must. 0 and *got, or -ENODEV. */
int
virtio_negotiate(struct virtio_dev *v, uint64_t want, uint64_t *got)
{
	uint8_t s = VIRTIO_ACK | VIRTIO_DRIVER | VIRTIO_FEATURES_OK;

	*got = v->ops->features(v) & (want | VIRTIO_F_VERSION_1);
	if (!(*got & VIRTIO_F_VERSION_1))
		return -ENODEV;
	v->ops->set_features(v, *got);
	v->ops->set_status(v, s);
	return v->ops->status(v) & VIRTIO_FEATURES_OK ? 0 : -ENODEV;
}

/* Make queue `index` as large as both sides can and hand it to the device. 0, -ENODEV, -ENOMEM, or the
 * transport's error. */
int
virtio_queue(struct virtio_dev *v, int index, struct virtq *q, uint64_t features)
{
	uint16_t max = v->ops->queue_max(v, index), size = 1;
	int err;

	if (max == 0)
		return -ENODEV;
	while (size * 2 <= max && size < VIRTQ_MAX)
		size *= 2;
	err = virtq_init(q, size, features & VIRTIO_F_INDIRECT, features & VIRTIO_F_EVENT_IDX);
	if (err)
		return err;
	err = v->ops->queue_start(v, index, q);
	if (err)
		virtq_free(q);
	return err;
}

/* Has the device been unplugged, or given up by itself? */
bool
virtio_dead(struct virtio_dev *v)
{
	uint8_t s = v->ops->status(v);

	return s == 0xff || !(s & VIRTIO_DRIVER_OK) || s & VIRTIO_NEEDS_RESET;
}
