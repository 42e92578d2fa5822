/* Global environments.
 *
 * The base is a table of the names that every process finds: the standard library and the kernel. Nothing
 * ever writes it. A function that only reads such names uses the base itself as its environment. One
 * that brings values of its own, or sets globals, gets a private table that falls back to the base; and
 * one that can see its environment as a value (_G, load) gets a private table with a copy of the base,
 * so that what it sees is an ordinary table of globals. */
#ifndef MB_ENVIRONMENT_H
#define MB_ENVIRONMENT_H

#include "heap/heap.h"

/* Set up the base from the standard library. May raise. */
void mb_environment_open(struct mb_heap *h, lua_State *L);

/* Put the runtime's load, loadfile, dofile and require among the state's globals. May raise. */
void mb_environment_install(struct mb_heap *h, lua_State *L);

/* Push a new private environment. */
void mb_environment_new(struct mb_heap *h, lua_State *L);

/* Make the private environment at `index` whole. It becomes the running process's table of globals, if
 * that has none yet. */
void mb_environment_complete(struct mb_heap *h, lua_State *L, int index);

/* Add a name to the base: the value on the top of the stack (popped). */
void mb_environment_define(struct mb_heap *h, lua_State *L, const char *name);

#endif
