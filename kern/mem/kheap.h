/* kheap.h - kernel heap: fixed-size object caches and kmalloc on top.                       (lab 2)
 * Contracts are above the functions in kheap.c. */
#ifndef KERN_MEM_KHEAP_H
#define KERN_MEM_KHEAP_H

#include <stddef.h>
#include <stdint.h>

void *kmalloc(size_t n);             /* 16-aligned, contents junk; NULL: no memory; n up to 4 MiB */
void *kzalloc(size_t n);
void *krealloc(void *p, size_t n);
void kfree(void *p);                 /* NULL is fine; double free is detected and panics */
size_t kheap_used(void);             /* bytes in live objects */
uint64_t kheap_drain(void);          /* give empty slabs back; returns pages freed (also a reclaimer) */

#endif
