/* A linear search: right, and slow for a program with thousands of mappings. */
int
mm_find(struct aspace *as, uint64_t va)
{
	/* Looks at one after the other. They are sorted: make use of it. And the last answer is often the next one, too. */
	struct vm *vm = vm_of(as);
	int i = 0;

	while (i != vm->n && va >= vm->map[i]->hi)
		i++;
	return i;
}
