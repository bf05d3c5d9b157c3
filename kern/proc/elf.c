/* elf.c - from an ELF file to mapped memory.                                                   (lab 4)
 *
 * Idea.       An ELF program says in its program headers which bytes of the file belong where in memory
 *             (PT_LOAD), and perhaps which other program is to load it (PT_INTERP). All headers are checked
 *             before anything is mapped:
 *
 *                 file:    | header | phdrs | text ........ | data ... |
 *                 memory:           [ text, r-x ........ ]   [ data, rw- ...|bss: zero ]
 *
 * Interface.  elf_load.
 * Invariants. I1 no byte of the file is believed: sizes, sums and orders are checked against the file and
 *             user memory.
 *             I2 nothing is mapped writable and executable.
 */
#include "kern/mem/kheap.h"
#include "kern/proc/exec.h"
#include "lib/abi/elf.h"
#include "lib/abi/errno.h"
#include "lib/abi/mman.h"
#include "lib/kern/string.h"

#define MAX_PHNUM 128
#define MIN_ADDR 0x1000ul             /* NULL stays unmapped */

struct segment {
	uint64_t lo, hi;           /* page-aligned, file addresses */
};

/* Read exactly n bytes. */
static int
read_exact(struct source *s, uint64_t off, void *buf, size_t n)
{
	long got;

	if (off > s->size || n > s->size - off)
		return -ENOEXEC;
	got = s->ops->read(s, off, buf, n);
	if (got < 0)
		return got;
	return (size_t)got == n ? 0 : -ENOEXEC;
}

static bool
header_ok(const Elf64_Ehdr *e)
{
	return memcmp(e->e_ident, ELFMAG, SELFMAG) == 0 && e->e_ident[EI_CLASS] == ELFCLASS64 &&
		e->e_ident[EI_DATA] == ELFDATA2LSB && e->e_machine == EM_X86_64 &&
		(e->e_type == ET_EXEC || e->e_type == ET_DYN) && e->e_phentsize == sizeof(Elf64_Phdr) &&
		e->e_phnum > 0 && e->e_phnum <= MAX_PHNUM;
}

/* Check one PT_LOAD and say which pages it covers.
 *
 * Returns: 0; -ENOEXEC: more of it in the file than in memory, or bytes that the file has not; memory beyond
 *          USER_END; an address and an offset that differ by other than whole pages; writable and executable;
 *          or its first page begins below `last`. */
static int
segment_check(const Elf64_Phdr *ph, uint64_t file_size, uint64_t last, struct segment *s)
{
	if (ph->p_filesz > ph->p_memsz || ph->p_offset > file_size || ph->p_filesz > file_size - ph->p_offset)
		return -ENOEXEC;
	if (ph->p_memsz > USER_END || ph->p_vaddr > USER_END - ph->p_memsz)
		return -ENOEXEC;
	if ((ph->p_vaddr - ph->p_offset) % PAGE_SIZE != 0)
		return -ENOEXEC;
	if ((ph->p_flags & PF_W) && (ph->p_flags & PF_X))
		return -ENOEXEC;
	s->lo = PAGE_DOWN(ph->p_vaddr);
	s->hi = PAGE_UP(ph->p_vaddr + ph->p_memsz);
	return s->lo >= last ? 0 : -ENOEXEC;
}

/* First pass: everything that can be wrong, and the extent of the program. */
static int
segments_check(const Elf64_Phdr *ph, int n, uint64_t file_size, struct segment *all)
{
	struct segment s;
	bool any = false;
	int err;

	all->lo = all->hi = 0;
	for (int i = 0; i < n; i++) {
		if (ph[i].p_type != PT_LOAD || ph[i].p_memsz == 0)
			continue;
		err = segment_check(&ph[i], file_size, all->hi, &s);
		if (err)
			return err;
		if (!any)
			all->lo = s.lo;
		all->hi = s.hi;
		any = true;
	}
	return any ? 0 : -ENOEXEC;
}

static int
segment_map(struct aspace *as, struct source *src, const Elf64_Phdr *ph, uint64_t base)
{
	uint64_t lo = PAGE_DOWN(ph->p_vaddr), hi = PAGE_UP(ph->p_vaddr + ph->p_memsz);
	uint64_t skew = ph->p_vaddr - lo;
	int flags = MAP_PRIVATE | MAP_FIXED;
	int prot = (ph->p_flags & PF_R ? PROT_READ : 0) | (ph->p_flags & PF_W ? PROT_WRITE : 0) |
		(ph->p_flags & PF_X ? PROT_EXEC : 0);

	if (ph->p_filesz == 0)
		return aspace_map(as, base + lo, hi - lo, prot, flags | MAP_ANONYMOUS, NULL, 0, 0);
	return aspace_map(as, base + lo, hi - lo, prot, flags, src, ph->p_offset - skew, skew + ph->p_filesz);
}

/* Where the program finds its own headers in memory, 0 if they are not mapped. */
static uint64_t
phdr_address(const Elf64_Ehdr *e, const Elf64_Phdr *ph)
{
	for (int i = 0; i < e->e_phnum; i++)
		if (ph[i].p_type == PT_LOAD && e->e_phoff >= ph[i].p_offset &&
		    e->e_phoff - ph[i].p_offset < ph[i].p_filesz)
			return ph[i].p_vaddr + (e->e_phoff - ph[i].p_offset);
	return 0;
}

static int
interp_read(struct source *src, const Elf64_Phdr *ph, int n, char *buf, size_t cap)
{
	int err;

	buf[0] = '\0';
	for (int i = 0; i < n; i++) {
		if (ph[i].p_type != PT_INTERP)
			continue;
		if (ph[i].p_filesz < 2 || ph[i].p_filesz > cap)
			return -ENOEXEC;
		err = read_exact(src, ph[i].p_offset, buf, ph[i].p_filesz);
		if (err)
			return err;
		return buf[ph[i].p_filesz - 1] == '\0' ? 0 : -ENOEXEC;
	}
	return 0;
}

static int
elf_map(struct aspace *as, struct source *src, const Elf64_Ehdr *e, const Elf64_Phdr *ph, uint64_t dyn_base,
	struct elf_image *out)
{
	struct segment all;
	int err = segments_check(ph, e->e_phnum, src->size, &all);

	if (!err)
		err = interp_read(src, ph, e->e_phnum, out->interp, sizeof out->interp);
	if (err)
		return err;
	out->base = e->e_type == ET_DYN ? dyn_base - all.lo : 0;
	if (out->base + all.lo < MIN_ADDR || all.hi - all.lo > USER_END - (out->base + all.lo))
		return -ENOEXEC;
	for (int i = 0; i < e->e_phnum && !err; i++)
		if (ph[i].p_type == PT_LOAD && ph[i].p_memsz > 0)
			err = segment_map(as, src, &ph[i], out->base);
	out->entry = e->e_entry + out->base;
	out->phdr = phdr_address(e, ph) + out->base;
	out->phnum = e->e_phnum;
	out->brk = all.hi + out->base;
	return err;
}

/* Map a program.
 *
 * Requires: as is private to the caller. May sleep.
 * Does:     ET_EXEC where it says, ET_DYN from dyn_base (page-aligned) on. Does not load the interpreter.
 * Returns:  0; -ENOEXEC not a program for this machine, or one that contradicts itself; -ENOMEM; -EIO.
 */
int
elf_load(struct aspace *as, struct source *src, uint64_t dyn_base, struct elf_image *out)
{
	Elf64_Ehdr e;
	Elf64_Phdr *ph;
	int err = read_exact(src, 0, &e, sizeof e);

	if (err)
		return err;
	if (!header_ok(&e))
		return -ENOEXEC;
	ph = kmalloc(e.e_phnum * sizeof *ph);
	if (!ph)
		return -ENOMEM;
	err = read_exact(src, e.e_phoff, ph, e.e_phnum * sizeof *ph);
	if (!err)
		err = elf_map(as, src, &e, ph, dyn_base, out);
	kfree(ph);
	return err;
}
