/* Tracebacks as luaL_traceback writes them, but with one line, of the function that the user's code has called, where
 * the library's own frames are. */
#ifndef MB_TRACEBACK_H
#define MB_TRACEBACK_H

#include "heap/heap.h"

/* Push the traceback of the levels [level, depth) of a thread, below a text if there is one. The outermost level is
 * that of a process's function, or of a main chunk. May raise: memory. */
void mb_traceback(struct mb_heap *h, lua_State *L, lua_State *of, const char *text, int level, int depth);

#endif
