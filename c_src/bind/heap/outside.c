#include "heap/outside.h"

#include "heap/finalizer.h"

void mb_configure_begin(struct mb_heap *h) {
  static const unsigned char outside = MB_STOPPED_BY_FINALIZER;
  if (h->configuring++) return;
  h->collector_kept = h->collector;
  h->collector = &outside;
}

void mb_configure_end(struct mb_heap *h) {
  if (--h->configuring == 0) h->collector = h->collector_kept;
}
