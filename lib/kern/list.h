/* list.h - circular, intrusive, doubly linked list.
 *
 * Idea.       The links live inside the objects, so adding and removing never allocates:
 *
 *                 head <-> a.link <-> b.link <-> head          empty: head <-> head
 *
 * Interface.  struct list is both head and link. list_entry() goes from a link to its object.
 *                 list_for_each(p, &head, struct proc, link) { ... }
 * Invariants. I1 n->next->prev == n and n->prev->next == n.  I2 a link in no list points to itself
 *             (after list_init or list_remove), so list_remove on it does nothing.
 * Locks.      The caller's.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

#define LIST_INIT(name) { &(name), &(name) }

/* The object of type `type` whose member `member` is at `ptr`; a ptr of the wrong type does not compile. */
#define container_of(ptr, type, member) ({ \
	_Static_assert(__builtin_types_compatible_p(__typeof__(*(ptr)), __typeof__(((type *)0)->member)), \
		"container_of: not a pointer to this member"); \
	(type *)(void *)((char *)(ptr) - offsetof(type, member)); })

#define list_entry(ptr, type, member) container_of(ptr, type, member)

/* The body may remove nothing; to remove the current object use list_for_each_safe. */
#define list_for_each(p, head, type, member) \
	for (type *p = list_entry((head)->next, type, member); \
	     &p->member != (head); \
	     p = list_entry(p->member.next, type, member))

#define list_for_each_safe(p, head, type, member) \
	for (type *p = list_entry((head)->next, type, member), \
	          *p##_next = list_entry(p->member.next, type, member); \
	     &p->member != (head); \
	     p = p##_next, p##_next = list_entry(p->member.next, type, member))

/* The first (last) object, or NULL when the list is empty. */
#define list_first(head, type, member) \
	(list_empty(head) ? NULL : list_entry((head)->next, type, member))
#define list_last(head, type, member) \
	(list_empty(head) ? NULL : list_entry((head)->prev, type, member))

static inline void
list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool
list_empty(const struct list *l)
{
	return l->next == l;
}

/* Put n, which is in no list, right after (before) `at`. */
static inline void
list_add_after(struct list *at, struct list *n)
{
	n->prev = at;
	n->next = at->next;
	at->next->prev = n;
	at->next = n;
}

static inline void
list_add_before(struct list *at, struct list *n)
{
	list_add_after(at->prev, n);
}

static inline void
list_push_front(struct list *head, struct list *n)
{
	list_add_after(head, n);
}

static inline void
list_push_back(struct list *head, struct list *n)
{
	list_add_after(head->prev, n);
}

static inline void
list_remove(struct list *n)
{
	n->next->prev = n->prev;
	n->prev->next = n->next;
	list_init(n);
}

/* Take the first link out; NULL when the list is empty. */
static inline struct list *
list_pop_front(struct list *head)
{
	struct list *n = head->next;

	if (n == head)
		return NULL;
	list_remove(n);
	return n;
}

/* Append everything in `from` to `to`; `from` becomes empty. */
static inline void
list_splice_back(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}
