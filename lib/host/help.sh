#!/bin/sh
cat <<'TEXT'
make                  build/kernel.elf and build/eclipse.img
make setup            install what is needed (prefixes any goal: make setup qemu-nox)
make doctor           what is missing on this machine, and how to mend it
make qemu, qemu-nox   boot; -nox has the console on this terminal (leave: poweroff, or Ctrl-A X)
make qemu-gdb, qemu-nox-gdb, then make gdb in another window
make grade            grade the labs: points, and what went wrong (TEST=lab3: those of one lab)
make replay T=test SEED=n       a graded test again, exactly as it was, with all the machine says; replay-gdb: under gdb
make test             everything: grader, host-side tests, layer checks
make mutants          wrong solutions: is every one caught? (LAB=N MUTANT=glob)
make bench            guest instructions per system call, fork, exec, fault; GROUP=storage: files and disks against Linux (grade/bench/bench.mk)
make crash            lose power at every moment of many workloads (W=name SEED=n POINT=n; grade/crash/crash.mk)
make fuzz             the file system under sanitizers: hostile images, crashes, fsck, libFuzzer (FUZZ_SECONDS=n)
make release DEST=dir write the students' repository (LABS=1-9 SEED=word); in that, make next-lab merges the next lab
make release-check    everything about the release: each lab's skeleton built and booted
make grade-class       grade a class (SUBMISSIONS=dir OUT=dir [SLURM=1]); gradescope, classroom: see grade/instructor/GUIDE.md
make syscalls, lines  tables from the source: system calls there are, kernel lines per lab
make clean, make help

LAB=N       labs 1..N only            BOOT=bios|uefi|direct   DISK=virtio|virtio-mmio|ata|usb
CPUS= MEM=  processors, MiB           ACCEL=tcg|kvm|hvf       APPEND="kernel words"
IMG=path    boot this image           ROOTFS=dir              laid over the root file system
B=dir       build directory           QEMUEXTRA="..."         V=1: show commands    TOOLPREFIX=
SAN=1       the kernel with address and undefined-behaviour sanitizers (kern/boot/asan.c): slower, and it trusts nobody
grade, test: TEST=glob[,glob] SEED=n JOBS=n HIDDEN=dir JSON=file JUNIT=file GRADESCOPE=file MARKDOWN=file
TEXT
