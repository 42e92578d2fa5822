/* The runtime's own modules, moonbeam.*: loaded ones are in a table of their own and not in package.loaded, which is
 * the program's. There they would be walked by whoever looks for modules, and by Lua for every name in a traceback. A
 * module gets into package.loaded when the program requires it.
 *
 * The globals that their files see are copies of Lua's library as it was when the heap was opened, so nothing that a
 * program does to its globals, or to the tables `string`, `table` and so on, reaches the library. Owner's thread. */
#ifndef MB_LIBRARY_H
#define MB_LIBRARY_H

#include "heap/heap.h"

/* Whether a module of this name can be one of the library's. */
int mb_library_is_name(const char *module);

/* Push the library's module of this name if it is loaded; else 0 and nothing. */
int mb_library_loaded(struct mb_heap *h, lua_State *L, const char *module);

/* The same, loading its file first if need be. Raises what the file raises. */
int mb_library_push(struct mb_heap *h, lua_State *L, const char *module);

/* Push what the file of the library's module `module` returns, which is loaded now; 0 when there is no such file. */
int mb_library_load(struct mb_heap *h, lua_State *L, const char *module);

/* The value on the top of the stack (popped) is the library's module of this name. */
void mb_library_put(struct mb_heap *h, lua_State *L, const char *module);

/* package.loaded[module] is the library's, and goes there. */
void mb_library_take(struct mb_heap *h, lua_State *L, const char *module);

/* Push the globals of the library's files. */
void mb_library_push_globals(struct mb_heap *h, lua_State *L);

#endif
