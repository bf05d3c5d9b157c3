/* pci.h - PCI configuration space: find devices, their registers and interrupts.             (lab 6)
 * Contracts are above the functions in pci.c. */
#ifndef KERN_BLOCK_PCI_H
#define KERN_BLOCK_PCI_H

#include "kern/trap/trap.h"

/* Configuration registers (PCI 3.0, 6.1) that drivers look at. */
enum { PCI_COMMAND = 0x04, PCI_STATUS = 0x06, PCI_SUBSYSTEM = 0x2e, PCI_CAP_PTR = 0x34 };
enum { PCI_CAP_MSI = 0x05, PCI_CAP_VENDOR = 0x09, PCI_CAP_MSIX = 0x11 };

/* key: I immutable after the scan; d its driver's */
struct pci_dev {
	uint8_t bus, dev, fn;      /* [I] */
	uint16_t vendor, device;   /* [I] */
	uint8_t class, subclass, progif;   /* [I] */
	uint64_t bar[6];           /* [I] decoded: memory address or port; 0: absent */
	uint64_t bar_len[6];       /* [I] */
	bool bar_io[6];            /* [I] */
	uint8_t irq_line, irq_pin; /* [I] */
	struct pci_dev *next;      /* [I] */

	volatile uint32_t *msix;   /* [d] MSI-X table once pci_irq uses it, else NULL */
	uint32_t msix_n;           /* [d] its entries */
	int shared_vector;         /* [d] MSI or INTx: the one vector there is; 0: none yet */
	bool taken;                /* a driver has it */
};

uint32_t pci_read32(const struct pci_dev *d, int off);
uint16_t pci_read16(const struct pci_dev *d, int off);
uint8_t  pci_read8(const struct pci_dev *d, int off);
void pci_write32(const struct pci_dev *d, int off, uint32_t v);
void pci_write16(const struct pci_dev *d, int off, uint16_t v);
int  pci_cap(const struct pci_dev *d, int id, int after);
void pci_enable(const struct pci_dev *d);
int  pci_irq(struct pci_dev *d, int entry, irq_fn fn, void *arg, const char *name);
/* Vector of a level-triggered interrupt line, shared by all who ask for the same one; or -errno. */
int  irq_line_vector(uint32_t gsi, bool low);

/* Drivers: probe is called once for every matching device that nobody has taken; 0: taken. vendor/device
 * 0xffff, class -1: any. Drivers registered earlier get their devices first. */
struct pci_driver {
	const char *name;
	uint16_t vendor, device;
	int class, subclass;
	int (*probe)(struct pci_dev *d);
};
void pci_register(const struct pci_driver *drv);
struct pci_dev *pci_next(struct pci_dev *d);

#endif
