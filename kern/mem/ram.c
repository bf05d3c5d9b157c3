/* ram.c - which memory is ours to give out.                                                  (lab 2)
 *
 * Idea.       The loader's map is a list of ranges in any order, and firmware has been seen to let them
 *             overlap. Ours is every RAM range, minus the holes (what is not RAM, the kernel, the archive,
 *             ...), minus the RAM ranges before it in the list, so that memory named twice counts once:
 *
 *                 RAM range    |-------------------------------|
 *                 holes          |--|      |------|
 *                 spans        |-|  |------|      |------------|
 *
 * Interface.  ram_init, ram_hole, then ram_next until it says no.
 * Invariants. I1 spans are page-aligned, lie in RAM, and overlap neither each other nor a hole.
 */
#include "kern/mem/ram.h"
#include "kern/mem/page.h"

/* Nobody may be given [lo, hi). */
void
ram_hole(struct ram *m, uint64_t lo, uint64_t hi)
{
	if (lo < hi && m->nholes < RAM_NHOLE)
		m->holes[m->nholes++] = (struct span){ PAGE_DOWN(lo), PAGE_UP(hi) };
}

void
ram_init(struct ram *m, const struct bootinfo *b)
{
	m->boot = b;
	m->nholes = 0;
	for (int k = 0; k < b->nmem; k++)
		if (b->mem[k].type != MEM_RAM)
			ram_hole(m, b->mem[k].base, b->mem[k].base + b->mem[k].len);
}

/* Hole i as RAM range k sees it: the true holes first, then the RAM ranges before k. */
static struct span
hole_get(const struct ram *m, int i)
{
	const struct mem_range *r;

	if (i < m->nholes)
		return m->holes[i];
	r = &m->boot->mem[i - m->nholes];
	if (r->type != MEM_RAM)
		return (struct span){ 0, 0 };
	return (struct span){ PAGE_DOWN(r->base), PAGE_UP(r->base + r->len) };
}

/* The first address at or after `at` that no hole covers, for RAM range k. */
static uint64_t
skip_holes(const struct ram *m, int k, uint64_t at)
{
	for (int i = 0; i < m->nholes + k; i++) {
		struct span h = hole_get(m, i);

		if (h.lo <= at && at < h.hi) {
			at = h.hi;
			i = -1;                          /* an earlier hole may begin here */
		}
	}
	return at;
}

/* The next span of RAM at or after *at in range *k, or in a later range, below hi. Start with both 0;
 * moves both. Returns: false when there is none. */
bool
ram_next(const struct ram *m, int *k, uint64_t *at, uint64_t hi, struct span *out)
{
	for (; *k < m->boot->nmem; ++*k, *at = 0) {
		const struct mem_range *r = &m->boot->mem[*k];
		uint64_t end = PAGE_DOWN(r->base + r->len), lo = PAGE_UP(r->base);

		if (r->type != MEM_RAM)
			continue;
		end = end < hi ? end : hi;
		lo = skip_holes(m, *k, lo > *at ? lo : *at);
		if (lo >= end)
			continue;
		for (int i = 0; i < m->nholes + *k; i++) {
			struct span h = hole_get(m, i);

			if (h.lo < h.hi && h.lo > lo && h.lo < end)
				end = h.lo;
		}
		*out = (struct span){ lo, end };
		*at = end;
		return true;
	}
	return false;
}

/* One past the last RAM address worth an entry in the page array: a lone range far up would cost more
 * memory for the array than it brings. */
uint64_t
ram_top(const struct ram *m)
{
	uint64_t top = 0, sum = 0;

	for (int k = 0; k < m->boot->nmem; k++) {
		const struct mem_range *r = &m->boot->mem[k];

		if (r->type != MEM_RAM)
			continue;
		sum += r->len;
		top = r->base + r->len > top ? r->base + r->len : top;
	}
	return PAGE_DOWN(top < sum * 8 ? top : sum * 8);
}
