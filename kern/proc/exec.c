/* exec.c - replace a process's program.                                                        (lab 4)
 *
 * Idea.       The new address space is built beside the old one: program, interpreter, stack. Only when
 *             nothing can fail any more it takes the old one's place. The stack is what Linux's looks like
 *             (x86-64 psABI, 3.4.1):
 *
 *                 top    8 zero bytes, execfn, env strings, arg strings, "x86_64", 16 random bytes
 *                        auxv ... AT_NULL
 *                        env pointers, NULL
 *                        arg pointers, NULL
 *                 rsp -> argc                                                              (16-aligned)
 *
 * Interface.  proc_exec, exec_args_*, exec_set_open; system call execve.
 * Invariants. I1 until exec_commit a failure leaves the process as it was.
 */
#include "kern/proc/exec.h"
#include "kern/boot/initcall.h"
#include "kern/boot/print.h"
#include "kern/mem/kheap.h"
#include "kern/proc/random.h"
#include "kern/proc/sched.h"
#include "kern/trap/syscall.h"
#include "kern/trap/usercopy.h"
#include "lib/abi/auxv.h"
#include "lib/abi/elf.h"
#include "lib/abi/errno.h"
#include "lib/abi/stat.h"
#include "lib/kern/string.h"

#define PATH_MAX 4096
#define MAX_ARGS (2ul << 20)          /* bytes of strings, as Linux with an 8 MiB stack */
#define MAX_ARG_STRLEN 131072
#define MAX_ARGC 131072
#define ARGS_FIRST 512
#define SCRIPT_LINE 256
#define SCRIPT_DEPTH 5
#define PIE_BASE 0x555555554000ul     /* for position-independent programs: Linux's, without randomisation */
#define INTERP_BASE 0x7f8000000000ul
#define STACK_TOP USER_END
#define NAUXV 20

/* A program under construction. */
struct exec_image {
	struct aspace *as;
	struct elf_image elf;
	uint64_t entry, interp_base, sp;
	struct source *src;
	char name[16];
};

static int (*open_fn)(const char *path, struct source **out) = exec_open_archive;

void
exec_set_open(int (*open)(const char *path, struct source **out))
{
	open_fn = open;
}

/* Open something to execute: a regular file with an execute bit. */
static int
exec_open(const char *path, struct source **out)
{
	int err = open_fn(path, out);

	if (!err && ((*out)->mode & S_IFMT) == S_IFREG && ((*out)->mode & 0111))
		return 0;
	if (!err)
		source_put(*out);
	return err ? err : -EACCES;
}

/* ---- arguments ---- */

/* Make room for n more bytes. */
static int
args_room(struct exec_args *a, size_t n)
{
	size_t cap = a->cap ? a->cap : ARGS_FIRST;
	char *buf;

	if (a->len + n > MAX_ARGS)
		return -E2BIG;
	while (cap < a->len + n)
		cap *= 2;
	if (cap == a->cap)
		return 0;
	buf = krealloc(a->buf, cap);
	if (!buf)
		return -ENOMEM;
	a->buf = buf;
	a->cap = cap;
	return 0;
}

/* A string of n bytes, its NUL included, has been put at the end. */
static int
args_count(struct exec_args *a, size_t n, bool env)
{
	a->len += n;
	if (env)
		a->envc++;
	else
		a->argc++;
	if (!env)
		a->arg_len = a->len;
	return a->argc + a->envc > MAX_ARGC ? -E2BIG : 0;
}

int
exec_args_add(struct exec_args *a, const char *s, bool env)
{
	size_t n = strlen(s) + 1;
	int err = args_room(a, n);

	if (err)
		return err;
	memcpy(a->buf + a->len, s, n);
	return args_count(a, n, env);
}

void
exec_args_free(struct exec_args *a)
{
	kfree(a->buf);
	*a = (struct exec_args){ 0 };
}

/* Append the user string at `us`. -E2BIG, -EFAULT, -ENOMEM. */
static int
args_add_user(struct exec_args *a, uint64_t us, bool env)
{
	for (size_t want = 64;; want *= 4) {
		size_t room;
		long n;
		int err = args_room(a, want < MAX_ARG_STRLEN ? want : MAX_ARG_STRLEN);

		if (err == -E2BIG && a->len < MAX_ARGS)
			err = args_room(a, MAX_ARGS - a->len);
		if (err)
			return err;
		room = a->cap - a->len;
		n = copyinstr(a->buf + a->len, us, room < MAX_ARG_STRLEN ? room : MAX_ARG_STRLEN);
		if (n >= 0)
			return args_count(a, n + 1, env);
		if (n != -ENAMETOOLONG)
			return n;
		if (room >= MAX_ARG_STRLEN || a->len + room >= MAX_ARGS)
			return -E2BIG;
	}
}

/* Append the strings of a NULL-terminated array of user pointers; 0: an empty array, as Linux takes it. */
static int
args_add_array(struct exec_args *a, uint64_t uarray, bool env)
{
	int err = 0;

	for (uint64_t ptr; uarray && !err; uarray += sizeof ptr) {
		err = copyin(&ptr, uarray, sizeof ptr);
		if (err || !ptr)
			break;
		err = args_add_user(a, ptr, env);
	}
	return err;
}

/* ---- scripts ---- */

/* The words after "#!": the interpreter, and everything behind it as one argument or NULL. Cuts `line` up. */
static int
script_parse(char *line, char **interp, char **arg)
{
	char *p = line + 2, *end = strchr(p, '\n');

	if (!end)
		return -ENOEXEC;              /* longer than SCRIPT_LINE, or no line at all */
	*end = '\0';
	while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
	while (*p == ' ' || *p == '\t')
		p++;
	if (!*p)
		return -ENOEXEC;
	*interp = p;
	while (*p && *p != ' ' && *p != '\t')
		p++;
	*arg = NULL;
	if (*p) {
		*p++ = '\0';
		while (*p == ' ' || *p == '\t')
			p++;
		*arg = p;
	}
	return 0;
}

/* argv becomes: interpreter, its argument, path of the script, argv[1]... */
static int
script_args(struct exec_args *a, const char *interp, const char *arg, const char *path)
{
	struct exec_args b = { 0 };
	size_t skip = a->argc > 0 ? strlen(a->buf) + 1 : 0;
	int err = exec_args_add(&b, interp, false);

	if (!err && arg)
		err = exec_args_add(&b, arg, false);
	if (!err)
		err = exec_args_add(&b, path, false);
	if (!err)
		err = args_room(&b, a->len - skip);
	if (err) {
		exec_args_free(&b);
		return err;
	}
	memcpy(b.buf + b.len, a->buf + skip, a->len - skip);
	b.arg_len = b.len + a->arg_len - skip;
	b.len += a->len - skip;
	b.argc += a->argc > 0 ? a->argc - 1 : 0;
	b.envc = a->envc;
	kfree(a->buf);
	*a = b;
	return 0;
}

/* Open the program that runs `path`: itself, or through any number of "#!" lines an interpreter. */
static int
open_through_scripts(const char *path, struct exec_args *a, struct source **out)
{
	char line[SCRIPT_LINE], copy[SCRIPT_LINE], *interp, *arg;
	int err;

	for (int depth = 0; depth < SCRIPT_DEPTH; depth++) {
		long n;

		err = exec_open(path, out);
		if (err)
			return err;
		n = (*out)->ops->read(*out, 0, line, sizeof line - 1);
		if (n < 2 || line[0] != '#' || line[1] != '!') {
			err = n < 0 ? n : n < 2 ? -ENOEXEC : 0;
			if (err)
				source_put(*out);
			return err;
		}
		source_put(*out);
		line[n] = '\0';
		if (n < SCRIPT_LINE - 1 && !strchr(line, '\n'))
			strlcat(line, "\n", sizeof line);
		err = script_parse(line, &interp, &arg);
		if (!err)
			err = script_args(a, interp, arg, path);
		if (err)
			return err;
		strlcpy(copy, interp, sizeof copy);
		path = copy;
	}
	return -ELOOP;
}

/* ---- the image ---- */

/* Load the ELF interpreter that the program asks for; execution starts there. */
static int
interp_load(struct exec_image *im)
{
	struct elf_image *elf;
	struct source *src;
	int err = exec_open(im->elf.interp, &src);

	if (err)
		return err;
	elf = kzalloc(sizeof *elf);
	err = elf ? elf_load(im->as, src, INTERP_BASE, elf) : -ENOMEM;
	if (!err) {
		im->entry = elf->entry;
		im->interp_base = elf->base;
	}
	kfree(elf);
	source_put(src);
	return err == -ENOEXEC ? -ELIBBAD : err;
}

/* Addresses of what lies on the stack. */
struct stack_plan {
	uint64_t execfn, strings, platform, random, sp;
	size_t nwords;
};

static void
stack_plan(struct stack_plan *s, const char *path, const struct exec_args *a)
{
	s->execfn = STACK_TOP - 8 - (strlen(path) + 1);
	s->strings = s->execfn - a->len;
	s->platform = (s->strings & ~15ul) - 16;
	s->random = s->platform - 16;
	s->nwords = 1 + a->argc + 1 + a->envc + 1 + 2 * NAUXV;
	s->sp = (s->random - s->nwords * 8) & ~15ul;
}

static uint64_t *
aux(uint64_t *w, uint64_t type, uint64_t val)
{
	*w++ = type;
	*w++ = val;
	return w;
}

static void
fill_auxv(uint64_t *w, const struct exec_image *im, const struct stack_plan *s)
{
	const struct cred *c = &current_proc()->cred;
	uint32_t r[4];
	uint64_t *start = w;

	cpuid(1, 0, r);
	w = aux(w, AT_HWCAP, r[3]);
	w = aux(w, AT_PAGESZ, PAGE_SIZE);
	w = aux(w, AT_CLKTCK, 100);
	w = aux(w, AT_PHDR, im->elf.phdr);
	w = aux(w, AT_PHENT, sizeof(Elf64_Phdr));
	w = aux(w, AT_PHNUM, im->elf.phnum);
	w = aux(w, AT_BASE, im->interp_base);
	w = aux(w, AT_FLAGS, 0);
	w = aux(w, AT_ENTRY, im->elf.entry);
	w = aux(w, AT_UID, c->uid);
	w = aux(w, AT_EUID, c->euid);
	w = aux(w, AT_GID, c->gid);
	w = aux(w, AT_EGID, c->egid);
	w = aux(w, AT_SECURE, c->uid != c->euid || c->gid != c->egid);
	w = aux(w, AT_RANDOM, s->random);
	w = aux(w, AT_HWCAP2, 0);
	w = aux(w, AT_EXECFN, s->execfn);
	w = aux(w, AT_PLATFORM, s->platform);
	w = aux(w, AT_NULL, 0);
	assert(w <= start + 2 * NAUXV);
}

/* Fill the words from argc to AT_NULL at `w`. */
static void
fill_words(uint64_t *w, const struct exec_image *im, const struct exec_args *a, const struct stack_plan *s)
{
	const char *str = a->buf;

	*w++ = a->argc;
	for (int i = 0; i < a->argc + a->envc; i++) {
		if (i == a->argc)
			*w++ = 0;
		*w++ = s->strings + (str - a->buf);
		str += strlen(str) + 1;
	}
	if (a->envc == 0)
		*w++ = 0;
	*w++ = 0;
	fill_auxv(w, im, s);
	memcpy(im->as->auxv, w, 2 * NAUXV * 8);
}

/* Reserve the stack and put on it what the program expects. */
static int
stack_build(struct exec_image *im, const char *path, const struct exec_args *a)
{
	uint64_t max = current_proc() ? current_proc()->rlim[RLIMIT_STACK].rlim_cur : 8ul << 20;
	struct stack_plan s;
	char *buf;
	int err;

	max = max > 64ul << 20 ? 64ul << 20 : PAGE_UP(max);
	stack_plan(&s, path, a);
	if (max < 2 * PAGE_SIZE || STACK_TOP - s.sp > max - PAGE_SIZE)
		return -E2BIG;
	err = aspace_stack(im->as, STACK_TOP, max);
	if (err)
		return err;
	buf = kzalloc(STACK_TOP - s.sp);
	if (!buf)
		return -ENOMEM;
	fill_words((uint64_t *)buf, im, a, &s);
	random_bytes(buf + (s.random - s.sp), 16);
	memcpy(buf + (s.platform - s.sp), "x86_64", 7);
	memcpy(buf + (s.strings - s.sp), a->buf, a->len);
	strlcpy(buf + (s.execfn - s.sp), path, STACK_TOP - s.execfn);
	err = aspace_write(im->as, s.sp, buf, STACK_TOP - s.sp);
	kfree(buf);
	im->sp = s.sp;
	im->as->stack_top = STACK_TOP;
	im->as->arg_start = s.strings;
	im->as->arg_end = im->as->env_start = s.strings + a->arg_len;
	im->as->env_end = s.strings + a->len;
	return err == -EFAULT ? -E2BIG : err;        /* the plain stack of lab 4 is small */
}

/* Build everything. On failure nothing is left. */
static int
image_build(struct exec_image *im, const char *path, struct exec_args *a)
{
	int err = a->argc == 0 ? exec_args_add(a, "", false) : 0;

	if (!err)
		err = open_through_scripts(path, a, &im->src);
	if (err)
		return err;
	err = aspace_new(&im->as);
	if (err) {
		source_put(im->src);
		return err;
	}
	im->as->exe = im->src;
	err = elf_load(im->as, im->src, PIE_BASE, &im->elf);
	im->entry = im->elf.entry;
	if (!err && im->elf.interp[0])
		err = interp_load(im);
	if (!err)
		err = stack_build(im, path, a);
	if (err) {
		aspace_put(im->as);
		return err;
	}
	im->as->brk_start = im->as->brk = im->elf.brk;
	strlcpy(im->name, strrchr(path, '/') ? strrchr(path, '/') + 1 : path, sizeof im->name);
	return 0;
}

/* Set-user-id programs. */
static void
commit_cred(struct proc *p, const struct source *src)
{
	if (src->mode & S_ISUID)
		p->cred.euid = src->uid;
	if ((src->mode & (S_ISGID | 0010)) == (S_ISGID | 0010))
		p->cred.egid = src->gid;
	p->cred.suid = p->cred.euid;
	p->cred.sgid = p->cred.egid;
}

/* The point of no return: the process runs in the new image from now on. */
static void
exec_commit(struct exec_image *im)
{
	struct proc *p = current_proc();
	struct thread *t = current();
	struct aspace *old = p->as;

	spin_lock(&p->lock);
	p->as = im->as;
	memcpy(p->name, im->name, sizeof p->name);
	commit_cred(p, im->src);
	spin_unlock(&p->lock);
	irq_off();
	t->as = im->as;
	aspace_switch(im->as);
	irq_on();
	t->clear_child_tid = 0;
	thread_set_tls(0, 0);
	fpu_fresh(t->fpu);
	spin_lock(&tree_lock);
	p->exec_done = true;
	spin_unlock(&tree_lock);
	proc_hooks_exec(p);
	proc_vfork_done(p);
	aspace_put(old);
}

static void
frame_init(struct trapframe *tf, const struct exec_image *im)
{
	uint64_t vector = tf->vector;

	memset(tf, 0, sizeof *tf);            /* rdx = 0: no function for exit to call (psABI, 3.4.1) */
	tf->vector = vector;
	tf->error = -1ul;
	tf->rip = im->entry;
	tf->rsp = im->sp;
	tf->cs = SEL_UCODE;
	tf->ss = SEL_UDATA;
	tf->rflags = RFLAGS_IF;
}

/* execve for the current process; exec.h has the contract. Takes the strings of `args` out of it. */
long
proc_exec(const char *path, struct exec_args *args, struct trapframe *tf)
{
	struct exec_image *im = kzalloc(sizeof *im);
	int err = im ? image_build(im, path, args) : -ENOMEM;

	if (!err) {
		exec_commit(im);
		frame_init(tf, im);
	}
	kfree(im);
	return err;
}

static long
sys_execve(uint64_t upath, uint64_t uargv, uint64_t uenvp)
{
	struct exec_args a = { 0 };
	char *path = kmalloc(PATH_MAX);
	long r = path ? copyinstr(path, upath, PATH_MAX) : -ENOMEM;

	if (r == 0)
		r = -ENOENT;
	if (r > 0)
		r = args_add_array(&a, uargv, false);
	if (r == 0 && a.argc == 0)
		r = exec_args_add(&a, "", false);
	if (r == 0)
		r = args_add_array(&a, uenvp, true);
	if (r == 0)
		r = proc_exec(path, &a, syscall_frame());
	exec_args_free(&a);
	kfree(path);
	return r;
}

/* ---- the first program ---- */

static struct thread *
init_thread(struct proc *p, const struct exec_image *im)
{
	struct trapframe tf = { 0 };

	frame_init(&tf, im);
	return thread_create_user(p->name, p->pid, &tf);
}

/* Make pid 1 from a program. Requires: a kernel thread, which plays the part of the process until it has a
 * thread.
 * Returns: 0 and it runs, or -errno and nothing has happened. */
int
exec_first(const char *path, struct exec_args *args)
{
	struct exec_image *im = kzalloc(sizeof *im);
	struct thread *t;
	struct proc *p;
	int err = im ? proc_new(NULL, &p) : -ENOMEM;

	if (err)
		goto out_image;
	current()->proc = p;
	err = proc_hooks_fork(NULL, p, 0);
	if (err)
		goto out_proc;
	err = image_build(im, path, args);
	if (err)
		goto out_hooks;
	p->as = im->as;
	memcpy(p->name, im->name, sizeof p->name);
	t = init_thread(p, im);
	err = t ? 0 : -ENOMEM;
	if (err)
		goto out_hooks;
	proc_hooks_exec(p);
	p->vfork_done = true;
	proc_add_thread(p, t);
	proc_publish(p, false);
	thread_detach();
	thread_start(t);
	kfree(im);
	return 0;
out_hooks:
	proc_hooks_exit(p);
out_proc:
	thread_detach();
	proc_discard(p);
out_image:
	kfree(im);
	return err;
}

static void
exec_init(void)
{
	SYSCALL_REG_FRAME(execve, sys_execve);
}

INITCALL(4, exec_init);
