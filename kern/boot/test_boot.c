/* test_boot.c - tests of lab 1, with the parts of lib/kern that it stands on.                 (lab 1) */
#include "kern/boot/bootinfo.h"
#include "kern/boot/kbd.h"
#include "kern/boot/ktest.h"
#include "kern/boot/spinlock.h"
#include "lib/kern/fmt.h"
#include "lib/kern/list.h"
#include "lib/kern/string.h"

static void
check_fmt(const char *want, const char *fmt, ...)
{
	char got[64];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(got, sizeof got, fmt, ap);
	va_end(ap);
	if (strcmp(got, want) != 0)
		ktest_fail(__FILE__, __LINE__, "format %s gave \"%s\", not \"%s\"", fmt, got, want);
}

KTEST(1, fmt_conversions)
{
	char small[4];

	check_fmt("-5 5 5", "%d %u %i", -5, 5, 5);
	check_fmt("0x00ff FF 17", "%#06x %X %o", 255, 255, 15);
	check_fmt("  ab|ab  |abc", "%4s|%-4s|%.3s", "ab", "ab", "abcdef");
	check_fmt("-9223372036854775808", "%ld", INT64_MIN);
	check_fmt("18446744073709551615", "%lu", UINT64_MAX);
	check_fmt("(null) % c", "%s %% %c", (char *)NULL, 'c');
	check_fmt("+7 00042 42   |", "%+d %05d %-5d|", 7, 42, 42);
	check_fmt("   3", "%*d", 4, 3);
	CHECK_EQ(snprintf(small, sizeof small, "%s", "abcdef"), 6);
	CHECK_EQ(strcmp(small, "abc"), 0);
}

KTEST(1, string_functions)
{
	char a[64], b[64];

	for (int n = 0; n < 40; n++)
		for (int from = 0; from < 8; from++) {
			for (int i = 0; i < 64; i++)
				a[i] = b[i] = (char)i;
			memmove(a + 4, a + from, (size_t)n);
			for (int i = 0; i < n; i++)
				CHECK_EQ(a[4 + i], b[from + i]);
			CHECK_EQ(a[4 + n], b[4 + n]);
		}
	memset(a, 'x', 10);
	a[10] = 0;
	CHECK_EQ(strlen(a), 10);
	CHECK_EQ(strnlen(a, 4), 4);
	CHECK(strcmp("abc", "abd") < 0 && strncmp("abc", "abd", 2) == 0 && memcmp("\xff", "\x01", 1) > 0);
	CHECK_EQ(strlcpy(b, "hello", 3), 5);
	CHECK_EQ(strcmp(b, "he"), 0);
	CHECK(strchr("abc", 'd') == NULL && strrchr("abab", 'a')[1] == 'b' && strstr("kernel words", "wo") != NULL);
}

KTEST(1, list_order)
{
	struct item { int v; struct list link; } it[5];
	struct list head;
	int sum = 0;

	list_init(&head);
	for (int i = 0; i < 5; i++) {
		it[i].v = i;
		list_push_back(&head, &it[i].link);
	}
	list_remove(&it[2].link);
	list_push_front(&head, &it[2].link);
	list_for_each(p, &head, struct item, link)
		sum = sum * 10 + p->v;
	CHECK_EQ(sum, 20134);
	list_for_each_safe(p, &head, struct item, link)
		list_remove(&p->link);
	CHECK(list_empty(&head));
}

KTEST(1, spinlock_order_and_interrupts)
{
	static struct spinlock outer = SPINLOCK("outer", RANK(2, 1)), inner = SPINLOCK("inner", RANK(1, 1));
	bool on = irq_enabled();

	spin_lock(&outer);
	CHECK(!irq_enabled());
	spin_lock(&inner);
	CHECK(spin_held(&outer) && spin_held(&inner));
	CHECK(!spin_trylock(&inner));
	spin_unlock(&outer);                      /* any order */
	CHECK(!irq_enabled());
	spin_unlock(&inner);
	CHECK_EQ(irq_enabled(), on);
	CHECK(spin_trylock(&inner));
	spin_unlock(&inner);
	CHECK_EQ(cpu_self()->nheld, 0);
}

KTEST(1, symbols)
{
	uint64_t off = 99;
	const char *name = ksym_find((uint64_t)ktest_fail, &off);

	CHECK(name && strcmp(name, "ktest_fail") == 0);
	CHECK_EQ(off, 0);
	CHECK(ksym_find((uint64_t)ktest_fail + 3, &off) == name && off == 3);
	CHECK(ksym_find(0, &off) == NULL);
	CHECK(ksym_find(~0ul, &off) == NULL);
}

/* Feed scan codes; compare what they type. */
static void
check_keys(const char *want, const char *codes)
{
	char got[32], *p = got;

	for (; *codes; codes++)
		p += kbd_decode((uint8_t)*codes, p);
	*p = 0;
	if (strcmp(got, want) != 0)
		ktest_fail(__FILE__, __LINE__, "keys typed \"%s\", not \"%s\"", got, want);
}

KTEST(1, keyboard)
{
	check_keys("ls\r", "\x26\xa6\x1f\x9f\x1c\x9c");
	check_keys("aA!a", "\x1e\x9e\x2a\x1e\x9e\x02\x82\xaa\x1e\x9e");
	check_keys("Ab1", "\x3a\xba\x1e\x9e\x2a\x30\xb0\xaa\x02\x82\x3a\xba");       /* caps lock, then off */
	check_keys("\x03\x1c", "\x1d\x2e\xae\x2b\xab\x9d");                              /* ^C and ^backslash */
	check_keys("\033[A\033[3~/", "\xe0\x48\xe0\xc8\xe0\x53\xe0\xd3\xe0\x35\xe0\xb5");
	check_keys("\033x", "\x38\x2d\xad\xb8");
	check_keys("", "\x7f\x5a\xff\xfe");
}

KTEST(1, log_ring)
{
	char buf[64];

	klog(LOG_DEBUG, "only for the ring: %d\n", 4711);
	CHECK_EQ(klog_read(buf, 24), 24);
	CHECK_EQ(memcmp(buf, "only for the ring: 4711\n", 24), 0);
}

/* ---- boot structures from a loader that cannot be trusted ---- */

static size_t
tag_put(uint8_t *at, uint32_t type, const void *body, uint32_t n)
{
	uint32_t head[2] = { type, n + 8 };

	memcpy(at, head, 8);
	memcpy(at + 8, body, n);
	return (n + 8 + 7) & ~7u;
}

/* A well-formed information structure of a few tags. Returns: its length. */
static size_t
info_make(uint8_t *buf)
{
	uint32_t mmap[2 + 12] = { 24, 0, 0, 0, 0x9fc00, 0, 1, 0, 0x100000, 0, 0x7f00000, 0, 1, 0 };
	uint32_t module[2 + 1] = { 0x200000, 0x201000, 0 };
	size_t n = 8;

	n += tag_put(buf + n, 1, "loglevel=3 root=/dev/vda2", 26);
	n += tag_put(buf + n, 3, module, sizeof module);
	n += tag_put(buf + n, 6, mmap, sizeof mmap);
	n += tag_put(buf + n, 0, NULL, 0);
	memcpy(buf, &(uint32_t){ (uint32_t)n }, 4);
	return n;
}

KTEST(1, multiboot2_parse)
{
	static struct bootinfo b;
	static uint8_t buf[256];

	memset(&b, 0, sizeof b);
	bootinfo_parse_multiboot2(&b, buf, info_make(buf));
	CHECK_EQ(b.nmem, 2);
	CHECK_EQ(b.mem[1].base, 0x100000);
	CHECK_EQ(b.mem[1].len, 0x7f00000);
	CHECK_EQ(b.archive_phys, 0x200000);
	CHECK_EQ(b.archive_size, 0x1000);
	CHECK_EQ(strcmp(b.cmdline, "loglevel=3 root=/dev/vda2"), 0);
}

KTEST(1, multiboot2_mutated)
{
	static struct bootinfo b;
	static uint8_t buf[256];
	uint32_t seed = 12345;

	for (int round = 0; round < 20000; round++) {
		size_t n = info_make(buf);

		for (int k = 0; k < 4; k++) {
			seed = seed * 1664525 + 1013904223;
			buf[(seed >> 8) % n] = (uint8_t)(seed >> 24);
		}
		b.nmem = 0;
		b.archive_size = 0;
		bootinfo_parse_multiboot2(&b, buf, seed % (n + 1));
		CHECK(b.nmem >= 0 && b.nmem <= BOOT_NRANGE);
		CHECK(strnlen(b.cmdline, BOOT_CMDLINE) < BOOT_CMDLINE);
		for (int i = 0; i < b.nmem; i++)
			CHECK(b.mem[i].base + b.mem[i].len >= b.mem[i].base);
	}
}

KTEST(1, long_command_line_is_cut)
{
	static struct bootinfo b;
	static uint8_t buf[8 + 8 + 10240 + 8];
	static char words[10240];

	memset(words, 'w', sizeof words);
	tag_put(buf + 8, 1, words, sizeof words);
	bootinfo_parse_multiboot2(&b, buf, sizeof buf);
	CHECK(b.cmdline_cut);
	CHECK_EQ(strlen(b.cmdline), BOOT_CMDLINE - 1);
}

KTEST_MANUAL(1, panic)
{
	static struct spinlock l = SPINLOCK("a lock of the panic test", RANK(1, 1));

	spin_lock(&l);
	panic("asked for by ktest=panic");
}

KTEST_MANUAL(1, lock_order)
{
	static struct spinlock low = SPINLOCK("low", RANK(1, 1)), high = SPINLOCK("high", RANK(9, 1));

	spin_lock(&low);
	spin_lock(&high);
}
