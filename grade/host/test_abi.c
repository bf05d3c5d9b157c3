/* test_abi.c - lib/abi against the host's own headers: constants, sizes and offsets must be equal.
 *
 * Idea.       The two sets of headers cannot meet in one file, so each makes a table from the same list of rows.
 * Interface.  cc -I. grade/host/test_abi.c grade/host/abi_*.c; prints each difference, exit status 1 if any.
 */
#include <stdio.h>
#include "grade/host/abi_table.h"

static int
compare(const struct abi_row *ours, const struct abi_row *host)
{
	int bad = 0;

	for (; ours->name; ours++, host++) {
		if (ours->value != host->value) {
			printf("%s: ours %ld, host %ld\n", ours->name, ours->value, host->value);
			bad++;
		}
	}
	return bad;
}

int
main(void)
{
	int bad = compare(abi_ours, abi_kernel) + compare(abi_ours_libc, abi_libc);

	printf("abi: %s\n", bad ? "FAILED" : "ok");
	return bad != 0;
}
