/* boot.S - the first instructions: from the boot loader's 32-bit world to kmain in long mode.  (lab 1)
 *
 * Idea.       Two doors, one corridor. GRUB enters at boot_multiboot, `qemu -kernel` at boot_pvh; both are
 *             in 32-bit protected mode with paging off and interrupts off. The corridor builds page tables
 *             for the first 4 GiB, maps them three times, turns on long mode and calls kmain at its high
 *             address:
 *
 *                 virtual                        physical
 *                 0                       .. 4G  same            while we walk through; lab 2 drops it
 *                 DIRECTMAP               .. +4G same            P2V
 *                 KERNBASE                .. +1G the first GiB   the kernel image
 *
 * Interface.  Multiboot2 header, PVH note; boot_pml4 (lab 2 replaces it).
 * Invariants. I1 every address used before step 5 is physical: PHYS(symbol).
 *             I2 %edi and %esi carry kmain's arguments all the way.
 */
#define KERNBASE 0xffffffff80000000
#define PHYS(x) ((x) - KERNBASE)

#define MB2_HEADER_MAGIC 0xe85250d6          /* Multiboot2 specification, 3.1.1 */
#define MB2_BOOT_MAGIC   0x36d76289          /* in %eax on entry */
#define PVH_BOOT_MAGIC   0x336ec578          /* first word of hvm_start_info; also what we tell kmain */
#define XEN_ELFNOTE_PHYS32_ENTRY 18

#define CR0_PE_MP_ET_NE_WP_PG 0x80010033
#define CR4_PAE    0x20
#define MSR_EFER   0xc0000080
#define EFER_LME_NXE 0x900
#define PTE_P_W    0x003
#define PTE_P_W_PS 0x083
#define CPUID_EXT_LM_NX 0x20100000           /* CPUID 80000001h EDX: long mode, no-execute */

/* ---- what the boot loaders look for ---- */

	.section .boot.header, "a"
	.balign 8
mb2_header:
	.long MB2_HEADER_MAGIC, 0, mb2_header_end - mb2_header
	.long -(MB2_HEADER_MAGIC + 0 + (mb2_header_end - mb2_header))
	.balign 8
	.short 5, 1                          /* framebuffer, optional: 32 bits per pixel */
	.long 20, 1024, 768, 32
	.balign 8
	.short 6, 0                          /* modules start on page boundaries */
	.long 8
	.balign 8
	.short 0, 0                          /* end of tags */
	.long 8
mb2_header_end:

	.section .note.Xen, "a", @note
	.balign 4
	.long 4, 4, XEN_ELFNOTE_PHYS32_ENTRY
	.asciz "Xen"
	.long PHYS(boot_pvh)

/* ---- the corridor ---- */

	.section .text.boot, "ax"
	.code32
	.global boot_multiboot
	.type boot_multiboot, @function
boot_pvh:
	movl $PVH_BOOT_MAGIC, %eax
boot_multiboot:
	cli
	cld
	movl %eax, %edi                      /* I2: kmain(magic, */
	movl %ebx, %esi                      /*           info_phys) */
	movl $PHYS(boot_stack_top), %esp

	/* 1. Is this a 64-bit processor with no-execute? */
	movl $0x80000001, %eax
	cpuid
	andl $CPUID_EXT_LM_NX, %edx
	cmpl $CPUID_EXT_LM_NX, %edx
	jne no_long_mode

	/* 2. Four page directories: 2048 leaves of 2 MiB. */
	movl $PHYS(boot_pd), %ebx
	movl $PTE_P_W_PS, %eax
	xorl %ecx, %ecx
1:	movl %eax, (%ebx, %ecx, 8)
	movl $0, 4(%ebx, %ecx, 8)
	addl $0x200000, %eax
	incl %ecx
	cmpl $2048, %ecx
	jne 1b

	/* 3. The tables above them: low and direct map share one, the image has its own. */
	movl $(PHYS(boot_pd) + PTE_P_W), %eax
	movl %eax, PHYS(boot_pdpt_image) + 510 * 8
	xorl %ecx, %ecx
1:	movl %eax, PHYS(boot_pdpt)(, %ecx, 8)
	addl $0x1000, %eax
	incl %ecx
	cmpl $4, %ecx
	jne 1b
	movl $(PHYS(boot_pdpt) + PTE_P_W), PHYS(boot_pml4) + 0 * 8
	movl $(PHYS(boot_pdpt) + PTE_P_W), PHYS(boot_pml4) + 273 * 8     /* DIRECTMAP bits 47..39 */
	movl $(PHYS(boot_pdpt_image) + PTE_P_W), PHYS(boot_pml4) + 511 * 8

	/* 4. Long mode: CR4.PAE, CR3, EFER, CR0.PG in this order (SDM vol. 3, 9.8.5). */
	movl $CR4_PAE, %eax
	movl %eax, %cr4
	movl $PHYS(boot_pml4), %eax
	movl %eax, %cr3
	movl $MSR_EFER, %ecx
	rdmsr
	orl $EFER_LME_NXE, %eax
	wrmsr
	movl $CR0_PE_MP_ET_NE_WP_PG, %eax
	movl %eax, %cr0
	lgdt PHYS(boot_gdt_desc)
	ljmp $0x08, $PHYS(boot_long)

	.code64
boot_long:
	/* 5. Up to the high addresses. */
	movabsq $boot_high, %rax
	jmpq *%rax
boot_high:
	movw $0x10, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	xorl %eax, %eax
	movw %ax, %fs
	movw %ax, %gs
	movq $boot_stack_top, %rsp
	xorl %ebp, %ebp                      /* backtraces end here */
	movl %edi, %edi
	movl %esi, %esi
	call kmain
1:	cli
	hlt
	jmp 1b

	/* Too early for printf: say it on the serial port and stop. */
	.code32
no_long_mode:
	movl $PHYS(no_long_mode_msg), %esi
	movw $0x3f8, %dx
1:	lodsb
	testb %al, %al
	jz 2f
	outb %al, %dx
	jmp 1b
2:	hlt
	jmp 2b

	.section .rodata
no_long_mode_msg:
	.asciz "Eclipse needs a 64-bit processor with no-execute (NX).\r\n"
	.balign 8
boot_gdt:                                    /* lab 3 loads a richer one with the same first entries */
	.quad 0
	.quad 0x00af9b000000ffff             /* 0x08 kernel code, 64 bit */
	.quad 0x00cf93000000ffff             /* 0x10 kernel data */
boot_gdt_desc:
	.short . - boot_gdt - 1
	.long PHYS(boot_gdt)

	.section .bss
	.balign 4096
	.global boot_pml4
boot_pml4:
	.skip 4096
boot_pdpt:
	.skip 4096
boot_pdpt_image:
	.skip 4096
boot_pd:
	.skip 4 * 4096
boot_stack:
	.skip 16384
	.global boot_stack_top
boot_stack_top:

	.section .note.GNU-stack, "", @progbits
