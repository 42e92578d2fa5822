/* What other heaps have published is adopted before anything of theirs is decoded, or a module loaded: see replica.h,
 * which says how; the rooms below ask only whether. */
#ifndef MB_ADOPT_H
#define MB_ADOPT_H

#include "heap/heap.h"

/* Whether others have published what this heap has not seen. */
static inline int mb_replica_is_behind(const struct mb_heap *h) {
  /* acquire: partner of the release in mb_publish */
  return h->published && atomic_load_explicit(h->published, memory_order_acquire) != h->adopted;
}

/* Something is about to be decoded where code of the user's may run. */
static inline void mb_replica_refresh(struct mb_heap *h, lua_State *L) {
  if (mb_replica_is_behind(h)) h->adopt(h, L);
}

#endif
