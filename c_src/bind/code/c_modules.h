/* C modules: libraries are opened and their openers (luaopen_...) called by one thread of the program at a time, because
 * their initialisation may not be thread-safe, and on the heap's main thread, because they may keep it. */
#ifndef MB_C_MODULES_H
#define MB_C_MODULES_H

#include "heap/heap.h"

/* Wrap the searchers of package.searchers and package.loadlib accordingly. May raise; the stack stays. */
void mb_open_c_modules(struct mb_heap *h, lua_State *L);

#endif
