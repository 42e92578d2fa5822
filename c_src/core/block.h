/* Memory that several schedulers read and nobody writes, with a count of who refers to it. What it holds, and how that
 * is given back, is the layer above's. */
#ifndef MB_BLOCK_H
#define MB_BLOCK_H

#include <stdatomic.h>
#include <stddef.h>

struct mb_block {
  atomic_uint references;
  void (*end)(struct mb_block *block); /* nobody refers to it any more. Any thread */
};

/* With one reference, the caller's. */
static inline void mb_block_init(struct mb_block *block, void (*end)(struct mb_block *)) {
  atomic_init(&block->references, 1);
  block->end = end;
}

/* Any thread that has a reference. relaxed: it is not given back meanwhile. */
static inline void mb_block_retain(struct mb_block *block) {
  atomic_fetch_add_explicit(&block->references, 1, memory_order_relaxed);
}

/* Give a reference back: 1, the last one, so that the block has to be ended. acq_rel: all other holders' reading, before
 * they gave theirs back, happens before the end. */
static inline int mb_block_let_go(struct mb_block *block) {
  return atomic_fetch_sub_explicit(&block->references, 1, memory_order_acq_rel) == 1;
}

/* NULL is allowed. Any thread. */
static inline void mb_block_release(struct mb_block *block) {
  if (block && mb_block_let_go(block)) block->end(block);
}

#endif
