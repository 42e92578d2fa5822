/* What is found in Lua's library, but is no field of its tables: iterators, metamethods, the methods of files,
 * searchers. It travels by a name of its own, see modules.h. */
#ifndef MB_STANDARD_H
#define MB_STANDARD_H

#include "heap/heap.h"

/* Give names to the C functions in the table on the top of the stack: "what key". May raise; the stack stays. */
void mb_standard_add(struct mb_heap *h, lua_State *L, const char *what);

/* Gather it. May raise; the stack stays. */
void mb_open_standard(struct mb_heap *h, lua_State *L);

#endif
