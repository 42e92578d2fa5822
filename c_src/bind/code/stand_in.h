/* Functions that stand in for those of Lua's library. */
#ifndef MB_STAND_IN_H
#define MB_STAND_IN_H

#include "heap/heap.h"

/* Put functions in the place of those of a module of Lua's library, if that is loaded: who has kept the old ones finds that
 * they travel as the new. Their upvalues are the heap and the library's function. The stack stays. */
void mb_replace_functions(struct mb_heap *h, lua_State *L, const char *module, const luaL_Reg *functions);

#endif
