/* initcall.h - the only linker magic: functions run at boot, in lab order then link order.  (lab 1) */
#ifndef KERN_BOOT_INITCALL_H
#define KERN_BOOT_INITCALL_H

/* Tables keep the order of the source: gcc must be asked, clang does so anyway. */
#if __has_attribute(no_reorder)
#define IN_SOURCE_ORDER no_reorder,
#else
#define IN_SOURCE_ORDER
#endif

typedef void (*initcall_fn)(void);

/* INITCALL(4, sched_init): kernel.lds sorts the sections by name, so two digits. */
#define INITCALL(lab, fn) INITCALL_(lab, fn)
#define INITCALL_(lab, fn) \
	static const initcall_fn initcall_##fn \
		__attribute__((IN_SOURCE_ORDER used, section(".initcall." INITCALL_KEY_##lab))) = fn
#define INITCALL_KEY_1 "01"
#define INITCALL_KEY_2 "02"
#define INITCALL_KEY_3 "03"
#define INITCALL_KEY_4 "04"
#define INITCALL_KEY_5 "05"
#define INITCALL_KEY_6 "06"
#define INITCALL_KEY_7 "07"
#define INITCALL_KEY_8 "08"
#define INITCALL_KEY_9 "09"
#define INITCALL_KEY_10 "10"
#define INITCALL_KEY_11 "11"
#define INITCALL_KEY_12 "12"
#define INITCALL_KEY_13 "13"
#define INITCALL_KEY_14 "14"

#endif
