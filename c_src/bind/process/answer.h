/* Waiting for the one answer to what the running process has asked of another thread. Owner's thread. */
#ifndef MB_ANSWER_H
#define MB_ANSWER_H

#include "heap/heap.h"

/* What the values of an answer are: */
enum mb_answer {
  MB_ANSWER_VALUES, /* results */
  MB_ANSWER_OUTCOME /* true and results, or false and what is raised */
};

/* Wait for the MB_REPLY to ref, an alias that p, which runs and may wait (mb_can_wait), has just made and whose
 * question is on its way. The results are those of the caller, a C function that returns this; its stack is used up. An
 * answer without any value says that memory was out where it was made. Raises that, an error that the answer is, why it
 * cannot be made here, and what mb_block does. */
int mb_wait_for_answer(lua_State *L, struct mb_process *p, mb_ref ref, enum mb_answer form);

/* Raise why no values have been made of an answer: n is what mb_message_push has said, below 0 or 0. */
int mb_answer_unmade(struct mb_heap *h, lua_State *L, int n);

#endif
