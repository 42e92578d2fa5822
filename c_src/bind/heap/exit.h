/* What exit() raises: an object that says it is no error, with the reason. */
#ifndef MB_EXIT_H
#define MB_EXIT_H

#include "heap/heap.h"

/* Push what exit(reason) raises; takes the reason from the top of the stack. */
void mb_push_exit(struct mb_heap *h, lua_State *L);

/* Whether the value at an index is what exit() raises. */
int mb_is_exit(struct mb_heap *h, lua_State *L, int index);

#endif
