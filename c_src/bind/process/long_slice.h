/* The report of slices that last too long: of those in which somebody waited for the scheduler while it could not be
 * preempted, and for how long that was in one go (see struct mb_stretch). A slice that can be cut is never reported. */
#ifndef MB_LONG_SLICE_H
#define MB_LONG_SLICE_H

#include "heap/heap.h"

/* Of a scheduler: all of its heaps have the same. */
struct mb_long_slice {
  uint64_t reported;    /* slice that has been reported */
  struct mb_map places; /* hash of the place -> 1 */
};

/* Report the present slice, which runs on `of`, when it is one: once per slice and per place. Uses the stack of L. Call
 * it while `of` is inside what may be to blame, or has just left that. */
void mb_long_slice_check(struct mb_heap *h, lua_State *L, lua_State *of);

/* A slice has ended without giving way. */
void mb_long_slice_ended(struct mb_heap *h, lua_State *L);

/* The upcall of the ticker, about a slice that has not ended: on its thread, so without the heap. */
int mb_long_slice_stuck(struct mb_log *log, const struct mb_bounds *b, struct mb_scheduler *s, struct mb_process *p,
                        mb_pid pid, const char *site, unsigned ms);

/* Take and give the threshold: ms, 0 for never. */
lua_Integer mb_long_schedule(struct mb_heap *h, lua_Integer ms);

#endif
