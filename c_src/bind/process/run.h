/* Running processes: between the core's scheduler and Lua's coroutines. */
#ifndef MB_RUN_H
#define MB_RUN_H

#include "heap/heap.h"

/* The upcalls: see struct mb_upcalls. */
void mb_run_resume(struct mb_scheduler *s, struct mb_process *p);
void mb_run_destroy(struct mb_scheduler *s, struct mb_process *p);

/* A heap is being opened: it keeps coroutines of the dead. May raise. */
void mb_run_open(struct mb_heap *h, lua_State *L);

#endif
