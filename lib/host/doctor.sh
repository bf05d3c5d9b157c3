#!/bin/sh
# doctor.sh - says what is missing or too old on this machine, by trying each feature, and how to mend it.
# The tools' names come in the environment from `make doctor`. Exit status 0 only when all that must work does.
bad=0
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

# check WHAT MEND COMMAND...: a must; wish WHAT MEND COMMAND...: something is lost without it.
check() {
	what=$1 mend=$2
	shift 2
	if "$@" >/dev/null 2>&1; then echo "ok       $what"; else echo "MISSING  $what: $mend"; bad=1; fi
}
wish() {
	what=$1 mend=$2
	shift 2
	if "$@" >/dev/null 2>&1; then echo "ok       $what"; else echo "without  $what: $mend"; fi
}

kernel_compile() {
	echo 'int f(int __seg_gs *p); int f(int __seg_gs *p) { return *p; }' > "$tmp/a.c"
	$CC -std=gnu11 -ffreestanding -fno-pie -mcmodel=kernel -mno-red-zone -mgeneral-regs-only -c -o "$tmp/a.o" "$tmp/a.c" &&
		$LD -r -o "$tmp/b.o" "$tmp/a.o" && $LD -V | grep -E "elf_?x86[_-]64"
}
host_compile() {
	echo 'int main(void) { return 0; }' > "$tmp/h.c"
	$HOSTCC -o "$tmp/h" "$tmp/h.c" && "$tmp/h"
}
host_static() { host_compile && $HOSTCC -static -o "$tmp/hs" "$tmp/h.c"; }
microvm() { $QEMU -machine help | grep microvm; }
pvh() { $QEMU -device help | grep isa-debug-exit; }
python_new() { $PYTHON -c 'import sys; assert sys.version_info >= (3, 8)'; }
grub() { command -v grub-mkimage && [ -f "$GRUB_PC/boot.img" ] && [ -f "$GRUB_PC/smbios.mod" ] && [ -f "$GRUB_PC/regexp.mod" ]; }
grub_efi() { [ -f "$GRUB_EFI/multiboot2.mod" ]; }
busybox() { [ -x "$BUSYBOX" ] && ! { readelf -lW "$BUSYBOX" | grep -q INTERP; }; }

deb() { echo "make setup (Debian package $1)"; }
check "x86-64 kernel compiler ($CC)" "$(deb 'gcc, binutils'); elsewhere TOOLPREFIX=x86_64-elf-" kernel_compile
check "compiler for host tools ($HOSTCC)" "$(deb 'gcc, libc6-dev')" host_compile
check "python 3.8 or newer ($PYTHON)" "$(deb python3)" python_new
check "x86-64 emulator ($QEMU)" "$(deb qemu-system-x86)" pvh
check "GRUB for BIOS, with smbios and regexp" "$(deb 'grub-pc-bin, grub-common')" grub
check "GRUB for UEFI" "$(deb grub-efi-amd64-bin)" grub_efi
wish "UEFI firmware (BOOT=uefi)" "$(deb ovmf)" test -f "$OVMF"
wish "QEMU's microvm (DISK=virtio-mmio)" "a newer QEMU" microvm
wish "a static BusyBox for the image" "$(deb busybox-static)" busybox
wish "python with pytest (make grade, make test)" "$(deb python3-pytest)" $PYTEST_PYTHON -c 'import pytest'
wish "threads and locks in what the grader explains" "$(deb python3-pyelftools)" $PYTEST_PYTHON -c 'import elftools'
wish "static host programs (tests' expected output)" "$(deb libc6-dev)" host_static
wish "gdb with python (make gdb)" "$(deb gdb)" $GDB -batch -ex 'python print(1)'
exit $bad
