/* labinfo.h - what this kernel was built with; the table is generated from labs' lists.      (lab 1) */
#ifndef KERN_BOOT_LABINFO_H
#define KERN_BOOT_LABINFO_H

#include <stdbool.h>

struct labinfo {
	int num;
	bool present;
	const char *title;         /* "processes" */
	const char *what;          /* "runs a tree of processes from the boot archive" */
};

extern const struct labinfo labinfo[];
extern const int nlabinfo;

void labinfo_print(void);      /* the banner: what this kernel has and what it lacks */

#endif
