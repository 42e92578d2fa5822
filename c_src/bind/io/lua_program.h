/* Programs that run beside the process that has started them: system.spawn. See lua/moonbeam/system.lua for what they
 * do.
 *
 * A program is an object of its process's, and its pipes are sockets, objects of their own. It is open until it has
 * ended or somebody has closed it, its process's exit included: then it is killed with all that it has started. Its
 * handle stays until the loop has waited for it. */
#ifndef MB_LUA_PROGRAM_H
#define MB_LUA_PROGRAM_H

#include "io/io.h"

/* Functions of moonbeam.core: spawn_program. */
void mb_open_program(struct mb_heap *h, lua_State *L);

#endif
