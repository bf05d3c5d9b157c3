/* free - how much memory there is and how it is used, in KiB, from /proc/meminfo. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int
main(void)
{
	static const char *const names[] = { "MemTotal:", "MemFree:", "Buffers:", "Cached:" };
	long value[4] = { 0 }, used;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "r");

	if (!f) {
		fprintf(stderr, "free: /proc/meminfo: %s\n", strerror(errno));
		return 1;
	}
	while (fgets(line, sizeof line, f)) {
		for (int i = 0; i < 4; i++) {
			size_t n = strlen(names[i]);

			if (strncmp(line, names[i], n) == 0)
				value[i] = atol(line + n);
		}
	}
	fclose(f);
	used = value[0] - value[1] - value[2] - value[3];
	printf("            total       used       free     cached\n");
	printf("Mem:   %10ld %10ld %10ld %10ld\n", value[0], used, value[1], value[2] + value[3]);
	return 0;
}
