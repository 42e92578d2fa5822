/* Making and ending a heap with its runtime inside a Lua state. */
#ifndef MB_OPEN_H
#define MB_OPEN_H

#include "heap/heap.h"
#include "moonbeam.h"

/* The heap of this state, made when it has none yet. The process limit is taken from MOONBEAM_PROCESSES
 * when set. Raises on failure. */
struct mb_heap *mb_heap_open(lua_State *L);

/* A heap in a fresh state for a further scheduler of the node. Raises on failure. */
struct mb_heap *mb_heap_attach(lua_State *L, struct mb_node *node, struct mb_scheduler *s);

/* Kill every process and close the schedulers, with clean-up code running; the state must be still open.
 * Nothing happens the second time. -1: a thread has not ended within a second; it goes on with what the node shares,
 * which is not freed. */
int mb_heap_close(struct mb_heap *h);

#endif
