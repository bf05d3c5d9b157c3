/* copy.S - the instructions that touch user memory, each with its way out.               (lab 3)
 *
 * Idea.       A fault at a listed instruction continues at its landing place instead of killing the kernel:
 *             FIXUP(instruction, landing) adds a pair to the exception table, which trap.c searches.
 *             With SMAP, user pages can be touched only between STAC and CLAC; without it these two
 *             instructions do not exist, so they are assembled as three-byte no-ops and patched in at boot
 *             (smap_sites).
 * Invariants. I1 addresses were checked against USER_END by usercopy.c.  I2 one way out of each function:
 *             after CLAC.
 */
#define KERNBASE 0xffffffff80000000
#define STAC_CODE 0xcb                       /* 0f 01 cb; the no-op is 0f 1f 00 */
#define CLAC_CODE 0xca

	.macro SMAP code
9:	.byte 0x0f, 0x1f, 0x00
	.pushsection .rodata.smap, "a"
	.quad 9b, \code
	.popsection
	.endm

	.macro FIXUP insn, landing
	.pushsection .extable, "a"
	.long \insn - KERNBASE, \landing - KERNBASE
	.popsection
	.endm

	.macro FUNCTION name
	.global \name
	.type \name, @function
	.balign 16
\name:
	.endm

	.section .rodata.smap, "a"
	.global usercopy_smap_sites
	.balign 8
usercopy_smap_sites:                         /* pairs: address, third byte of the instruction; ended by 0 */

	.section .text.hot, "ax"

/* size_t user_copy(void *dst, const void *src, size_t n): bytes NOT copied.
 * Words first; where a word faults, bytes up to the exact place. */
FUNCTION user_copy
	SMAP STAC_CODE
	movq %rdx, %rcx
	shrq $3, %rcx
1:	rep movsq
	movl %edx, %ecx
	andl $7, %ecx
2:	rep movsb
3:	SMAP CLAC_CODE
	movq %rcx, %rax
	ret
4:	andl $7, %edx
	leaq (%rdx, %rcx, 8), %rcx
	jmp 2b
	FIXUP 1b, 4b
	FIXUP 2b, 3b

/* size_t user_clear(void *dst, size_t n): bytes NOT cleared. */
FUNCTION user_clear
	SMAP STAC_CODE
	xorl %eax, %eax
	movq %rsi, %rcx
	shrq $3, %rcx
1:	rep stosq
	movl %esi, %ecx
	andl $7, %ecx
2:	rep stosb
3:	SMAP CLAC_CODE
	movq %rcx, %rax
	ret
4:	andl $7, %esi
	leaq (%rsi, %rcx, 8), %rcx
	jmp 2b
	FIXUP 1b, 4b
	FIXUP 2b, 3b

/* long user_strcpy(char *dst, const char *src, size_t n): length before the NUL, n when there is none in n
 * bytes, -1 on a fault. Eight bytes at a time: (w - 0x01..01) & ~w & 0x80..80 is not 0 when w holds a zero
 * byte, whose lowest set bit then belongs to the first one. Where eight bytes fault, one at a time. */
FUNCTION user_strcpy
	SMAP STAC_CODE
	movq %rdx, %rcx                      /* rcx bytes may still be written */
	movabsq $0x0101010101010101, %r8
	movabsq $0x8080808080808080, %r9
1:	cmpq $8, %rcx
	jb 5f
2:	movq (%rsi), %rax
	movq %rax, %r10
	movq %rax, %r11
	subq %r8, %r10
	notq %r11
	andq %r9, %r10
	movq %rax, (%rdi)                    /* bytes after the NUL are junk, within n */
	andq %r11, %r10
	jnz 3f
	addq $8, %rsi
	addq $8, %rdi
	subq $8, %rcx
	jmp 1b
3:	bsfq %r10, %r10                      /* found: index of the byte in the word */
	shrq $3, %r10
	subq %r10, %rcx
4:	movq %rdx, %rax
	subq %rcx, %rax
	jmp 8f
5:	testq %rcx, %rcx                     /* byte by byte */
	jz 4b
6:	movb (%rsi), %al
	movb %al, (%rdi)
	testb %al, %al
	jz 4b
	incq %rsi
	incq %rdi
	decq %rcx
	jmp 5b
7:	movq $-1, %rax
8:	SMAP CLAC_CODE
	ret
	FIXUP 2b, 5b
	FIXUP 6b, 7b

/* int user_load32(uint32_t *dst, const uint32_t *src): 0, or -1 on a fault. */
FUNCTION user_load32
	SMAP STAC_CODE
1:	movl (%rsi), %ecx
	SMAP CLAC_CODE
	movl %ecx, (%rdi)
	xorl %eax, %eax
	ret
2:	SMAP CLAC_CODE
	movl $-1, %eax
	ret
	FIXUP 1b, 2b

/* int user_store32(uint32_t *dst, uint32_t v): 0, or -1 on a fault. */
FUNCTION user_store32
	SMAP STAC_CODE
1:	movl %esi, (%rdi)
	xorl %eax, %eax
2:	SMAP CLAC_CODE
	ret
3:	movl $-1, %eax
	jmp 2b
	FIXUP 1b, 3b

	.section .rodata.smap, "a"
	.quad 0, 0

	.section .note.GNU-stack, "", @progbits
