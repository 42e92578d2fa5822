/* Memory: what the values of one process take, which Lua's collector knows only of all together.
 *
 * About how many bytes a process takes: its slot, its messages, its coroutine, and what its stack, dictionary and globals
 * reach. Code and what is found in modules is everybody's and not counted. It is found by a walk over all of that, a
 * userdata that goes on in steps: between them the process may run, and what it changes meanwhile is found as it is by
 * then, or not. Nothing that grows with the process is copied or sorted in one go. */
#ifndef MB_MEMORY_H
#define MB_MEMORY_H

#include "heap/heap.h"

#define MB_WALK_TYPE "moonbeam.memory_walk" /* of such a userdata, for luaL_checkudata */

/* How much a walk is for. */
enum mb_walk_size {
  MB_WALK_SMALL, /* one step, which is to be cheap to begin */
  MB_WALK_LARGE
};

/* Push a walk that begins with what p has by itself. co: the Lua thread of p's stack, NULL: none; L: who asks. Raises when
 * memory is out. Owner's thread. */
void mb_memory_push_walk(struct mb_heap *h, lua_State *L, struct mb_process *p, lua_State *co, enum mb_walk_size size);

/* Make a step of the walk at stack index `at`, which takes a fraction of a millisecond: 1 when it is at its end. Raises
 * when memory is out, or, as lua_next does, when the table in which it stands has changed; then mb_memory_skip. */
int mb_memory_step(struct mb_heap *h, lua_State *L, int at);

/* Leave out the rest of that table. */
void mb_memory_skip(lua_State *L, int at);

/* The bytes that have been found. */
size_t mb_memory_walked(lua_State *L, int at);

#endif
