/* A call that a thread of libuv's pool carries out while the process that made it waits, and nobody else.
 *
 * The pool's thread sees an object of C that it shares with nobody until it has done; the values are made by the
 * process when it goes on. Whoever is killed meanwhile leaves the call behind: it is carried out, and what it has
 * brought is released in the loop. The functions here are those of the scheduler's thread. */
#ifndef MB_CALL_H
#define MB_CALL_H

#include <uv.h>

#include "heap/heap.h"

/* The head of a call's own struct. */
struct mb_call {
  uv_work_t work;
  struct mb_scheduler *scheduler;
  mb_pid waiter;
  struct mb_call **box; /* the userdata on the waiter's stack that keeps it; NULL: collected */
  int over;
  int64_t result; /* of run; negative: an error of libuv's */
  /* Do it and set result. A thread of the pool: no Lua, nothing of the runtime's. */
  void (*run)(struct mb_call *c);
  /* Push the results and return how many, or MB_CALL_GOES_ON with nothing pushed: give way, and call it again. May
   * raise. */
  int (*finish)(struct mb_heap *h, lua_State *L, struct mb_call *c);
  /* Free what it has beside itself, whether it has run or not; NULL: nothing. */
  void (*release)(struct mb_call *c);
};
enum { MB_CALL_GOES_ON = -1 };

/* A new call of `size` bytes, zeroed but for its functions, which are set next, kept by a userdata on the top of the
 * stack. Raises when memory is out. */
void *mb_call_new(struct mb_heap *h, lua_State *L, size_t size);

/* Have it carried out and wait for that; its userdata is at stack index `at`, positive. Use as
 * `return mb_call_wait(...)`. Raises where the process cannot wait, and then it is not carried out. */
int mb_call_wait(struct mb_heap *h, lua_State *L, int at);

#endif
