/* Values and processes as texts show them. */
#ifndef MB_INSPECT_H
#define MB_INSPECT_H

#include "heap/heap.h"

/* Push the inspect text of the value at index; falls back to a plain text. May raise. */
void mb_push_inspect(struct mb_heap *h, lua_State *L, int index);

/* Push the registered name of a process; 0 and nothing pushed when it has none. */
int mb_push_name(struct mb_heap *h, lua_State *L, struct mb_process *p);

#endif
