/* Questions that only a process's or a timer's own scheduler can answer. They are answered after every signal that
 * the asker has sent there before, with a reply to the reference. */
#ifndef MB_REQUEST_H
#define MB_REQUEST_H

#include <stdint.h>

#include "pid.h"

struct mb_runtime;
struct mb_scheduler;

enum mb_request_kind { MB_ASK_INFO, MB_ASK_ALIVE, MB_ASK_TIMER, MB_ASK_CANCEL };

struct mb_request {
  struct mb_request *next;
  enum mb_request_kind kind;
  mb_pid from; /* who waits for the MB_REPLY to `ref` */
  mb_ref ref;
  uint64_t about; /* a pid, or a timer's reference */
  int key;        /* MB_ASK_INFO: which; the layer above knows */
};

/* Put the question to a scheduler. Taken over: `answer` of the upcalls gets it. Any thread. */
void mb_request_post(struct mb_scheduler *to, struct mb_request *r);

#endif
