# crash.mk - `make crash`: lose power at every moment of a dozen workloads, and look at what is left.
#
#   make crash                                all workloads, all checks, 120 s (LOAD=) of load, the mutants: some minutes
#   make crash W="append storm" IMAGES=5000   these, with so many images each; no mutants
#   make crash LAB=8 W=storm                  how it is without a journal
#   make crash W=append SEED=1 POINT=123 [VARIANT=4]   one image of the last recording again; IMAGE=file keeps it

W ?=
SEED ?= 1
POINT ?=
VARIANT ?=
IMAGES ?= 3000
IMAGE ?=
LOAD ?= $(if $(W),0,120)
MUTANTS ?= $(if $(W),,1)

CRASH_SRCS := $(addprefix grade/crash/,check.c model.c memdisk.c fsck_in.c) fs/eclipsefs/crc.c fs/eclipsefs/layout.c \
	fs/eclipsefs/v2.c fs/eclipsefs/host/replay.c fs/eclipsefs/host/view.c
# The kernel's own recovery, on the host, as one object whose names are its own. What it never calls need not exist.
CRASH_KERNEL := grade/crash/kernel_in.c $(filter-out fs/journal/test_% fs/journal/observe_%,$(wildcard fs/journal/*.c))
CRASH_OBJS := $(patsubst %.c,$(B)/crash/obj/%.o,$(CRASH_KERNEL))
CRASH_KFLAGS := -std=gnu11 -O2 -g -Wall -Wextra -fno-builtin -fno-pie -I. -DKERN_BOOT_INITCALL_H \
	'-DINITCALL(lab,fn)=static void __attribute__((constructor)) ctor_\#\#fn(void) { fn(); }'

$(CRASH_OBJS): $(B)/crash/obj/%.o: %.c $(wildcard fs/eclipsefs/*.h fs/journal/*.h fs/vfs/*.h kern/*/*.h)
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) $(CRASH_KFLAGS) -c -o $@ $<

$(B)/crash/obj/kernel.o: $(CRASH_OBJS)
	$(Q)$(LD) -r -o $@ $^ && $(OBJCOPY) --keep-global-symbol=kernel_recover --keep-global-symbol=kernel_text $@

$(B)/bin/crashcheck: $(CRASH_SRCS) $(wildcard grade/crash/*.h fs/eclipsefs/*.h fs/eclipsefs/host/*.h fs/eclipsefs/host/*.c) \
		user/tests/crash.h $(B)/crash/obj/kernel.o
	$(call say,HOSTCC,$@)
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) $(HOST_FLAGS) -no-pie -Wl,--unresolved-symbols=ignore-all -o $@ $(CRASH_SRCS) $(B)/crash/obj/kernel.o

.PHONY: crash
crash: $(K)/kernel.elf $(B)/test-archive.cpio $(TOOLS) $(B)/bin/crashcheck
	$(Q)MAKE='$(MAKE)' ECLIPSE_BUILD='$(B)' $(if $(LAB),ECLIPSE_LAB='$(LAB)') \
		$(PYTEST_PYTHON) -B -m grade.crash.run --seed '$(SEED)' --images '$(IMAGES)' \
		--jobs '$(JOBS)' $(if $(W),--workloads '$(W)') $(if $(POINT),--point '$(POINT)') \
		$(if $(VARIANT),--variant '$(VARIANT)') $(if $(IMAGE),--image '$(IMAGE)') --load '$(LOAD)' $(if $(MUTANTS),--mutants)
