/* What a process keeps on the Lua side, beside its coroutine: a table, by its slot. */
#ifndef MB_PRIVATE_H
#define MB_PRIVATE_H

#include "heap/heap.h"

/* Push the running process's private values, by MB_PRIVATE_DICTIONARY and so on; when there are none, make them if `make`,
 * else push nothing. 1 when pushed. */
int mb_push_private(struct mb_heap *h, lua_State *L, struct mb_process *p, int make);

/* Push the dictionary of p; 0 and nothing pushed when it has none and make is not set. */
int mb_push_dictionary(struct mb_heap *h, lua_State *L, struct mb_process *p, int make);

#endif
