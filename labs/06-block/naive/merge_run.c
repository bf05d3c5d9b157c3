/* No merging: each bio is a request of its own, so a file read page by page is a hundred requests instead of one. */
static int
merge_run(struct bio *b, struct list *head, uint32_t *nvec, uint32_t *nsect)
{
	/* Every bio travels alone. Right, but the device is asked far too often: let neighbours share a request. */
	(void)head;
	*nsect = b->nsect;
	*nvec = b->nvec;
	return 1;
}
