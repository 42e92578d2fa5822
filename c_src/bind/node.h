/* A node: one runtime with a heap for each of its schedulers. The first heap is the state that opened the runtime;
 * the others are made, each with its thread, when there is work for them, and end with the first. */
#ifndef MB_NODE_H
#define MB_NODE_H

#include <lua.h>

#include "core/core.h"
#include "log/log.h"
#include "process/ending.h"
#include "replica/publication.h"

struct mb_heap;

enum { MB_REFUSED_PLACES = 1000 };

/* How the states of further schedulers are made. */
struct mb_node_setup {
  lua_State *(*new_state)(void **data);              /* NULL when memory is out. Any thread */
  void (*close_state)(lua_State *L, void *data);
  lua_CFunction prepare; /* opens the libraries and requires moonbeam */
};

struct mb_node {
  struct mb_runtime runtime;
  struct mb_node_setup setup;
  struct mb_workers *workers;
  struct mb_log log;
  struct mb_publications publications;
  /* Slices that last longer are reported; 0: none. Relaxed: it does not matter which of two processes sees a change
   * first. */
  _Atomic uint64_t long_ns;
  _Atomic uint64_t cleanup_ns; /* see closing.h; relaxed, as above */
  char *paths[2]; /* package.path and cpath when the runtime was loaded; constant */
  struct mb_ending ending;
  _Atomic uint64_t refused[MB_REFUSED_PLACES]; /* hashes of the places where a finalizer has been refused something; 0: none */
};

/* Note where modules are found when the runtime is loaded into the first heap: the others look for its own there. */
void mb_node_note_paths(struct mb_node *n, lua_State *L);

/* How many schedulers a new node may have: MOONBEAM_SCHEDULERS, else `otherwise`; 0: as many as cores. */
uint32_t mb_node_schedulers(uint32_t otherwise);

/* A new node; NULL when memory is out. */
struct mb_node *mb_node_new(uint32_t limit, uint32_t schedulers);

/* End every process and thread. 0, or -1 when a thread did not end within a second: then nothing may be freed. The
 * first heap's thread, outside of processes. */
int mb_node_stop(struct mb_node *n);

/* After mb_node_stop. */
void mb_node_free(struct mb_node *n);

/* The upcall: make the other schedulers with their threads. */
void mb_node_start(struct mb_scheduler *s);

/* The thread of a scheduler other than the first ends, from inside of a process that has been left. */
_Noreturn void mb_node_retire(struct mb_node *n, struct mb_scheduler *s);

/* Opening C modules is for one thread at a time, which may nest. */
void mb_node_lock_modules(struct mb_node *n);
void mb_node_unlock_modules(struct mb_node *n);

#endif
