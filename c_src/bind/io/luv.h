/* luv, libuv's binding, on the scheduler's own loop: libraries that are written for it work in processes as they are.
 *
 * Its callbacks run between two processes, outside of any: they may send and spawn, and cannot wait. uv.run, called by
 * a process, waits until the loop has nothing alive. Nothing here is linked to luv: what is needed of it is found in
 * the library that has been opened. */
#ifndef MB_LUV_H
#define MB_LUV_H

#include "io/io.h"

/* A C module's opener is about to be called: when it is luv's, it shall take this heap's loop. Raises when memory is
 * out. */
void mb_luv_opens(struct mb_heap *h, lua_State *L, lua_CFunction opener);

/* It has been called, and its result is at `index`: put our run, stop and walk into luv's table. */
void mb_luv_opened(struct mb_heap *h, lua_State *L, lua_CFunction opener, int index);

/* Call what mb_coroutine_push_late pushes, as callbacks are called, when the loop runs next. */
void mb_luv_resumes_due(struct mb_heap *h);

/* The loop of a luv that has been loaded before the runtime, and the callbacks on it are this heap's from now on; NULL
 * when there is none. For a heap that is being opened, before its scheduler has a loop in use. */
uv_loop_t *mb_luv_adopt(struct mb_heap *h, lua_State *L);

#endif
