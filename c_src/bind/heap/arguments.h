/* Arguments of the functions of moonbeam.core, and how these are put into a table. */
#ifndef MB_ARGUMENTS_H
#define MB_ARGUMENTS_H

#include "heap/heap.h"

void mb_set_functions(struct mb_heap *h, lua_State *L, const luaL_Reg *functions);

/* A name argument: non-empty and not one of the reserved ones; raises naming the function. */
const char *mb_check_name(struct mb_heap *h, lua_State *L, int at, const char *function, int index,
                          size_t *size);

/* A pid argument; raises naming the function. */
mb_pid mb_check_pid(struct mb_heap *h, lua_State *L, int at, const char *function, int index);

/* The first argument is something that can be called; raises naming the function. */
void mb_check_function(struct mb_heap *h, lua_State *L, const char *function);

#endif
