/* First fit: the first free block and what follows it, however little that is. Files come out in crumbs. */
static uint32_t
run_find(const uint64_t *bits, const uint64_t *busy, uint32_t from, uint32_t want, uint32_t *len)
{
	/* The first free run, were it one block long. Look on for one that is long enough. */
	uint32_t first = bits_find(bits, busy, from, EFS_MAP_BITS, false), limit = EFS_MAP_BITS;

	if (limit - first > want)
		limit = first + want;
	*len = bits_find(bits, busy, first, limit, true) - first;
	return first;
}
