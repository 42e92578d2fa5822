/* What a process keeps on the Lua side, beside its coroutine: a table, by its slot. */
#ifndef MB_PRIVATE_H
#define MB_PRIVATE_H

#include "heap/heap.h"

/* Where there is nothing yet: nothing is pushed, or it is made. */
enum mb_make { MB_IF_MADE, MB_MAKE };

/* Push the private values of p, by MB_PRIVATE_DICTIONARY and so on. 1 when pushed. */
int mb_push_private(struct mb_heap *h, lua_State *L, struct mb_process *p, enum mb_make make);

/* Push the dictionary of p. 1 when pushed. */
int mb_push_dictionary(struct mb_heap *h, lua_State *L, struct mb_process *p, enum mb_make make);

#endif
