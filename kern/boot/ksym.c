/* ksym.c - which function is at this address?                                                 (lab 1)
 *
 * Idea.       The build links the kernel twice; the second time with a table of all functions sorted by
 *             address (lib/host/ksyms.sh), so that a backtrace can name them without any help from outside.
 */
#include "kern/boot/print.h"

#define KERNBASE 0xffffffff80000000ul

struct ksym { uint32_t off, name; };        /* off: address - KERNBASE; name: offset in ksym_names */
extern const uint32_t nksyms;
extern const struct ksym ksyms[];
extern const char ksym_names[];
extern const char text_start[], text_end[];        /* kernel.lds */

/* The function that holds `addr`, and in *off how far into it. The table is sorted by address.
 * Returns: its name; NULL (*off untouched) when addr is not kernel text, or before the first symbol. */
const char *
ksym_find(uint64_t addr, uint64_t *off)
{
	uint32_t lo = 0, hi = nksyms;

	if (addr < (uint64_t)text_start || addr >= (uint64_t)text_end)
		return NULL;
	while (lo < hi) {                           /* first symbol above addr */
		uint32_t mid = (lo + hi) / 2;

		if (ksyms[mid].off <= addr - KERNBASE)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0)
		return NULL;
	*off = addr - KERNBASE - ksyms[lo - 1].off;
	return ksym_names + ksyms[lo - 1].name;
}
