# Read by `make gdb`: connects to the machine that `make qemu-gdb` or `make qemu-nox-gdb` has started.
#   b kmain, b page_fault...   stop in the kernel         user sh, then b main   stop in a program
#   eclipse-ps   processes     pt ADDRESS   page-table walk     locks   who holds what
set confirm off
set disassembly-flavor att
set architecture i386:x86-64
source lib/host/gdb/eclipse.py
eclipse-connect
