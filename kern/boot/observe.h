/* observe.h - what happened, said to a judge outside the machine.                            (lab 1)
 *
 * Idea.       A test inside the kernel could be made to say "ok". So the kernel only tells what it saw, and
 *             somebody outside decides: the judge (labs/NN-name/test_*.py) knows the seed, computes what must
 *             follow, and compares. Nothing in here knows what is right.
 *
 *                 OBSERVE(2, page_pair)
 *                 {
 *                         struct page *p = page_alloc(PG_KERNEL);
 *
 *                         observe("phys %lx refs %u", page_phys(p), page_refs(p));
 *                 }
 *
 * Interface.  Kernel words:  observe=NAME  runs that function when the kernel is up, then leaves the machine;
 *                            seed=N        what observe_random() starts from;
 *                            arg=TEXT      without spaces; numbers in it are split by commas.
 *             The functions stand in kern/<part>/observe_<part>.c, and their judges in labs/NN-name/.
 */
#ifndef KERN_BOOT_OBSERVE_H
#define KERN_BOOT_OBSERVE_H

#include <stdbool.h>
#include <stdint.h>
#include "kern/boot/initcall.h"

struct observation {
	const char *name;
	int lab;
	void (*fn)(void);
};

#define OBSERVE(lab_, name_) \
	static void observe_##name_##_(void); \
	static const struct observation observation_##name_ \
		__attribute__((IN_SOURCE_ORDER used, section(".observe"), aligned(8))) = \
		{ #name_, lab_, observe_##name_##_ }; \
	static void observe_##name_##_(void)

void observe(const char *fmt, ...) __attribute__((format(printf, 1, 2)));   /* one record; no newline needed */
uint64_t observe_random(void);                   /* all 64 bits are random; the same for the same seed= */
uint64_t observe_below(uint64_t n);              /* random, 0..n-1 */
const char *observe_arg(void);                   /* the text of arg=, "" when there is none */
uint64_t observe_number(int i);                  /* the i-th number of arg=, from 0; 0 when there is none */

bool observe_wanted(void);                       /* the kernel words ask for an observation */
_Noreturn void observe_run_and_exit(void);

#endif
