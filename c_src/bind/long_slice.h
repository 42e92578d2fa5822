/* The report of slices that last too long. */
#ifndef MB_LONG_SLICE_H
#define MB_LONG_SLICE_H

#include "heap.h"

/* Report the slice of `of` when it has lasted too long and could not be cut: it may not yield here, or it was in a
 * C function since it was asked to. Once per slice and per place. Uses the stack of L. */
void mb_long_slice_check(struct mb_heap *h, lua_State *L, lua_State *of, int could_yield);

/* A slice has ended without giving way. */
void mb_long_slice_ended(struct mb_heap *h, lua_State *L);

/* Take and give the threshold: ms, 0 for never. */
lua_Integer mb_long_schedule(struct mb_heap *h, lua_Integer ms);

#endif
