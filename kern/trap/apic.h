/* apic.h - local APIC, I/O APIC, and what ACPI tells about CPUs, interrupts and power.       (lab 3) */
#ifndef KERN_TRAP_APIC_H
#define KERN_TRAP_APIC_H

#include "kern/boot/cpu.h"

struct acpi_info {
	int ncpu;
	uint32_t apic_ids[64];     /* enabled CPUs, boot CPU first */
	uint64_t lapic_phys;
	struct { uint32_t id, gsi_base; uint64_t phys; } ioapic[4];
	int nioapic;
	struct { uint8_t irq; uint32_t gsi; bool low, level; } iso[16];    /* ISA interrupt overrides */
	int niso;
	bool has_s5; uint16_t pm1a_cnt, pm1b_cnt, slp_typ_a, slp_typ_b;    /* S5; port 0: absent */
	uint64_t reset_addr; uint8_t reset_space, reset_value;
	uint16_t pm_timer;         /* port, 0: absent */
	bool pm_timer_32;
	uint64_t sleep_ctrl; uint8_t sleep_space;    /* hardware-reduced ACPI (microvm): sleep control register, 0: absent */
	uint16_t smi_cmd; uint8_t acpi_enable;       /* how to leave legacy mode, port 0: already left */
	uint64_t mcfg_base;        /* PCI express configuration space, 0: absent */
};
extern struct acpi_info acpi;                    /* [I] filled before INITCALL(3) devices; without ACPI: only this CPU */
void acpi_init(void);
/* Find a table by signature; NULL if absent or bad checksum. Mapped for good. */
const void *acpi_table(const char sig[4]);

void lapic_init(void);                           /* once, before lapic_init_cpu */
void lapic_init_cpu(void);
uint32_t lapic_id(void);
void lapic_eoi(void);
void lapic_ipi(uint32_t apic_id, int vector);
void lapic_ipi_others(int vector);               /* all online CPUs but this one */
void lapic_start_cpu(uint32_t apic_id, uint64_t entry_phys);    /* INIT-SIPI-SIPI; entry below 1 MiB, page aligned */
void lapic_nmi(uint32_t apic_id);
void lapic_timer_oneshot(uint64_t ns);           /* 0 stops; longer than the counter lasts: comes early */
/* For calibration (clock.c): count down from `count` without interrupt; what is left; how fast it counts. */
void lapic_timer_count(uint32_t count);
uint32_t lapic_timer_left(void);
void lapic_timer_set_hz(uint64_t hz);

void ioapic_init(void);                          /* 8259s off, all pins masked */
/* Route a global system interrupt / an ISA interrupt to `vector` on the boot CPU. -ENODEV when no I/O APIC
 * has it. */
int ioapic_route(uint32_t gsi, int vector, bool level, bool low);
int ioapic_route_isa(int irq, int vector);
/* Message address and data for an MSI to `vector` on CPU `cpu`. */
void msi_message(int vector, int cpu, uint64_t *addr, uint32_t *data);

_Noreturn void machine_poweroff(void);           /* ACPI S5, else QEMU's ports, else halt */
_Noreturn void machine_reboot(void);             /* ACPI reset, keyboard controller, triple fault */
_Noreturn void machine_halt(void);
/* Run before power-off, reboot or halt (sync, stop CPUs), in order of registration; at most 8. */
void shutdown_register(void (*fn)(void));
#endif
