/* count.c - a QEMU plugin: how many guest instructions run between two marks.
 *
 * Idea.       Every instruction adds one to a counter of its kind as it runs: user mode or kernel, told by
 *             the half of the address space it lies in. The marks are NOPs that a program under test
 *             executes (storage.c): at MARK_BEGIN the counters are noted, at MARK_END the differences are
 *             written to QEMU's log. What any process or interrupt does in between counts; a halted
 *             processor executes nothing. A repeated string instruction counts once for each turn.
 * Interface.  qemu-system-x86_64 -plugin count.so -d plugin -D LOG; in LOG "count USER KERNEL" for each
 *             pair of marks.
 *
 * The declarations are those of QEMU's plugin interface, version 1, that are used here; so no header has to
 * be installed.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef uint64_t qemu_plugin_id_t;

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
	void (*cb)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, int op, void *ptr,
	uint64_t imm);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, void (*cb)(unsigned, void *),
	int flags, void *arg);
void qemu_plugin_outs(const char *text);

#define PUBLIC __attribute__((visibility("default")))

PUBLIC int qemu_plugin_version = 1;

static uint64_t count[2], noted[2];	/* [0] user mode, [1] kernel */

static void
mark_begin(unsigned cpu, void *arg)
{
	(void)cpu, (void)arg;
	memcpy(noted, count, sizeof(noted));
}

static void
mark_end(unsigned cpu, void *arg)
{
	char line[80];

	(void)cpu, (void)arg;
	snprintf(line, sizeof(line), "count %llu %llu\n", (unsigned long long)(count[0] - noted[0]),
		(unsigned long long)(count[1] - noted[1]));
	qemu_plugin_outs(line);
}

/* Which mark is it? nopl disp32(%rax) is 0f 1f 80 and four bytes; ours are '1' or '2', "CBM". 0: none. */
static int
mark_of(const struct qemu_plugin_insn *insn)
{
	const uint8_t *b = qemu_plugin_insn_data(insn);

	if (qemu_plugin_insn_size(insn) != 7 || memcmp(b, "\x0f\x1f\x80", 3) || memcmp(b + 4, "CBM", 3))
		return 0;
	return b[3] - '0';
}

static void
translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		int mark = mark_of(insn);

		qemu_plugin_register_vcpu_insn_exec_inline(insn, 0, &count[qemu_plugin_insn_vaddr(insn) >> 63], 1);
		if (mark == 1 || mark == 2)
			qemu_plugin_register_vcpu_insn_exec_cb(insn, mark == 1 ? mark_begin : mark_end, 0, NULL);
	}
}

PUBLIC int
qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
	(void)info, (void)argc, (void)argv;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
