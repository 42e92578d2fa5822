/* Making a shared value (heap/shared.h) of a table: data only, of any depth, with shared parts and cycles. */
#ifndef MB_SHARED_MAKE_H
#define MB_SHARED_MAKE_H

#include "heap/heap.h"

/* Push the handle of a shared value made of the table at `index`. Raises at the caller when there is anything else than
 * data in it, naming what and where, and when memory is out; then nothing has happened. */
void mb_shared_make(struct mb_heap *h, lua_State *L, int index);

#endif
