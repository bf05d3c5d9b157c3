/* ap_entry.S - the first instructions of every other CPU: from real mode to C.               (lab 13)
 *
 * Idea.       A start-up IPI names a page below 1 MiB, where the CPU begins in 16-bit real mode. smp.c copies
 *             ap_trampoline there. It makes in one go the steps that boot.S made: the boot page tables still
 *             map the first 4 GiB one to one, so the jump to ap_long, at the image's physical address, lands
 *             in 64-bit mode.
 * Interface.  ap_trampoline .. ap_trampoline_end; ap_stack, ap_root, ap_main: what smp.c fills in before.
 * Invariants. I1 code in the page refers to itself only relative to CS, whose base is the page.
 *             I2 one CPU at a time: who finds no stack in ap_stack came too late and halts. */
#define KERNBASE 0xffffffff80000000
#define PHYS(x) ((x) - KERNBASE)

#define CR0_PE_MP_ET_NE_WP_PG 0x80010033
#define CR4_PAE 0x20
#define MSR_EFER 0xc0000080
#define EFER_LME_NXE 0x900

	.section .text
	.code16
	.balign 16
	.global ap_trampoline, ap_trampoline_end
ap_trampoline:
	cli
	cld
	lgdtl %cs:(ap_gdt_desc - ap_trampoline)

	/* Long mode straight from real mode: PAE, CR3, EFER.LME, then PE and PG together (AMD vol. 2, 14.6; SDM 9.8.5). */
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
	ljmpl $0x08, $PHYS(ap_long)

	.balign 8
ap_gdt_desc:
	.short ap_gdt_end - ap_gdt - 1
	.long PHYS(ap_gdt)
ap_trampoline_end:

	.code64
ap_long:
	movabsq $ap_high, %rax
	jmpq *%rax
ap_high:
	movw $0x10, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	xorl %eax, %eax
	movw %ax, %fs
	movw %ax, %gs
	movq ap_root(%rip), %rcx             /* stacks are mapped only in the kernel's own tree */
	movq %rcx, %cr3
	xchgq %rax, ap_stack(%rip)           /* I2 */
	testq %rax, %rax
	jz 1f
	movq %rax, %rsp
	xorl %ebp, %ebp                      /* backtraces end here */
	call *ap_main(%rip)
1:	cli
	hlt
	jmp 1b

	.section .rodata
	.balign 8
ap_gdt:                                      /* until gdt_load: the first entries of the real one */
	.quad 0
	.quad 0x00af9b000000ffff             /* 0x08 kernel code, 64 bit */
	.quad 0x00cf93000000ffff             /* 0x10 kernel data */
ap_gdt_end:

	.section .bss
	.balign 8
	.global ap_stack, ap_root, ap_main
ap_stack:
	.skip 8                              /* top of the stack for the next CPU that comes, 0: none expected */
ap_root:
	.skip 8                              /* physical address of the kernel's PML4 */
ap_main:
	.skip 8                              /* void (*)(void), does not return */

	.section .note.GNU-stack, "", @progbits
