/* pci.h - PCI configuration space: find devices, their registers and interrupts.             (lab 6) */
#ifndef KERN_BLOCK_PCI_H
#define KERN_BLOCK_PCI_H

#include "kern/trap/trap.h"

struct pci_dev {
	uint8_t bus, dev, fn;
	uint16_t vendor, device;
	uint8_t class, subclass, progif;
	uint64_t bar[6];           /* decoded: memory address or port; 0: absent */
	uint64_t bar_len[6];
	bool bar_io[6];
	uint8_t irq_line, irq_pin;
	struct pci_dev *next;
};

uint32_t pci_read32(const struct pci_dev *d, int off);
uint16_t pci_read16(const struct pci_dev *d, int off);
uint8_t  pci_read8(const struct pci_dev *d, int off);
void pci_write32(const struct pci_dev *d, int off, uint32_t v);
void pci_write16(const struct pci_dev *d, int off, uint16_t v);
int  pci_cap(const struct pci_dev *d, int id, int after);      /* offset of the next capability with id after offset `after` (0: first), or 0; loop-safe */
void pci_enable(const struct pci_dev *d);                      /* memory, I/O, bus master */
/* Interrupt for this device: MSI-X table entry `entry` when it has one, else MSI, else INTx through the I/O APIC. Returns 0 or -errno. */
int  pci_irq(struct pci_dev *d, int entry, irq_fn fn, void *arg, const char *name);
/* Drivers: probe is called for every matching device once at scan; 0: taken. vendor/device 0xffff, class -1: any. */
struct pci_driver { const char *name; uint16_t vendor, device; int class, subclass; int (*probe)(struct pci_dev *d); struct pci_driver *next; };
void pci_register(struct pci_driver *drv);       /* before the scan, which is lab 6's last INITCALL step */
struct pci_dev *pci_next(struct pci_dev *d);
#endif
