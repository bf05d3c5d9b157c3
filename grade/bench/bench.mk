# bench.mk - `make bench GROUP=storage`: files and disks, against Linux with ext4 in the same QEMU.
#
#   RUNS=3          boots of each for the times        SCALE=1       divides the number of operations
#   ROWS="a b"      these rows only                    CACHE=unsafe  QEMU's cache mode for the disk
#   ONLY=Eclipse    no Linux                           RESULT=file   the numbers as JSON
#
# Linux is Debian's package linux-image-cloud-amd64: laid into $(B)/bench, else found in /boot, else downloaded.

RUNS ?= 3
SCALE ?= 1
ROWS ?=
CACHE ?= unsafe
ONLY ?=
RESULT ?=

$(B)/bench/storage: $(B)/uobj/grade/bench/storage.o $(LIBC)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(ULINK) -o $@ $^

$(B)/bench/count.so: grade/bench/count.c
	$(call say,HOSTCC,$@)
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) -std=gnu11 -O2 -Wall -Wextra -Werror -fPIC -shared -o $@ $<

.PHONY: bench-storage
bench-storage: $(K)/kernel.elf $(MKFS) $(B)/bench/storage $(B)/bench/count.so
	$(Q)QEMU='$(QEMU)' $(PYTHON) -B -m grade.bench.storage --build '$(B)' --kernel '$(K)/kernel.elf' \
		--program '$(B)/bench/storage' --runs '$(RUNS)' --scale '$(SCALE)' --rows '$(ROWS)' --cache '$(CACHE)' --only '$(ONLY)' \
		$(if $(RESULT),--json '$(RESULT)')
-include $(B)/uobj/grade/bench/storage.d
