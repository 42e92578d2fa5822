/* Functions that stand in for those of Lua's library. */
#ifndef MB_STAND_IN_H
#define MB_STAND_IN_H

#include "heap/heap.h"

/* What a function that stands in has as its upvalues, in this order, and for what it stands; or'ed. */
enum mb_stand_in {
  MB_STAND_IN_BARE = 0,
  MB_STAND_IN_STATE = 1,    /* the first upvalue of the library's function; nil: it has none */
  MB_STAND_IN_HEAP = 2,     /* the heap */
  MB_STAND_IN_ORIGINAL = 4, /* the library's function */
  MB_STAND_IN_ANY = 8       /* it stands for a function of the program's, too, not only for one of C */
};

/* Put f in the place of a field of the table on the top of the stack, `module` of Lua's library: who has kept the old
 * function finds that it travels as the new. module NULL: it does not travel by that name. 0: there is no such
 * function, and nothing has been done. */
int mb_stand_in(struct mb_heap *h, lua_State *L, const char *module, const char *field, lua_CFunction f,
                enum mb_stand_in how);

/* The same for functions of a module, if that is loaded. The stack stays. */
void mb_stand_in_all(struct mb_heap *h, lua_State *L, const char *module, const luaL_Reg *functions,
                     enum mb_stand_in how);

#endif
