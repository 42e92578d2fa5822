/* The heap's main thread: where C modules are opened.
 *
 * A library may keep the lua_State that opens it and come back to it at any time: for callbacks, as luv does, or to set
 * a hook there from a signal handler, as luaposix does. So that state is never a process's coroutine, whose stack
 * belongs to the process and later to the next tenant of its slot. No process of a host, nor of a further scheduler,
 * runs on a main thread; in stock Lua the main chunk runs on that of the first heap, and what is called there stands
 * above its frames. */
#ifndef MB_MAIN_THREAD_H
#define MB_MAIN_THREAD_H

#include "heap/heap.h"

/* lua_pcall on the heap's main thread, with all results: L's top has the function and its arguments, then the results
 * or the error. L may be any thread of the heap's that runs; nothing may yield there. Never raises. */
int mb_main_pcall(struct mb_heap *h, lua_State *L, int arguments);

#endif
