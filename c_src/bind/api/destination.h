/* Whom a message, a request or a monitor is for, as scripts name it. */
#ifndef MB_DESTINATION_H
#define MB_DESTINATION_H

#include "heap/heap.h"

enum mb_destination_kind {
  MB_TO_PROCESS,  /* pid, of a process that is alive, or not */
  MB_TO_NOBODY,   /* a name that no process has */
  MB_TO_ELSEWHERE /* {name, node} that leads to no process: like a pid of the dead, since nobody can know that */
};

struct mb_destination {
  enum mb_destination_kind kind;
  mb_pid pid; /* 0 for the others */
};

/* Which forms a function takes beside pids. */
enum mb_destination_forms {
  MB_NAMES,          /* registered names */
  MB_NAMES_AND_NODES /* {name, node}, too */
};

/* The destination at a stack index that is no pid. Raises, naming argument `index` of the function, when it is of no
 * form that this takes. */
struct mb_destination mb_named_destination(struct mb_heap *h, lua_State *L, int at, const char *function, int index,
                                           enum mb_destination_forms forms);

/* The destination at a stack index. */
static inline struct mb_destination mb_check_destination(struct mb_heap *h, lua_State *L, int at, const char *function,
                                                         int index, enum mb_destination_forms forms) {
  mb_pid pid = mb_to_pid(L, at);
  if (pid) return (struct mb_destination){MB_TO_PROCESS, pid};
  return mb_named_destination(h, L, at, function, index, forms);
}

#endif
