# bench.mk - `make bench`: what operations cost.
#
#   make bench                       instructions per system call, fork, exec, fault
#   make bench GROUP=storage         files and disks, against Linux with ext4 in the same QEMU: instructions and time
#       RUNS=3       boots of each for the times          SCALE=1     divides the number of operations
#       ROWS="a b"   these rows only                      CACHE=unsafe   QEMU's cache mode for the disk
#       RESULT=file  the numbers as JSON

GROUP ?= calls
RUNS ?= 3
SCALE ?= 1
ROWS ?=
CACHE ?= unsafe
RESULT ?=

.PHONY: bench bench-calls bench-storage
bench: bench-$(GROUP)

# Instructions per operation: under icount with shift 0 the time-stamp counter counts them.
bench-calls: $(K)/kernel.elf $(B)/test-archive.cpio $(K)/test.img
	@echo "guest instructions per operation:"
	$(Q)$(QEMU) -machine pc -cpu max -accel tcg -m 512 -icount shift=0 -display none -nodefaults -net none -serial stdio \
		-device isa-debug-exit,iobase=0xf4,iosize=4 -kernel $(K)/kernel.elf -initrd $(B)/test-archive.cpio \
		-drive file=$(K)/test.img,format=raw,if=virtio,snapshot=on -append 'loglevel=3 init=/bin/init -- /tests/bench' < /dev/null

$(B)/bench/storage: $(B)/uobj/grade/bench/storage.o $(LIBC)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(ULINK) -o $@ $^

$(B)/bench/count.so: grade/bench/count.c
	$(call say,HOSTCC,$@)
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) -std=gnu11 -O2 -Wall -Wextra -Werror -fPIC -shared -o $@ $<

bench-storage: $(K)/kernel.elf $(MKFS) $(B)/bench/storage $(B)/bench/count.so
	$(Q)QEMU='$(QEMU)' $(PYTHON) -B -m grade.bench.storage --build '$(B)' --kernel '$(K)/kernel.elf' \
		--program '$(B)/bench/storage' --runs '$(RUNS)' --scale '$(SCALE)' --rows '$(ROWS)' --cache '$(CACHE)' \
		$(if $(RESULT),--json '$(RESULT)')
-include $(B)/uobj/grade/bench/storage.d
