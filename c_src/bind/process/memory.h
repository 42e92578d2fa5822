/* Memory: what the values of one process take, which Lua's collector knows only of all together. */
#ifndef MB_MEMORY_H
#define MB_MEMORY_H

#include "heap/heap.h"

/* About how many bytes p takes: its slot, its messages, its coroutine, and what its stack, dictionary and globals
 * reach. Code and what is found in modules is everybody's and not counted. Of what is very large (10,000 objects,
 * 100,000 entries of tables) the rest is left out, so that the answer takes some ms at most. co: the Lua thread of p's
 * stack, NULL: none; L: who asks. Raises when memory is out. Owner's thread. */
size_t mb_memory_of(struct mb_heap *h, lua_State *L, struct mb_process *p, lua_State *co);

#endif
