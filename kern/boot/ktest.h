/* ktest.h - tests inside the kernel, chosen by the kernel word ktest=.                       (lab 1)
 *
 * `ktest=all`, `ktest=lab4`, `ktest=name,name`.  Each test prints `ktest: NAME ok` or `ktest: NAME FAIL
 * file:line: what`, the end `ktest: N ok, M failed`; then the kernel leaves QEMU (DEBUG_EXIT_OK or
 * DEBUG_EXIT_TESTS_FAILED). ktest_run is called by kmain's last step on the boot stack in labs 1-3; lab 4
 * runs it in a kernel thread (ktest_claim). Free pages are counted around every test once lab 2 has given
 * ktest_set_leak_hook a counter: a difference fails the test.
 */
#ifndef KERN_BOOT_KTEST_H
#define KERN_BOOT_KTEST_H

#include <stdbool.h>
#include <stdint.h>
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"

struct ktest {
	const char *name;
	int lab;
	bool manual;               /* runs only when named: it ends the machine */
	void (*fn)(void);
};

#define KTEST(lab_, name_) KTEST_(lab_, name_, false)
#define KTEST_MANUAL(lab_, name_) KTEST_(lab_, name_, true)
#define KTEST_(lab_, name_, manual_) \
	static void ktest_##name_(void); \
	static const struct ktest ktest_desc_##name_ \
		__attribute__((IN_SOURCE_ORDER used, section(".ktest"), aligned(8))) = \
		{ #name_, lab_, manual_, ktest_##name_ }; \
	static void ktest_##name_(void)

/* Inside a test: on failure say so, and go on with the test's next statement. */
#define CHECK(e) ((e) ? (void)0 : ktest_fail(__FILE__, __LINE__, "%s", #e))
#define CHECK_EQ(a, b) do { int64_t a_ = (int64_t)(a), b_ = (int64_t)(b); \
	if (a_ != b_) ktest_fail(__FILE__, __LINE__, "%s == %s (%ld, %ld)", #a, #b, a_, b_); } while (0)

void ktest_fail(const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool ktest_wanted(void);                         /* the kernel words ask for tests */
_Noreturn void ktest_run_and_exit(void);
void ktest_set_leak_hook(uint64_t (*count)(void));   /* free pages, after draining what is cached */

/* kmain's last act: the highest present layer that registered a "main" gets the CPU. Lab 4 registers its
 * scheduler start here; with nobody registered kmain runs the tests that are asked for, or says what is
 * lacking and halts. */
void main_register(void (*fn)(void));        /* fn does not return */

#endif
