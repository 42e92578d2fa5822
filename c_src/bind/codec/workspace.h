/* The encoder's memory, kept from one message to the next so that small messages allocate nothing:
 * the output, which objects have been met, and what is deferred. */
#ifndef MB_WORKSPACE_H
#define MB_WORKSPACE_H

#include "codec/buffer.h"
#include "heap/heap.h"

struct mb_seen {
  const void *object; /* table, function, or upvalue cell */
  size_t offset;      /* environments: where the byte stands that says whether it is private */
  uint32_t number;    /* the object's number; of a cell: the number of the function that brought it */
  unsigned char upvalue; /* cells: index in that function */
  unsigned char is_env;  /* written as an environment */
  unsigned char whole;   /* environments: told to be whole already */
};

struct mb_deferred {
  unsigned char kind;   /* MB_L_... */
  int root;             /* the encoder's, when it was deferred */
  uint32_t environment; /* number, where the kind needs one */
};

struct mb_workspace {
  struct mb_buffer out;
  struct mb_seen *seen;
  size_t seen_count, seen_capacity;
  uint32_t *index; /* open addressing over seen (number + 1), used beyond a few objects */
  size_t index_capacity;
  struct mb_deferred *deferred;
  size_t deferred_count, deferred_capacity;
  uint32_t objects; /* numbers given out */
  int deferred_values;      /* registry reference of the table of what is deferred; LUA_NOREF */
};

struct mb_workspace *mb_workspace_new(void);
void mb_workspace_free(struct mb_workspace *w);

/* Push a userdata that owns another workspace and return it. Raises when memory is out. */
struct mb_workspace *mb_workspace_push(lua_State *L);

/* Start with nothing met. */
void mb_workspace_reset(struct mb_workspace *w, lua_State *L);

/* The output is complete: give back what was met and deferred, where it is much. */
void mb_workspace_finish(struct mb_workspace *w, lua_State *L);

/* The output has been used: give it back, if it is large. */
void mb_workspace_drop(struct mb_workspace *w);

/* Find or add; the pointers are valid until the next addition. NULL: not there; out of memory. */
struct mb_seen *mb_workspace_find(const struct mb_workspace *w, const void *object);
struct mb_seen *mb_workspace_add(struct mb_workspace *w, const void *object);

/* Add an entry to the queue of what is deferred; NULL when memory is out. */
struct mb_deferred *mb_workspace_defer(struct mb_workspace *w);

#endif
