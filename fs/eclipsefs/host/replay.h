/* replay.h - what the journal of an image holds. */
#ifndef ECLIPSEFS_HOST_REPLAY_H
#define ECLIPSEFS_HOST_REPLAY_H

#include "fs/eclipsefs/host/image.h"

struct log_image { uint64_t block, seq, at; };	/* belongs at `block`; lies at disk block `at` */

struct log_content {
	struct log_image *images;	/* to be written home, in this order; revoked ones are left out */
	size_t n;
	uint64_t transactions;		/* complete ones */
	uint64_t next_seq;
};

const char *log_read(struct image *im, const struct efs_super *sb, struct log_content *out);
int log_block_read(struct image *im, const struct log_content *log, uint64_t block, void *buf);
void log_super_init(struct efs_jsuper *js, const struct efs_super *sb, uint64_t next_seq);

#endif
