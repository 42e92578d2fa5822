/* Making and ending a heap with its runtime inside a Lua state. */
#ifndef MB_OPEN_H
#define MB_OPEN_H

#include "heap.h"
#include "moonbeam.h"

/* The heap of this state, made when it has none yet. The process limit is taken from MOONBEAM_PROCESSES
 * when set. Raises on failure. */
struct mb_heap *mb_heap_open(lua_State *L);

/* Kill every process and close the scheduler, with clean-up code running; the state must be still open.
 * Nothing happens the second time. */
void mb_heap_close(struct mb_heap *h);

#endif
