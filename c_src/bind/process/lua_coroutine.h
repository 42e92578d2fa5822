/* The coroutine library for processes. A process's own coroutines behave as in plain Lua; when code inside
 * one waits or is preempted, the runtime's yield is passed outward, from resume to resume, to the scheduler, and the
 * same way back: resume never takes it for a yield of the coroutine's. */
#ifndef MB_LUA_COROUTINE_H
#define MB_LUA_COROUTINE_H

#include "heap/heap.h"

/* Puts it into the standard library. */
void mb_open_coroutine(struct mb_heap *h, lua_State *L);

/* Callbacks of the event loop have resumed coroutines before these had yielded. If one of them has by now, push a function
 * that resumes it, and its arguments: how many these are. 0: there is none. On the main thread; raises when memory is
 * out. */
int mb_coroutine_push_late(struct mb_heap *h, lua_State *L);

/* The coroutine that L, which waits or runs, has resumed and is waiting for; NULL when it is none of ours. */
lua_State *mb_resumed_by(lua_State *L);

/* Close the coroutines that wait inside co, a process's, one in the other: the innermost first. */
void mb_close_nested(struct mb_heap *h, lua_State *co);

#endif
