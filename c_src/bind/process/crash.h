/* What an ended coroutine died of. */
#ifndef MB_CRASH_H
#define MB_CRASH_H

#include "heap/heap.h"

/* End p with the error on the top of its coroutine's stack: the reason of an exit, or
 * {"error", value, traceback}, which is logged. Never raises. */
void mb_crash(struct mb_heap *h, struct mb_process *p, lua_State *co);

#endif
