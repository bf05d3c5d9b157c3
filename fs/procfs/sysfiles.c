/* sysfiles.c - what /proc says about the machine.                                             (lab 10)
 *
 * Idea.       One function per file; formats are Linux's to the space, because programs read them with
 *             sscanf.
 * Interface.  None: a table, registered on the last lines.
 */
#include "fs/procfs/procfs.h"
#include "fs/vfs/pcache.h"
#include "fs/vfs/super.h"
#include "kern/boot/bootinfo.h"
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "kern/trap/clock.h"
#include "lib/abi/errno.h"
#include "lib/abi/utsname.h"
#include "lib/kern/fmt.h"
#include "lib/kern/string.h"

#define TICK (NSEC / 100)    /* USER_HZ */

/* ---- CPU time ---- */

static void
show_cpu(struct seq *s, const char *name, uint64_t user, uint64_t sys, uint64_t idle)
{
	seq_printf(s, "%s %lu 0 %lu %lu 0 0 0 0 0 0\n", name, user / TICK, sys / TICK, idle / TICK);
}

static int
show_stat(struct seq *s, struct proc *p)
{
	uint64_t all_user = 0, all_sys = 0, idle = 0, irqs = 0, avg[3], user, sys;
	char name[12];
	int last = 0;

	(void)p;
	for (int i = 0; i < ncpus; i++) {
		sched_busy_ns(i, &user, &sys);
		all_user += user;
		all_sys += sys;
		idle += sched_idle_ns(i);
	}
	show_cpu(s, "cpu ", all_user, all_sys, idle);
	for (int i = 0; i < ncpus; i++) {
		snprintf(name, sizeof name, "cpu%d", i);
		sched_busy_ns(i, &user, &sys);
		show_cpu(s, name, user, sys, sched_idle_ns(i));
	}
	for (int v = VEC_IRQ0; v < 256; v++)
		irqs += irq_count(v);
	for (struct proc *q; (q = proc_next(&last)); )
		proc_put(q);
	seq_printf(s, "intr %lu\nctxt %lu\nbtime %lu\nprocesses %d\n", irqs, sched_switches(),
		(clock_wall_ns() - clock_ns()) / NSEC, last);
	seq_printf(s, "procs_running %d\nprocs_blocked 0\n", sched_loadavg(avg));
	return 0;
}

static int
show_uptime(struct seq *s, struct proc *p)
{
	uint64_t up = clock_ns(), idle = 0;

	(void)p;
	for (int i = 0; i < ncpus; i++)
		idle += sched_idle_ns(i);
	seq_printf(s, "%lu.%02lu %lu.%02lu\n", up / NSEC, up / TICK % 100, idle / NSEC, idle / TICK % 100);
	return 0;
}

static int
show_loadavg(struct seq *s, struct proc *p)
{
	uint64_t avg[3];
	int running = sched_loadavg(avg), last = 0;

	(void)p;
	for (struct proc *q; (q = proc_next(&last)); )
		proc_put(q);
	for (int i = 0; i < 3; i++)
		seq_printf(s, "%lu.%02lu ", avg[i] >> 16, (avg[i] & 0xffff) * 100 >> 16);
	seq_printf(s, "%d/%d %d\n", running, proc_count(), last);
	return 0;
}

/* ---- memory ---- */

static int
show_meminfo(struct seq *s, struct proc *p)
{
	uint64_t total = page_count_total() * 4, free = page_count_free() * 4, cached = pcache_count() * 4;
	uint64_t slab = kheap_used() / 1024;
	const struct { const char *name; uint64_t kib; } rows[] = {
		{ "MemTotal:", total }, { "MemFree:", free }, { "MemAvailable:", free + cached - cached / 8 },
		{ "Buffers:", 0 }, { "Cached:", cached }, { "SwapCached:", 0 },
		{ "Active:", cached }, { "Inactive:", 0 }, { "SwapTotal:", 0 }, { "SwapFree:", 0 },
		{ "Dirty:", pcache_dirty_total() * 4 }, { "Writeback:", 0 },
		{ "AnonPages:", total > free + cached + slab ? total - free - cached - slab : 0 }, { "Mapped:", 0 },
		{ "Shmem:", 0 }, { "Slab:", slab }, { "SReclaimable:", 0 }, { "SUnreclaim:", slab },
	};

	(void)p;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		seq_printf(s, "%-16s%8lu kB\n", rows[i].name, rows[i].kib);
	return 0;
}

/* ---- what the kernel is ---- */

static int
show_version(struct seq *s, struct proc *p)
{
	struct utsname u;

	(void)p;
	proc_uname(&u);
	seq_printf(s, "%s version %s (eclipse) %s\n", u.sysname, u.release, u.version);
	return 0;
}

static int
show_cmdline(struct seq *s, struct proc *p)
{
	(void)p;
	seq_put(s, bootinfo.cmdline, strlen(bootinfo.cmdline));
	seq_put(s, "\n", 1);
	return 0;
}

static int
show_osrelease(struct seq *s, struct proc *p)
{
	struct utsname u;

	(void)p;
	proc_uname(&u);
	seq_printf(s, "%s\n", u.release);
	return 0;
}

static int
show_ostype(struct seq *s, struct proc *p)
{
	(void)p;
	seq_printf(s, "Linux\n");
	return 0;
}

static int
show_hostname(struct seq *s, struct proc *p)
{
	struct utsname u;

	(void)p;
	proc_uname(&u);
	seq_printf(s, "%s\n", u.nodename);
	return 0;
}

static int
show_pid_max(struct seq *s, struct proc *p)
{
	(void)p;
	seq_printf(s, "4194304\n");
	return 0;
}

static int
show_file_max(struct seq *s, struct proc *p)
{
	(void)p;
	seq_printf(s, "%lu\n", page_count_total());
	return 0;
}

static int
show_file_nr(struct seq *s, struct proc *p)
{
	(void)p;
	seq_printf(s, "%u\t0\t%lu\n", file_count(), page_count_total());
	return 0;
}

static int
show_filesystems(struct seq *s, struct proc *p)
{
	(void)p;
	for (struct fs_type *t = fs_next(NULL); t; t = t->next)
		seq_printf(s, "%s\t%s\n", t->needs_dev ? "" : "nodev", t->name);
	return 0;
}

/* ---- devices ---- */

static int
show_partitions(struct seq *s, struct proc *p)
{
	(void)p;
	seq_printf(s, "major minor  #blocks  name\n\n");
	for (struct blockdev *d = blockdev_next(NULL); d; d = blockdev_next(d))
		seq_printf(s, "%4u  %7u %10lu %s\n", major(d->devno), minor(d->devno), d->nsectors / 2, d->name);
	return 0;
}

static int
show_diskstats(struct seq *s, struct proc *p)
{
	(void)p;
	for (struct blockdev *d = blockdev_next(NULL); d; d = blockdev_next(d))
		seq_printf(s, "%4u %7u %s %lu 0 %lu 0 %lu 0 %lu 0 0 0 0\n", major(d->devno), minor(d->devno), d->name,
			d->nread, d->sread, d->nwrite, d->swrite);
	return 0;
}

static int
show_interrupts(struct seq *s, struct proc *p)
{
	(void)p;
	seq_printf(s, "           ALL CPUs\n");
	for (int v = VEC_IRQ0; v < 256; v++)
		if (irq_name(v) || irq_count(v))
			seq_printf(s, "%3d: %15lu   %s\n", v, irq_count(v), irq_name(v) ? irq_name(v) : "");
	return 0;
}

static int
show_devices(struct seq *s, struct proc *p)
{
	(void)p;
	seq_printf(s, "Character devices:\n");
	for (struct chardev *d = chardev_next(NULL); d; d = chardev_next(d))
		if (d->name)
			seq_printf(s, "%3d %s\n", d->major, d->name);
	seq_printf(s, "\nBlock devices:\n");
	for (struct blockdev *d = blockdev_next(NULL); d; d = blockdev_next(d))
		if (d->disk == d)
			seq_printf(s, "%3u %s\n", major(d->devno), d->name);
	return 0;
}

/* ---- /proc/cpuinfo ---- */

/* Names of CPUID.1 EDX bits, then ECX bits (SDM vol. 2, CPUID); "" where Linux shows none or we do not care.
 */
static const char edx_names[] = "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 "
	"pn clflush - dts acpi mmx fxsr sse sse2 ss ht tm ia64 pbe";
static const char ecx_names[] = "pni pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 "
	"xtpr pdcm - pcid dca sse4_1 sse4_2 x2apic movbe popcnt - aes xsave - avx f16c rdrand hypervisor";

static void
show_flags(struct seq *s, const char *names, uint32_t bits)
{
	for (int i = 0; i < 32 && *names; i++) {
		size_t n = 0;
		while (names[n] && names[n] != ' ')
			n++;
		if (bits >> i & 1 && names[0] != '-')
			seq_printf(s, " %.*s", (int)n, names);
		names += n + (names[n] == ' ');
	}
}

static int
show_cpuinfo(struct seq *s, struct proc *p)
{
	uint32_t v[4], f[4], brand[12] = { 0 };

	(void)p;
	cpuid(0, 0, v);
	cpuid(1, 0, f);
	for (int i = 0; i < 3; i++)
		cpuid(0x80000002 + i, 0, brand + 4 * i);
	uint32_t vendor[3] = { v[1], v[3], v[2] };
	uint32_t family = (f[0] >> 8 & 15) + ((f[0] >> 8 & 15) == 15 ? f[0] >> 20 & 255 : 0);
	for (int i = 0; i < ncpus; i++) {
		seq_printf(s, "processor\t: %d\nvendor_id\t: %.12s\ncpu family\t: %u\n", i, (char *)vendor, family);
		seq_printf(s, "model\t\t: %u\nmodel name\t: %.48s\nstepping\t: %u\n",
			(f[0] >> 4 & 15) | (f[0] >> 12 & 0xf0), (char *)brand, f[0] & 15);
		seq_printf(s, "apicid\t\t: %u\nflags\t\t:", cpus[i].apic_id);
		show_flags(s, edx_names, f[3]);
		show_flags(s, ecx_names, f[2]);
		seq_printf(s, "\n\n");
	}
	return 0;
}

/* ---- the table ---- */

#define FILE_ENTRY(dir_, name_, fn) { .dir = (dir_), .name = (name_), .mode = S_IFREG | 0444, .show = (fn) }
#define DIR_ENTRY(dir_, name_) { .dir = (dir_), .name = (name_), .mode = S_IFDIR | 0555 }

static struct proc_entry table[] = {
	FILE_ENTRY("", "stat", show_stat),
	FILE_ENTRY("", "meminfo", show_meminfo),
	FILE_ENTRY("", "uptime", show_uptime),
	FILE_ENTRY("", "loadavg", show_loadavg),
	FILE_ENTRY("", "version", show_version),
	FILE_ENTRY("", "cmdline", show_cmdline),
	FILE_ENTRY("", "cpuinfo", show_cpuinfo),
	FILE_ENTRY("", "filesystems", show_filesystems),
	FILE_ENTRY("", "partitions", show_partitions),
	FILE_ENTRY("", "diskstats", show_diskstats),
	FILE_ENTRY("", "interrupts", show_interrupts),
	FILE_ENTRY("", "devices", show_devices),
	DIR_ENTRY("", "sys"),
	DIR_ENTRY("sys", "kernel"),
	DIR_ENTRY("sys", "fs"),
	FILE_ENTRY("sys/kernel", "pid_max", show_pid_max),
	FILE_ENTRY("sys/kernel", "osrelease", show_osrelease),
	FILE_ENTRY("sys/kernel", "ostype", show_ostype),
	FILE_ENTRY("sys/kernel", "hostname", show_hostname),
	FILE_ENTRY("sys/fs", "file-max", show_file_max),
	FILE_ENTRY("sys/fs", "file-nr", show_file_nr),
};

static void
sysfiles_init(void)
{
	procfs_register(table, sizeof table / sizeof table[0]);
}
INITCALL(10, sysfiles_init);
