/* The functions of the module moonbeam.core, one group per file. Each mb_open_... adds its functions to
 * the table on the top of the stack; their first upvalue is the heap. */
#ifndef MB_API_H
#define MB_API_H

#include "heap/heap.h"

void mb_open_receive(struct mb_heap *h, lua_State *L);
void mb_open_kernel(struct mb_heap *h, lua_State *L);
void mb_open_process(struct mb_heap *h, lua_State *L);
void mb_open_server(struct mb_heap *h, lua_State *L);
void mb_open_request(struct mb_heap *h, lua_State *L);
void mb_open_registry(struct mb_heap *h, lua_State *L);
void mb_open_value(struct mb_heap *h, lua_State *L);
void mb_open_log(struct mb_heap *h, lua_State *L);
void mb_open_system(struct mb_heap *h, lua_State *L);
void mb_open_ending(struct mb_heap *h, lua_State *L);
void mb_open_module(struct mb_heap *h, lua_State *L);

/* The heap goes, which the allocator of a memory limit needs. */
void mb_lift_memory_limit(struct mb_heap *h, lua_State *L);

/* Puts the runtime's pcall and xpcall into the standard library. */
void mb_open_protect(struct mb_heap *h, lua_State *L);

/* Puts the runtime's print and write into the standard library's tables; the stack stays. */
void mb_open_output(struct mb_heap *h, lua_State *L);

/* A question that only a process's or a timer's own scheduler can answer, with a reply to the reference. */
struct mb_query {
  struct mb_posted posted; /* first: `run` finds the rest by it */
  mb_pid from;             /* who waits for the MB_REPLY to `ref` */
  mb_ref ref;
  uint64_t about; /* a pid, or a timer's reference */
  int kind, key;  /* for `run` */
};

/* Ask another scheduler, which runs `run` and owns the query there, and wait: the values of the answer are the results of
 * the caller, who returns this. */
int mb_ask(struct mb_heap *h, lua_State *L, struct mb_scheduler *whom, struct mb_query query);

#endif
