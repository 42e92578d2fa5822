/* A node: one runtime with the heaps of its schedulers. The first heap is the state that opened the runtime; those of
 * the other schedulers are made, the first of each with its thread, when there is work for them, and end with the
 * first. */
#ifndef MB_NODE_H
#define MB_NODE_H

#include <lua.h>

#include "code/c_modules.h"
#include "code/paths.h"
#include "core/core.h"
#include "heap/bounds.h"
#include "io/listener.h"
#include "log/log.h"
#include "process/current.h"
#include "process/ending.h"
#include "replica/publication.h"

struct mb_heap;
struct mb_node;
struct mb_pool;

/* How further states are made. */
struct mb_node_setup {
  lua_State *(*new_state)(void **data);              /* NULL when memory is out. Any thread */
  void (*close_state)(lua_State *L, void *data);
  void (*attach)(lua_State *L, struct mb_node *n, struct mb_scheduler *s); /* makes the heap; raises */
  lua_CFunction prepare; /* opens the libraries and requires moonbeam */
};

struct mb_node {
  struct mb_runtime runtime;
  struct mb_node_setup setup;
  struct mb_workers *workers;
  struct mb_pool *pool; /* of mb.blocking */
  struct mb_log log;
  struct mb_publications publications;
  struct mb_paths paths;
  struct mb_opening opening;
  struct mb_bounds bounds;
  struct mb_ending ending;
  struct mb_refusals refusals;
  struct mb_listenings listenings;
};

/* How many schedulers a new node may have: MOONBEAM_SCHEDULERS, else `otherwise`; 0: as many as cores. */
uint32_t mb_node_schedulers(uint32_t otherwise);

/* A new node; NULL when memory is out. */
struct mb_node *mb_node_new(uint32_t limit, uint32_t schedulers, const struct mb_upcalls *upcalls,
                            const struct mb_node_setup *setup);

/* End every process and thread. 0, or -1 when a thread did not end within a second: then nothing may be freed. The
 * first heap's thread, outside of processes. */
int mb_node_stop(struct mb_node *n);

/* After mb_node_stop. */
void mb_node_free(struct mb_node *n);

/* The upcall: make the other schedulers with their threads. */
void mb_node_start(struct mb_scheduler *s);

/* Another heap for a scheduler, whose thread calls, not from inside of a process's code; NULL, which has been said: it
 * cannot be made. */
struct mb_heap *mb_node_open_heap(struct mb_scheduler *s);

/* Posted to a scheduler: close one of the heaps without processes that are too many, and look again. */
void mb_node_close_heaps(struct mb_scheduler *s, struct mb_posted *posted);

/* The node of a scheduler's runtime. */
static inline struct mb_node *mb_node_of(const struct mb_scheduler *s) {
  return (struct mb_node *)((char *)s->runtime - offsetof(struct mb_node, runtime));
}

/* End the program from inside of a process on h's scheduler that cannot give up the processor and has
 * MB_PRIVATE_LEFT. Does not return. */
_Noreturn void mb_node_leave(struct mb_heap *h, int status);

/* The thread of a scheduler other than the first ends, from inside of a process that has been left. */
_Noreturn void mb_node_retire(struct mb_heap *h);

#endif
