/* What is known of modules' values at once: which objects have none of their names, and that names are not up to
 * date. */
#include "code/modules_inside.h"
#include "core/hash.h"

static uint32_t bit_of(const void *object) {
  return (uint32_t)mb_hash_u64((uint64_t)(uintptr_t)object) & (FILTER_BITS - 1);
}

void mb_modules_mark(struct mb_heap *h, const void *table) {
  uint32_t bit = bit_of(table);
  h->modules->filter[bit / 64] |= 1ull << (bit % 64);
}

int mb_modules_marked(const struct mb_heap *h, const void *object) {
  uint32_t bit = bit_of(object);
  return (h->modules->filter[bit / 64] >> (bit % 64)) & 1;
}

void mb_modules_invalidate(struct mb_heap *h) { h->modules->stale = 1; }
