/* What Lua's library keeps once per state and each process has for itself: the generator of math.random, and the
 * default files of io. The library's own functions serve all processes: what belongs to the one that runs is put in its
 * place first. A process that uses neither has neither. The main chunk of a stock interpreter counts as one process,
 * whichever it is by now. A heap's own thread. */
#ifndef MB_OWN_H
#define MB_OWN_H

#include "heap/private.h"

enum { MB_RANDOM_SIZE = 64 };

/* The library's generator of random numbers: see lua_random.c. */
struct mb_random {
  mb_pid owner; /* whose state is in there, mb_own_id */
  void *state;
  size_t size;
  uint64_t seed; /* what the next seeds are made of; 0: not yet */
  unsigned char outside[MB_RANDOM_SIZE]; /* the state that finalizers have */
  int outside_seeded;
  lua_CFunction random, randomseed;
};

/* The default files. */
struct mb_own_files {
  mb_pid owner;      /* whose ones the library has, mb_own_id */
  int set, main_has; /* some process, the main chunk has set one */
};

/* Who runs, for comparing; 0: the main chunk. */
static inline mb_pid mb_own_id(const struct mb_process *p) { return p && !(p->flags & MB_IN_PLACE) ? mb_pid_of(p) : 0; }

/* Push the private values of p, as mb_push_private; of the main chunk's, whether it has a process or not, if id
 * is 0. */
int mb_push_own(struct mb_heap *h, lua_State *L, mb_pid id, struct mb_process *p, enum mb_make make);

/* Put these functions in the place of the library's; the stack stays. */
void mb_open_random(struct mb_heap *h, lua_State *L);
void mb_open_files(struct mb_heap *h, lua_State *L);
void mb_open_collector(struct mb_heap *h, lua_State *L);

/* Let the library's default files be those of the running process. */
void mb_use_files(struct mb_heap *h, lua_State *L);

/* A new process has the default files of its parent. Those that are not the standard ones keep it on this scheduler. */
void mb_inherit_files(struct mb_heap *h, lua_State *L, struct mb_process *parent, struct mb_process *p);

/* It is placed elsewhere: it has the standard ones. */
void mb_disinherit_files(struct mb_heap *h, lua_State *L, struct mb_process *p);

#endif
