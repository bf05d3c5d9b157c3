/* replay.c - what the journal of an image holds: the scan of FORMAT.md section 8.
 *
 * Idea.       Follow the transactions from `start`; keep those that are complete; collect their images and
 *             revokes. The caller writes the images home, or looks at the file system as if it had.
 * Interface.  log_read(), log_block_read(), log_super_init().
 * Invariants. I1 at most length-1 log blocks are looked at, whatever they say.
 * Locks.      None.
 */
#include "fs/eclipsefs/host/replay.h"

#include <stdlib.h>
#include <string.h>

#include "fs/eclipsefs/crc.h"
#include "fs/eclipsefs/layout.h"

struct revoke { uint64_t block, seq; };

struct scan {
	struct image *im;
	const struct efs_super *sb;
	struct log_content *out;
	struct revoke *revokes;
	size_t nrevokes;
	uint64_t pos, left;		/* next log block, and how many may still be looked at */
};

static void
image_add(struct log_content *c, uint64_t block, uint64_t seq, uint64_t at)
{
	if ((c->n & (c->n - 1)) == 0)
		c->images = xgrow(c->images, (c->n ? 2 * c->n : 1) * sizeof(*c->images));
	c->images[c->n++] = (struct log_image){ block, seq, at };
}

/* The next block of the ring: its place on the disk and content. */
static bool
log_next(struct scan *s, uint64_t *at, void *buf)
{
	if (s->left == 0)
		return false;
	*at = s->sb->journal_start + s->pos;
	s->left--;
	if (++s->pos == s->sb->journal_blocks)
		s->pos = 1;
	return block_read(s->im, *at, buf) == 0;
}

static bool
target_ok(const struct efs_super *sb, uint64_t block)
{
	return block < sb->blocks && (block < sb->journal_start || block - sb->journal_start >= sb->journal_blocks);
}

/* Is this what belongs at `block`? Every metadata block says where its home is. */
static bool
image_ok(const struct efs_super *sb, const uint8_t *image, uint64_t block)
{
	const struct efs_mb *mb = (const struct efs_mb *)image;
	return block == EFS_SUPER_BLOCK || !efs_mb_check(mb, mb->magic, block, sb->fsid, mb->owner);
}

static bool
images_scan(struct scan *s, const struct efs_jdesc *d, uint64_t seq)
{
	uint8_t buf[EFS_BLOCK] __attribute__((aligned(8)));
	uint64_t at;
	if (d->count == 0 || d->count > EFS_JTAGS)
		return false;
	for (uint32_t i = 0; i < d->count; i++) {
		if (!target_ok(s->sb, d->tags[i].block) || !log_next(s, &at, buf))
			return false;
		if (crc32c(0, buf, sizeof(buf)) != d->tags[i].crc || !image_ok(s->sb, buf, d->tags[i].block))
			return false;
		image_add(s->out, d->tags[i].block, seq, at);
	}
	return true;
}

static bool
revokes_scan(struct scan *s, const struct efs_jrevoke *r, uint64_t seq)
{
	if (r->count == 0 || r->count > EFS_JREVOKES)
		return false;
	s->revokes = xgrow(s->revokes, (s->nrevokes + r->count) * sizeof(*s->revokes));
	for (uint32_t i = 0; i < r->count; i++)
		s->revokes[s->nrevokes++] = (struct revoke){ r->blocks[i], seq };
	return true;
}

/* One transaction with number `seq`; false if it is not complete. */
static bool
transaction_scan(struct scan *s, uint64_t seq)
{
	union { struct efs_mb mb; struct efs_jdesc desc; struct efs_jrevoke revoke; struct efs_jcommit commit; } b;
	uint32_t controls = 0, chain = 0;
	uint64_t at;
	size_t before = s->out->n;
	for (;;) {
		if (!log_next(s, &at, &b) || efs_mb_check(&b, b.mb.magic, at, s->sb->fsid, 0) || b.mb.seq != seq)
			return false;
		if (b.mb.magic == EFS_MB_JCOMMIT)
			return b.commit.controls == controls && b.commit.images == s->out->n - before && b.commit.chain == chain;
		if (b.desc.index != controls)
			return false;
		controls++;
		chain = crc32c(chain, &b.mb.crc, sizeof(b.mb.crc));
		if (b.mb.magic == EFS_MB_JDESC ? !images_scan(s, &b.desc, seq)
		    : b.mb.magic == EFS_MB_JREVOKE ? !revokes_scan(s, &b.revoke, seq) : true)
			return false;
	}
}

static int
revoke_compare(const void *a, const void *b)
{
	const struct revoke *x = a, *y = b;
	if (x->block != y->block)
		return x->block < y->block ? -1 : 1;
	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* Whether a transaction after `i`'s revoked its block. Revokes are sorted; the last of a block is the
 * newest. */
static bool
is_revoked(const struct scan *s, const struct log_image *i)
{
	size_t lo = 0, hi = s->nrevokes;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (s->revokes[mid].block <= i->block)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo > 0 && s->revokes[lo - 1].block == i->block && s->revokes[lo - 1].seq > i->seq;
}

/* Read the log of the file system with superblock `sb`. The caller frees out->images.
 * Returns: NULL, with out->n == 0 when there is nothing to replay; or what is wrong with the log's
 * superblock. */
const char *
log_read(struct image *im, const struct efs_super *sb, struct log_content *out)
{
	struct efs_jsuper js;
	struct scan s = { .im = im, .sb = sb, .out = out };
	memset(out, 0, sizeof(*out));
	if (sb->journal_blocks == 0)
		return NULL;
	if (block_read(im, sb->journal_start, &js))
		return "cannot be read";
	const char *wrong = efs_mb_check(&js, EFS_MB_JSUPER, sb->journal_start, sb->fsid, 0);
	if (wrong)
		return wrong;
	if (js.length != sb->journal_blocks || js.start >= js.length || js.seq == 0)
		return "impossible journal superblock";
	out->next_seq = js.seq;
	if (js.start == 0)
		return NULL;
	s.pos = js.start;
	s.left = js.length - 1;
	for (;; out->next_seq++, out->transactions++) {
		size_t images = out->n, revokes = s.nrevokes;
		if (transaction_scan(&s, out->next_seq))
			continue;
		out->n = images;
		s.nrevokes = revokes;
		break;
	}
	if (s.nrevokes)
		qsort(s.revokes, s.nrevokes, sizeof(*s.revokes), revoke_compare);
	size_t kept = 0;
	for (size_t i = 0; i < out->n; i++)
		if (!is_revoked(&s, &out->images[i]))
			out->images[kept++] = out->images[i];
	out->n = kept;
	free(s.revokes);
	return NULL;
}

/* Block `block` as it will be when the log has been replayed. Returns 0 or -errno. */
int
log_block_read(struct image *im, const struct log_content *log, uint64_t block, void *buf)
{
	for (size_t i = log->n; i > 0; i--)
		if (log->images[i - 1].block == block)
			return block_read(im, log->images[i - 1].at, buf);
	return block_read(im, block, buf);
}

/* An empty log's superblock. */
void
log_super_init(struct efs_jsuper *js, const struct efs_super *sb, uint64_t next_seq)
{
	efs_mb_init(js, EFS_MB_JSUPER, sb->journal_start, sb->fsid, 0);
	js->length = (uint32_t)sb->journal_blocks;
	js->seq = next_seq ? next_seq : 1;
	efs_mb_seal(js);
}
