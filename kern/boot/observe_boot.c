/* observe_boot.c - what lab 1 shows the grader.                                               (lab 1)
 *
 * Idea.       Each observation does things that the seed chose and tells what came of it; what should have
 *             come of it is known only outside (labs/01-boot/test_boot.py draws the same numbers).
 */
#include "kern/boot/bootinfo.h"
#include "kern/boot/cpu.h"
#include "kern/boot/observe.h"
#include "kern/boot/print.h"
#include "kern/boot/screen.h"
#include "kern/boot/spinlock.h"
#include "lib/kern/fmt.h"
#include "lib/kern/list.h"
#include "lib/kern/string.h"

#define DIRECTMAP 0xffff888000000000ul
#define KERNBASE 0xffffffff80000000ul

extern const char text_start[], text_end[];        /* kernel.lds */

/* Bytes as records of up to 64 in hexadecimal. */
static void
observe_bytes(const char *what, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	char hex[129];

	for (size_t at = 0; at < n; at += 64) {
		size_t part = n - at < 64 ? n - at : 64;

		for (size_t i = 0; i < part; i++)
			snprintf(hex + 2 * i, 3, "%02x", p[at + i]);
		observe("%s %s", what, hex);
	}
}

/* A text of n small letters that the seed chose. */
static void
letters(char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		s[i] = (char)('a' + observe_below(26));
	s[n] = '\0';
}

/* ---- hello: nothing but the boot itself ---- */

OBSERVE(1, hello)
{
	observe("here");
	kprintf("hello %lu\n", observe_below(1000000));
}

/* ---- kernel words: those of arg= are looked up, with room for the value and with little ---- */

static void
word_get(const char *key)
{
	char buf[80];

	for (int i = 0; i < 4; i++) {
		size_t n = i == 0 ? sizeof buf - 1 : observe_below(i == 1 ? 3 : 12);

		memset(buf, '#', sizeof buf);
		int r = cmdline_get(key, buf, n);
		bool beyond = buf[n] != '#';

		observe("get %s %lu: %d%s", key, n, r, beyond ? ", written beyond the end" : "");
		buf[sizeof buf - 1] = '\0';
		if (r >= 0 && n > 0)
			observe("value %s", buf);
	}
}

OBSERVE(1, kernel_words)
{
	static char list[512];
	char *key = list, *end;

	strlcpy(list, observe_arg(), sizeof list);
	for (; *key; key = end) {
		for (end = key; *end && *end != ','; end++)
			;
		if (*end)
			*end++ = '\0';
		word_get(key);
	}
}

/* ---- Multiboot2 tags: cases `length:bytes in hexadecimal`, of which only the first `length` count ---- */

static struct bootinfo parsed;
static uint8_t info[4096] __attribute__((aligned(4096)));

static int
hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void
parsed_show(void)
{
	uint64_t phys = (uint64_t)info - KERNBASE;

	observe("words [%s]", parsed.cmdline);
	for (int i = 0; i < parsed.nmem; i++)
		observe("range %#lx %#lx %d", parsed.mem[i].base, parsed.mem[i].len, (int)parsed.mem[i].type);
	if (parsed.archive_size)
		observe("archive %#lx %#lx", parsed.archive_phys, parsed.archive_size);
	if (parsed.rsdp_phys)
		observe("rsdp +%lu", parsed.rsdp_phys - phys);
	if (parsed.fb.phys)
		observe("framebuffer %#lx %u %u %u", parsed.fb.phys, parsed.fb.pitch, parsed.fb.width, parsed.fb.height);
}

/* Parse the case at s. Returns: where the next one begins. */
static const char *
case_parse(const char *s)
{
	size_t n = 0, have = 0;

	for (; *s >= '0' && *s <= '9'; s++)
		n = n * 10 + (size_t)(*s - '0');
	s += *s == ':';
	for (; hex_digit(s[0]) >= 0 && hex_digit(s[1]) >= 0 && have < sizeof info; s += 2)
		info[have++] = (uint8_t)(hex_digit(s[0]) << 4 | hex_digit(s[1]));
	memset(&parsed, 0, sizeof parsed);
	bootinfo_parse_multiboot2(&parsed, (uint8_t *)((uint64_t)info - KERNBASE + DIRECTMAP), n);
	observe("case %lu", n);
	parsed_show();
	return s + (*s == ',');
}

OBSERVE(1, multiboot)
{
	const char *s = strstr(bootinfo.cmdline, " arg=");    /* longer than observe_arg() keeps */

	for (s = s ? s + 5 : ""; *s >= '0' && *s <= '9'; )
		s = case_parse(s);
}

/* ---- the serial port: pieces of text, of all lengths ---- */

OBSERVE(1, serial_pieces)
{
	char text[256];

	for (int i = 0; i < 40; i++) {
		letters(text, 1 + observe_below(i % 4 ? 40 : 200));
		cons_write(text, strlen(text));
	}
	cons_write("|", 1);
}

/* Far more than anybody takes. How many of the writes took about as long as the kernel waits at most? */
OBSERVE(1, serial_silent)
{
	static char text[1025];
	uint64_t start = rdtsc(), waited = 0;

	letters(text, sizeof text - 1);
	for (int i = 0; i < 600 && rdtsc() - start < 12000000000ul; i++) {
		uint64_t t = rdtsc();

		cons_write(text, sizeof text - 1);
		waited += rdtsc() - t > 1900000000ul;
	}
	observe("waited %lu times", waited);
}

/* ---- consoles that keep what they are given ---- */

struct keeper {
	struct console console;
	size_t n;
	char text[40000];
};

static void
keeper_put(struct console *c, const char *s, size_t n)
{
	struct keeper *k = container_of(c, struct keeper, console);

	for (size_t i = 0; i < n && k->n < sizeof k->text; i++)
		k->text[k->n++] = s[i];
}

static struct keeper keepers[4] = {
	{ .console = { .name = "red", .put = keeper_put } }, { .console = { .name = "green", .put = keeper_put } },
	{ .console = { .name = "ttyS", .put = keeper_put } }, { .console = { .name = "blue" } },
};

/* Lines of all lengths, with empty ones among them and sometimes no line end at all. */
static void
lines_make(char *s, size_t max)
{
	size_t n = observe_below(max);

	letters(s, n);
	for (size_t i = 0; i < n; i++)
		if (observe_below(6) == 0)
			s[i] = '\n';
}

OBSERVE(1, console_lines)
{
	char text[80];

	for (int i = 0; i < 4; i++) {
		console_register(&keepers[i].console);
		keepers[i].n = 0;
	}
	for (int i = 0; i < 30; i++) {
		lines_make(text, sizeof text - 1);
		if (observe_below(3) == 0)
			cons_write(text, strlen(text));
		else if (observe_below(2))
			cons_text(text, strlen(text));
		else
			kprintf("%s", text);
	}
	for (int i = 0; i < 3; i++) {
		observe("console %s", keepers[i].console.name);
		observe_bytes("bytes", keepers[i].text, keepers[i].n);
	}
}

/* The log has this much in it when a console comes late. */
OBSERVE(1, console_late)
{
	static struct keeper late = { .console = { .name = "late", .put = keeper_put } };
	char text[64];
	int n = (int)(observe_below(2) ? 1 + observe_below(40) : 400 + observe_below(800));

	for (int i = 0; i < n; i++) {
		letters(text, 10 + observe_below(50));
		klog(LOG_DEBUG, "%d %s\n", i, text);
	}
	console_register(&late.console);
	kprintf("after\n");
	observe_bytes("bytes", late.text, late.n);
}

/* ---- the log ---- */

OBSERVE(1, log_ring)
{
	static char buf[40000];
	char text[64];

	for (int round = 0; round < 8; round++) {
		int n = (int)observe_below(round % 3 == 2 ? 300 : 20) + (round == 7 ? 800 : 0);

		for (int i = 0; i < n; i++) {
			letters(text, observe_below(60));
			klog(LOG_DEBUG, "%s\n", text);
		}
		size_t want = observe_below(3) ? observe_below(400) : observe_below(18000), got;

		want += round == 7 ? 17000 : 0;

		memset(buf, '#', sizeof buf);
		got = klog_read(buf, want);
		observe("read %lu of %lu%s", got, want, buf[want] != '#' ? ", written beyond the end" : "");
		observe_bytes("bytes", buf, got < sizeof buf ? got : sizeof buf);
	}
}

/* ---- symbols ---- */

static void
symbol_show(uint64_t addr)
{
	uint64_t off = 987654321;
	const char *name = ksym_find(addr, &off);

	observe("symbol %#lx %s %lu", addr, name ? name : "-", off);
}

OBSERVE(1, symbols)
{
	uint64_t size = (uint64_t)(text_end - text_start);

	for (int i = 0; i < 60; i++)
		symbol_show((uint64_t)text_start + observe_below(size));
	for (int i = 0; i < 10; i++) {
		symbol_show(observe_random());
		symbol_show((uint64_t)text_end + observe_below(1ul << 16));
		symbol_show((uint64_t)text_start - 1 - observe_below(1ul << 16));
	}
	symbol_show((uint64_t)text_start);
	symbol_show((uint64_t)text_end - 1);
	symbol_show((uint64_t)text_end);
	symbol_show((uint64_t)text_start - 1);
}

/* How long it takes to find one: each address is asked for LOOKUPS times. */
OBSERVE(1, symbols_quick)
{
	enum { LOOKUPS = 64 };
	uint64_t size = (uint64_t)(text_end - text_start), off = 0;

	for (int i = 0; i < 40; i++) {
		uint64_t addr = (uint64_t)text_start + observe_below(size), start = rdtsc(), end;

		for (int k = 0; k < LOOKUPS; k++)
			ksym_find(addr, &off);
		end = rdtsc();
		observe("address %#lx offset %lu cycles %lu", addr, off, end - start);
	}
}

/* ---- backtraces: a walk through a wood ---- */

static int depth;
static void (*at_the_end)(void);
static uint64_t steps;
static void *home[5];
static void oak(void), elm(void), ash(void), fir(void);

/* The asm keeps the call from being the function's last instruction, which would make it a jump. */
static inline __attribute__((always_inline)) void
wander(uint64_t step)
{
	static void (*const tree[])(void) = { oak, elm, ash, fir };

	steps += step;
	if (--depth > 0)
		tree[observe_below(4)]();
	else
		at_the_end();
	asm volatile("" ::: "memory");
}

static __attribute__((noinline)) void oak(void) { wander(1); }
static __attribute__((noinline)) void elm(void) { wander(20); }
static __attribute__((noinline)) void ash(void) { wander(300); }
static __attribute__((noinline)) void fir(void) { wander(4000); }

static void
backtrace_here(void)
{
	kprintf("trace\n");
	backtrace_print(0);
	kprintf("traced\n");
}

/* What does not return may be called by the last instruction of a function: the return address is then the next
 * function's. */
void last_call(void), beyond_call(void);
extern void (*last_callee)(void);
asm(".text; .balign 16; .type last_call, @function; .global last_call; last_call:"
	"pushq %rbp; movq %rsp, %rbp; call *last_callee;"
	".type beyond_call, @function; .global beyond_call; beyond_call: ud2;"
	".data; .balign 8; .global last_callee; last_callee: .quad 0; .text");

static void
yew(void)
{
	backtrace_here();
	__builtin_longjmp(home, 1);
}

OBSERVE(1, backtrace)
{
	for (int i = 0; i < 3; i++) {
		depth = 2 + (int)observe_below(12);
		at_the_end = backtrace_here;
		wander(5);
	}
	depth = 2 + (int)observe_below(6);
	at_the_end = last_call;
	last_callee = yew;
	if (__builtin_setjmp(home) == 0)
		wander(6);
}

/* ---- frames that lie: four good ones, then one that is wrong in a way that the seed chose ---- */

enum { END, TURNS_BACK, ITSELF, CROOKED, USER, NO_CODE, TOO_FAR, NFLAW };

static uint64_t frames[8192];

/* Frame k of the chain: where it lies in frames[]. */
static uint64_t *
frame_at(int k)
{
	return &frames[100 + 4 * k];
}

static void
frames_make(int n, int flaw)
{
	static void (*const tree[])(void) = { oak, elm, ash, fir };
	uint64_t *last = frame_at(n - 1);

	for (int k = 0; k < n + 4; k++) {
		frame_at(k)[0] = (uint64_t)frame_at(k + 1);
		frame_at(k)[1] = (uint64_t)tree[observe_below(4)] + 4;
	}
	frames[8000] = 0;
	frames[8001] = (uint64_t)yew + 4;
	switch (flaw) {
	case END: last[0] = 0; break;
	case TURNS_BACK: last[0] = (uint64_t)frame_at(0); break;
	case ITSELF: last[0] = (uint64_t)last; break;
	case CROOKED: last[0] += 4; break;
	case USER: last[0] = 0x1000 + 8 * observe_below(1ul << 40); break;
	case NO_CODE: frame_at(n)[1] = (uint64_t)frames + observe_below(4096); break;
	case TOO_FAR: last[0] = (uint64_t)&frames[8000]; break;
	}
}

OBSERVE(1, backtrace_frames)
{
	for (int i = 0; i < 2 * NFLAW; i++) {
		int n = 1 + (int)observe_below(8);

		frames_make(n, i % NFLAW);
		kprintf("trace\n");
		backtrace_print((uint64_t)frame_at(0));
		kprintf("traced\n");
	}
}

/* ---- the last words ---- */

static struct spinlock amber = SPINLOCK("amber", RANK(9, 7)), basalt = SPINLOCK("basalt", RANK(5, 3)),
	cobalt = SPINLOCK("cobalt", RANK(1, 1));

static void
panic_here(void)
{
	spin_lock(&amber);
	spin_lock(&cobalt);
	panic("the wood is %lu steps deep", steps);
}

OBSERVE(1, panic_report)
{
	depth = 2 + (int)observe_below(8);
	at_the_end = panic_here;
	wander(7);
}

/* ---- locks ---- */

/* No device may interrupt: without lab 3 nobody would answer. */
static void
devices_quiet(void)
{
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
}

#define NLOCK 6
static struct spinlock locks[NLOCK];
static bool taken[NLOCK];

/* May locks[i] be waited for now? The ranks fall from locks[0] on. */
static bool
lock_allowed(int i)
{
	for (int k = i; k < NLOCK; k++)
		if (taken[k])
			return false;
	return true;
}

static void
locks_show(const char *what, int i)
{
	int held = 0;

	for (int k = 0; k < NLOCK; k++)
		held |= spin_held(&locks[k]) << k;
	observe("%s %d: held %#x, interrupts %s", what, i, held, irq_enabled() ? "on" : "off");
}

/* One step of the play. Lock 0 is another CPU's. */
static void
lock_step(int i)
{
	if (taken[i]) {
		spin_unlock(&locks[i]);
		taken[i] = false;
		locks_show("unlock", i);
	} else if (i > 0 && lock_allowed(i) && observe_below(4)) {
		spin_lock(&locks[i]);
		taken[i] = true;
		locks_show("lock", i);
	} else {
		taken[i] = spin_trylock(&locks[i]);
		locks_show(taken[i] ? "try yes" : "try no", i);
	}
}

static void
locks_reset(void)
{
	for (int k = 0; k < NLOCK; k++)
		spin_init(&locks[k], "of the play", RANK(1, 10 + (uint32_t)(NLOCK - k) * 10));
	locks[0].locked = 1;
	locks[0].cpu = &cpus[1];
}

OBSERVE(1, lock_play)
{
	devices_quiet();
	locks_reset();
	for (int round = 0; round < 8; round++) {
		if (round % 2)
			irq_off();
		else
			irq_on();
		locks_show("start", 0);
		for (int i = 0; i < 25; i++)
			lock_step((int)observe_below(NLOCK));
		for (int i = NLOCK - 1; i > 0; i--)
			if (taken[i])
				lock_step(i);
		lock_step(0);
	}
	irq_off();
}

/* arg: which rule is broken. The locks have names that the seed chose. */
OBSERVE(1, lock_order)
{
	static struct spinlock twin;
	struct spinlock *const named[] = { &amber, &basalt, &cobalt, &twin };
	static char names[4][9];
	const char *how = observe_arg();

	twin = basalt;
	for (int i = 0; i < 4; i++) {
		letters(names[i], sizeof names[i] - 1);
		named[i]->name = names[i];
	}
	spin_lock(&amber);
	spin_lock(&basalt);
	observe("start");
	if (strcmp(how, "same") == 0) {
		spin_lock(&twin);
	} else if (strcmp(how, "above") == 0) {
		spin_unlock(&amber);
		spin_lock(&amber);
	} else if (strcmp(how, "earlier") == 0) {
		spin_unlock(&amber);
		spin_unlock(&basalt);
		spin_lock(&cobalt);
		spin_trylock(&amber);
		spin_lock(&basalt);
	} else if (strcmp(how, "between") == 0) {
		spin_trylock(&twin);
		spin_unlock(&basalt);
		spin_lock(&basalt);
	} else if (strcmp(how, "foreign") == 0) {
		spin_unlock(&cobalt);
	}
	observe("went on");
}

static uint64_t waits, looks;

static void
wait_seen(void)
{
	looks++;
	if (waits > 0 && --waits == 0) {
		observe("other CPU lets go after %lu looks", looks);
		locks[0].cpu = NULL;
		__atomic_store_n(&locks[0].locked, 0, __ATOMIC_RELEASE);
	}
}

/* Another CPU holds the lock; it lets go when we have looked often enough. */
OBSERVE(1, lock_wait)
{
	devices_quiet();
	spin_set_wait_hook(wait_seen);
	for (int i = 0; i < 3; i++) {
		locks_reset();
		waits = 1 + observe_below(2000);
		looks = 0;
		irq_on();
		spin_lock(&locks[0]);
		observe("got it, %lu looks missing", waits);
		locks_show("lock", 0);
		spin_unlock(&locks[0]);
		locks_show("unlock", 0);
		irq_off();
	}
	spin_set_wait_hook(NULL);
}

/* ---- the terminal ---- */

static void
screen_write(const char *s)
{
	cons_write(s, strlen(s));
}

/* Escape sequences by kind: 0 cursor, 1 erase, 2 colour. Numbers are left out now and then, or too large. */
static void
sequence_write(int kind)
{
	static const char *const finals[] = { "ABCDGdHf", "JKKK", "m" };
	const char *final = finals[kind];
	char s[64], a[12] = "", b[12] = "", c = final[observe_below(strlen(final))];

	if (kind == 0 && observe_below(4))
		snprintf(a, sizeof a, "%lu", observe_below(8) ? observe_below(30) : observe_below(9999));
	if (kind == 0 && (c == 'H' || c == 'f') && observe_below(4))
		snprintf(b, sizeof b, ";%lu", observe_below(60));
	if (kind == 1 && observe_below(4))
		snprintf(a, sizeof a, "%lu", observe_below(3));
	if (kind == 2)
		snprintf(a, sizeof a, "%lu", 30 + observe_below(8));
	if (kind == 2 && observe_below(2))
		snprintf(b, sizeof b, ";%lu;1", 40 + observe_below(8));
	if (kind == 2 && observe_below(6) == 0)
		a[0] = b[0] = '\0';
	snprintf(s, sizeof s, "\033[%s%s%c", a, b, c);
	screen_write(s);
}

static void
screen_go(uint64_t row, uint64_t col)
{
	char s[32];

	snprintf(s, sizeof s, "\033[%lu;%luH", row + 1, col + 1);
	screen_write(s);
}

static void
screen_letters(size_t n)
{
	char s[32];

	letters(s, n);
	screen_write(s);
}

static void
screen_show(void)
{
	for (int row = 0; row < 25; row++)
		observe_bytes("row", (uint8_t *)(DIRECTMAP + 0xb8000) + row * 160, 160);
	outb(0x3d4, 0x0e);
	int at = inb(0x3d5) << 8;
	outb(0x3d4, 0x0f);
	observe("cursor %d", at | inb(0x3d5));
}

/* Text, with a sequence somewhere in it; arg: the kinds. The text never reaches the right edge. */
OBSERVE(1, terminal)
{
	const char *kinds = observe_arg();
	size_t nkinds = strlen(kinds);

	for (int round = 0; round < 3; round++) {
		screen_write("\033[0m\033[2J");
		for (int i = 0; i < 30; i++) {
			uint64_t row = observe_below(25), col = observe_below(40);
			int kind = kinds[observe_below(nkinds)] - '0';

			screen_go(row, col);
			screen_letters(1 + observe_below(20));
			screen_go(row, col + observe_below(20));
			sequence_write(kind);
			screen_letters(kind == 1 ? 0 : observe_below(3));
		}
		screen_show();
	}
}
