/* What the files about replicas share: known.c (what a heap knows), compare.c (what differs from that), replica.c
 * (publishing it) and adopt.c. */
#ifndef MB_REPLICA_INSIDE_H
#define MB_REPLICA_INSIDE_H

#include "replica/replica.h"

/* What the bytes of a publication are. */
enum {
  MB_REPLICA_NOW,   /* a list: place, name, whether it is set, value; of each change */
  MB_REPLICA_LATER, /* names of globals, and the encoded list of them: it names modules */
  MB_REPLICA_START  /* where on_scheduler_start was called, and the function */
};
enum { MB_REPLICA_STRIDE = 4 }; /* values of a change in such a list */

/* What is known of a place: the values of its names when they were published or adopted; and, at -1 - place, the hashes
 * of tables' contents. Strong: a value that was known is not another's address. */
void mb_replica_push_known(struct mb_heap *h, lua_State *L, int place);

/* The value on the top of the stack (popped) is known as that of the name at `name`; nil: of nothing. */
void mb_replica_know(struct mb_heap *h, lua_State *L, int place, int name);

/* The first time: what Lua's library has had from the start is known, the functions of its own and the searchers. */
void mb_replica_know_standard(struct mb_heap *h, lua_State *L);

/* Whether a name of a place is the same in all heaps. */
int mb_replica_is_common(lua_State *L, int place, int name);

/* Whether the name is that of a field of package that modules are found by. */
int mb_replica_is_path(lua_State *L, int place, int name);

/* Whether a place is one of the script's globals: the first heap has it, the others get it. */
int mb_replica_is_of_script(int place);

/* What has been found out: lists on the stack. */
struct mb_changes {
  struct mb_heap *h;
  lua_State *L;
  int first, now, later; /* stack indices of lists as they are published: what modules are found by comes first */
  int kept;              /* place, name, value: of what cannot be copied */
  lua_Integer tried;     /* bytes */
};

/* Add what differs in all places, and what the tables hold that this heap has published. May raise. */
void mb_replica_compare(struct mb_changes *c);
void mb_replica_compare_contents(struct mb_changes *c);

/* Call f(h, argument) without letting an error out; 0, or its status with the error on the top of the stack. */
int mb_replica_protected(struct mb_heap *h, lua_State *L, lua_CFunction f, void *data, int number);

#endif
