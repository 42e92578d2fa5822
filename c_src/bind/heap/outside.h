/* Outside of any process: a finalizer, whichever process is current, and functions of on_scheduler_start. */
#ifndef MB_OUTSIDE_H
#define MB_OUTSIDE_H

#include "heap/heap.h"

/* Functions of on_scheduler_start run between these. */
void mb_configure_begin(struct mb_heap *h);
void mb_configure_end(struct mb_heap *h);

/* One runs, and in the time of the process that has called it: then what ends or interrupts that one ends it, too. */
static inline int mb_configures_itself(const struct mb_heap *h) { return h->configuring && !h->replicating; }

#endif
