/* Replicas: what the program changes in Lua's own tables, and the script's globals, in every heap.
 *
 * No hook tells of an assignment to a table. So before a process or a message goes to another scheduler the heap
 * compares the tables with what it knew of them, and publishes what differs (publication.h); a heap adopts what is new
 * to it before it decodes anything. So what has been changed before something was sent is there when that arrives. Of
 * two heaps that change one name, the later publication wins.
 *
 * The tables are those of Lua's library with their metatables, the methods of files, the metatables of the types that
 * share one, and package.preload and package.searchers. What tables hold that have been added there is compared by the
 * heap that has published them, and by no other: so each heap's copy has one source. The globals of the first heap,
 * where the script runs, become the globals of the others, which the modules there have; nobody but modules has them,
 * and what those set themselves stays where it is. What refers to a module that is not loaded there is made when it is
 * first used. What cannot be copied, or takes more than 64 KB, is missing elsewhere.
 *
 * A heap's own thread. Nothing here raises. */
#ifndef MB_REPLICA_H
#define MB_REPLICA_H

#include "heap/heap.h"
#include "replica/place.h"
#include "replica/publication.h"

/* What a heap knows of it. */
struct mb_replica {
  int began;         /* what was there from the start is known */
  uint64_t contents; /* ns: when tables that are globals are checked again, if that takes long */
  int known[MB_PLACES];         /* by place: how many names are known */
  struct mb_table_watch *watch; /* of the tables that are the same in all heaps */
  int watch_works, watching;
};

/* The heap is open: note what Lua's library is like. Again when all heaps have been given more. May raise. */
void mb_replica_open(struct mb_heap *h, lua_State *L);

/* A heap that is not the first is complete, and nothing of the program's has run there: what its tables hold is no
 * change of the program's. Without it the paths that it was opened with would be published, and take the place of what
 * the program has set meanwhile. May raise. */
void mb_replica_begin(struct mb_heap *h, lua_State *L);

/* What is compared. */
enum mb_replicate_depth {
  MB_REPLICATE_NAMES,
  MB_REPLICATE_CONTENTS /* also what published tables hold by now */
};

/* Publish what has been changed. */
void mb_replicate(struct mb_heap *h, lua_State *L, enum mb_replicate_depth depth);

/* A message is about to go to `to`. In another heap of this scheduler that gets it when it runs next, see
 * mb_replicate_owed, or when it starts. */
static inline void mb_replicate_to(struct mb_heap *h, lua_State *L, mb_pid to) {
  struct mb_process *here;
  enum mb_where where;
  if (atomic_load_explicit(&h->publications->heaps, memory_order_relaxed) < 2) return;
  where = mb_locate(h->scheduler, to, &here);
  if (where == MB_ELSEWHERE) {
    mb_replicate(h, L, MB_REPLICATE_NAMES);
  } else if (here && !here->start && !h->owes && mb_process_heap(h->scheduler, here) != h) {
    h->owes = 1;
    h->next_owing = h->heaps->owing;
    h->heaps->owing = h;
  }
}

/* A process of this heap is about to go on: what other heaps of its scheduler have sent there may need what has been
 * changed before. */
void mb_replicate_owing(struct mb_heap *h);
static inline void mb_replicate_owed(struct mb_heap *h) {
  const struct mb_heaps *all = h->heaps;
  if (all->owing && (all->owing != h || h->next_owing)) mb_replicate_owing(h);
}

/* A process is about to start in this heap: what has been changed in others of its scheduler is published. */
void mb_replicate_beside(struct mb_heap *h);

/* The upcall `share`. */
void mb_replica_share(struct mb_scheduler *s);

/* Adopt what others have published. */
void mb_replica_adopt(struct mb_heap *h, lua_State *L);

/* Push, as a string, the function at `index` for mb_replica_publish_start, to run in each heap. Raises at the caller
 * when it cannot be copied. */
void mb_replica_encode_start(struct mb_heap *h, lua_State *L, int index);

/* Publish that. With a name (NULL: none) it takes the place of what has been published by the same name before. */
void mb_replica_publish_start(struct mb_heap *h, lua_State *L, int index, const char *name);

/* Run it in this one: outside of any process, as elsewhere. Raises what it raises. */
void mb_replica_run_start(struct mb_heap *h, lua_State *L, int index);

#endif
