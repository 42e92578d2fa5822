/* The runtime's own Lua files: where they are found, and the globals that they see.
 *
 * Those are copies of Lua's library as it was when the heap was opened, so nothing that a program does to its globals, or
 * to the tables `string`, `table` and so on, reaches the library. Owner's thread. */
#ifndef MB_LIBRARY_H
#define MB_LIBRARY_H

#include "heap.h"

/* Let require find moonbeam.* below the directory whose name is on the top of the stack (popped), before anything on
 * package.path. */
void mb_library_search(lua_State *L);

/* Push the globals of the library's files. */
void mb_library_push_globals(struct mb_heap *h, lua_State *L);

#endif
