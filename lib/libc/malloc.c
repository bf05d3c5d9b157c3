/* malloc.c - memory for programs.
 *
 * Idea.       Blocks come in classes of 32, 64, 128 ... 64 KiB bytes, header included; each class has a list of
 *             free blocks. An empty class takes a block off the end of the current arena; a used-up arena is
 *             replaced by a fresh mapping. Larger blocks are mappings of their own and are unmapped by free.
 *                 block: | size | next free (while free) ... |        returned pointer = block + 16
 * Interface.  malloc calloc realloc free.
 * Invariants. I1 size is a class size, or (> CLASS_MAX) the length of the block's own mapping.
 *             I2 returned pointers are multiples of 16.
 * The first arena is in .bss, so small programs run where there is no mmap yet (lab 4).
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CLASS_MIN       32
#define CLASS_MAX       65536
#define CLASSES         12
#define HEADER          16
#define ARENA           (1 << 20)

struct block {
	size_t size;
	struct block *next;
};

static struct block *free_list[CLASSES];
static char first_arena[64 << 10] __attribute__((aligned(16)));
static char *arena = first_arena, *arena_end = first_arena + sizeof first_arena;

static void *
map(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* The smallest class that holds n bytes, header included. Requires: n <= CLASS_MAX. */
static int
class_of(size_t n)
{
	int c = 0;

	while (((size_t)CLASS_MIN << c) < n)
		c++;
	return c;
}

static struct block *
block_carve(size_t size)
{
	struct block *b;

	if ((size_t)(arena_end - arena) < size) {
		char *fresh = map(ARENA);

		if (!fresh)
			return NULL;
		arena = fresh;
		arena_end = fresh + ARENA;
	}
	b = (struct block *)arena;
	arena += size;
	b->size = size;
	return b;
}

static struct block *
block_of(void *p)
{
	return (struct block *)((char *)p - HEADER);
}

/* Returns: size bytes, 16-aligned; NULL with ENOMEM when there is no memory. */
void *
malloc(size_t size)
{
	struct block *b;
	int c;

	if (size > SIZE_MAX / 2) {
		errno = ENOMEM;
		return NULL;
	}
	size += HEADER;
	if (size > CLASS_MAX) {
		size = (size + 4095) & ~4095ul;
		b = map(size);
		if (b)
			b->size = size;
	} else {
		c = class_of(size);
		b = free_list[c];
		if (b)
			free_list[c] = b->next;
		else
			b = block_carve((size_t)CLASS_MIN << c);
	}
	if (!b) {
		errno = ENOMEM;
		return NULL;
	}
	return (char *)b + HEADER;
}

void
free(void *p)
{
	struct block *b;
	int c;

	if (!p)
		return;
	b = block_of(p);
	if (b->size > CLASS_MAX) {
		munmap(b, b->size);
		return;
	}
	c = class_of(b->size);
	b->next = free_list[c];
	free_list[c] = b;
}

void *
calloc(size_t count, size_t size)
{
	size_t n;
	void *p;

	if (__builtin_mul_overflow(count, size, &n)) {
		errno = ENOMEM;
		return NULL;
	}
	p = malloc(n);
	return p ? memset(p, 0, n) : NULL;
}

void *
realloc(void *p, size_t size)
{
	size_t room;
	void *q;

	if (!p)
		return malloc(size);
	room = block_of(p)->size - HEADER;
	if (size <= room)
		return p;
	q = malloc(size);
	if (!q)
		return NULL;
	memcpy(q, p, room);
	free(p);
	return q;
}
