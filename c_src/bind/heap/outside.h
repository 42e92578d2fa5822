/* Outside of any process: what a finalizer runs, whichever process is current; a function of on_scheduler_start; a
 * callback of the event loop; what mb.blocking runs. It may do what concerns others (send, spawn, log) and cannot wait
 * or ask who runs: see mb_current.
 *
 * A finalizer is known by the collector, which Lua stops meanwhile (finalizer.h). For the others h->collector points to
 * a word of ours that says the same, so mb_outside is one question for all. Owner's thread. */
#ifndef MB_OUTSIDE_H
#define MB_OUTSIDE_H

#include "heap/heap.h"

/* By what the code that runs is outside. */
enum mb_outside_by { MB_BY_NOTHING, MB_BY_FINALIZER, MB_BY_START, MB_BY_CALLBACK, MB_BY_BLOCKING };
enum mb_outside_by mb_outside_by(const struct mb_heap *h, lua_State *L);

/* What runs from here to mb_outside_end, which is given the result, is outside by `by`, no finalizer; MB_BY_NOTHING: it
 * is inside of processes, although a finalizer has called it. */
const unsigned char *mb_outside_begin(struct mb_heap *h, enum mb_outside_by by);
void mb_outside_end(struct mb_heap *h, const unsigned char *before);

/* Functions of on_scheduler_start run between these, which may be nested. */
void mb_configure_begin(struct mb_heap *h);
void mb_configure_end(struct mb_heap *h);

/* One runs, and in the time of the process that has called it: then what ends or interrupts that one ends it, too. */
static inline int mb_configures_itself(const struct mb_heap *h) { return h->configuring && !h->replicating; }

#endif
