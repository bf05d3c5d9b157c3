/* print.h - kernel console output, log levels, panic, assert.                               (lab 1)
 * Contracts are above the functions in print.c and panic.c. */
#ifndef KERN_BOOT_PRINT_H
#define KERN_BOOT_PRINT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum loglevel { LOG_ERR = 3, LOG_WARN = 4, LOG_INFO = 6, LOG_DEBUG = 7 };   /* as Linux numbers them */

/* A console device: takes bytes; polled, may be called with interrupts off and from panic. */
struct console {
	const char *name;                               /* "ttyS0", "tty0" */
	void (*put)(struct console *c, const char *s, size_t n);
	int (*get)(struct console *c);                  /* next input byte or -1; NULL: no input */
	bool on;                                        /* chosen by console= (default: all) */
	struct console *next;
};

void console_register(struct console *c);
void cons_write(const char *s, size_t n);               /* raw bytes to every console, serialised */
void cons_text(const char *s, size_t n);                /* the same, a newline becomes \r\n */
void cons_break_lock(void);                              /* panic: print even if a writer was interrupted */
int  cons_getc(void);                                   /* polled: next input byte of any console, or -1 */

void klog(enum loglevel level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void kvlog(enum loglevel level, const char *fmt, va_list ap);
/* A log line goes to the consoles when level <= loglevel= (default 6), and always into the log ring. */
#define kprintf(...) klog(LOG_INFO, __VA_ARGS__)
size_t klog_read(char *buf, size_t n);                  /* the newest bytes of the ring, for dmesg */

_Noreturn void panic_at(const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
#define panic(...) panic_at(__FILE__, __LINE__, __VA_ARGS__)
#define assert(e) ((e) ? (void)0 : panic("assert: %s", #e))
/* assert that prints both sides, compared as unsigned 64-bit */
#define assert_cmp(a, op, b) do { uint64_t a_ = (uint64_t)(a), b_ = (uint64_t)(b); \
	if (!(a_ op b_)) panic("assert: %s %s %s (%#lx, %#lx)", #a, #op, #b, a_, b_); } while (0)

/* Extra facts printed by panic (current thread, held mutexes, ...): called with interrupts off, must not
 * lock or allocate. */
void panic_register(void (*fn)(void));
/* Called once before panic prints, to stop the other CPUs (lab 13). */
void panic_set_stop_hook(void (*fn)(void));

/* Called at the end of a panic when the kernel word panic=SECONDS is there and no debug-exit port was. */
void panic_set_reboot_hook(void (*fn)(int seconds));
bool panicking(void);                                   /* somebody's panic is under way */

/* Leave the machine through QEMU's isa-debug-exit port, where it is; else return. `code`: DEBUG_EXIT_*. */
enum { DEBUG_EXIT_OK = 0x10, DEBUG_EXIT_PANIC = 0x11, DEBUG_EXIT_TESTS_FAILED = 0x12 };
void debug_exit(int code);

/* Instead of a body that a student is to write: says so and ends. `where`: the folder of the handout. The rest of
 * the arguments is not looked at; it names what the body will need. */
_Noreturn void lab_todo(int lab, const char *name, const char *where, ...);

void backtrace_print(uint64_t rbp);                     /* symbolised, from this frame pointer; 0: the caller's */
/* Symbol holding `addr` and the offset into it, or NULL. Only kernel text. */
const char *ksym_find(uint64_t addr, uint64_t *off);

#endif
