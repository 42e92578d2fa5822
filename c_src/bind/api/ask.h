/* Asking another scheduler what only it can answer, as of its processes and timers. */
#ifndef MB_ASK_H
#define MB_ASK_H

#include "heap/heap.h"

struct mb_query {
  struct mb_posted posted; /* first: what is posted finds the rest by it */
  /* Push the answer, one value, on the scheduler that is asked; may raise. */
  void (*push)(struct mb_heap *h, lua_State *L, const struct mb_query *q);
  uint64_t about;    /* a pid, or a timer's reference */
  int key;           /* for `push` */
  int follows;       /* about is a pid: a process that has been given away meanwhile is asked of where it lives by now */
  mb_pid from;       /* who waits for the MB_REPLY to `ref`; set by mb_ask, as the next */
  mb_ref ref;
};

/* Ask, and wait: the value of the answer is the result of the caller, who returns this. */
int mb_ask(struct mb_heap *h, lua_State *L, struct mb_scheduler *whom, struct mb_query query);

#endif
