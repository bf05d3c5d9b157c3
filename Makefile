# Eclipse is built by GNU make (GNUmakefile); other makes land here and hand over.
.PHONY: all setup doctor qemu qemu-nox qemu-gdb qemu-nox-gdb gdb grade replay replay-gdb mutants test bench release release-check next-lab grade-class gradescope classroom class-check syscalls lines clean help
all setup doctor qemu qemu-nox qemu-gdb qemu-nox-gdb gdb grade replay replay-gdb mutants test bench release release-check next-lab grade-class gradescope classroom class-check syscalls lines clean help:
	@gmake $@
