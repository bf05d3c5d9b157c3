/* Right, and two hundred times slower than need be: it looks at every function of the kernel. */
const char *
ksym_find(uint64_t addr, uint64_t *off)
{
	/* A linear search. Make it a binary one. */
	const char *found = NULL;

	for (uint32_t i = 0; i < nksyms && ksyms[i].off <= addr - KERNBASE; i++) {
		if (addr < (uint64_t)text_start || addr >= (uint64_t)text_end)
			break;
		*off = addr - KERNBASE - ksyms[i].off;
		found = ksym_names + ksyms[i].name;
	}
	return found;
}
