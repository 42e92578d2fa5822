#include "heap/outside.h"

#include "heap/finalizer.h"

/* Words of the collector's that are ours, by enum mb_outside_by; their addresses say which it is. */
static const unsigned char words[] = {[MB_BY_START] = MB_STOPPED_BY_FINALIZER,
                                      [MB_BY_CALLBACK] = MB_STOPPED_BY_FINALIZER,
                                      [MB_BY_BLOCKING] = MB_STOPPED_BY_FINALIZER};

enum mb_outside_by mb_outside_by(const struct mb_heap *h, lua_State *L) {
  for (enum mb_outside_by by = MB_BY_START; by <= MB_BY_BLOCKING; by++)
    if (h->collector == &words[by]) return by;
  return mb_outside(h, L) ? MB_BY_FINALIZER : MB_BY_NOTHING;
}

const unsigned char *mb_outside_begin(struct mb_heap *h, enum mb_outside_by by) {
  const unsigned char *before = h->collector;
  h->collector = &words[by];
  return before;
}

void mb_outside_end(struct mb_heap *h, const unsigned char *before) { h->collector = before; }

void mb_configure_begin(struct mb_heap *h) {
  if (h->configuring++ == 0) h->collector_kept = mb_outside_begin(h, MB_BY_START);
}

void mb_configure_end(struct mb_heap *h) {
  if (--h->configuring == 0) mb_outside_end(h, h->collector_kept);
}
