/* Asking another scheduler what only it can answer, as of its processes and timers. */
#ifndef MB_ASK_H
#define MB_ASK_H

#include "heap/heap.h"

enum mb_subject {
  MB_ABOUT_TIMER,  /* which stays where it was made */
  MB_ABOUT_PROCESS /* which may be given away meanwhile: it is asked of where it lives by then */
};

struct mb_query;

/* Push the answer, one value, on the scheduler that is asked; may raise. Of a message: one, or none. */
typedef void (*mb_answerer)(struct mb_heap *h, lua_State *L, const struct mb_query *q);

struct mb_query {
  struct mb_posted posted; /* first: what is posted finds the rest by it */
  mb_answerer push;
  enum mb_subject subject;
  uint64_t about; /* a timer's reference, or a pid */
  int what;       /* is asked of it, for `push`; */
  uint64_t with;  /* and this */
  mb_pid from;    /* who waits for the MB_REPLY to `ref`; set by mb_ask, as the next */
  mb_ref ref;     /* 0: the answer is a message */
};

/* Ask, and wait: the value of the answer is the result of the caller, a C function that returns this. The query is
 * copied. Raises when the running process cannot wait, or memory is out here or there. */
int mb_ask(struct mb_heap *h, lua_State *L, struct mb_scheduler *whom, struct mb_query query);

/* Push what `push` gives of the query in another heap of this scheduler, and may raise: nobody waits. */
void mb_ask_beside(struct mb_heap *h, lua_State *L, struct mb_heap *whom, struct mb_query query);

/* As mb_ask without waiting: the running process gets the answer as a message, or, if `push` leaves nothing, none.
 * Raises when memory is out here. */
void mb_ask_for_message(struct mb_heap *h, lua_State *L, struct mb_scheduler *whom, struct mb_query query);

#endif
