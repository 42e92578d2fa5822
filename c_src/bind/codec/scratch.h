/* The encoder's memory, kept from one message to the next so that small messages allocate nothing:
 * the output, which objects have been met, and what is deferred. */
#ifndef MB_SCRATCH_H
#define MB_SCRATCH_H

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

struct mb_scratch {
  struct mb_buffer out;
  struct mb_seen *seen;
  size_t seen_count, seen_capacity;
  uint32_t *index; /* open addressing over seen (number + 1), used beyond a few objects */
  size_t index_capacity, index_room; /* slots that are in use; for which there is memory */
  struct mb_deferred *deferred;
  size_t deferred_count, deferred_capacity;
  struct mb_buffer shares; /* array of the shared values (struct mb_shared *) that have been written, each once, with a
                              reference */
  uint32_t objects; /* numbers given out */
  int deferred_values;      /* registry reference of the table of what is deferred; LUA_NOREF */
};

struct mb_scratch *mb_scratch_new(void);
void mb_scratch_free(struct mb_scratch *scratch);

/* Push a userdata that owns another scratch and return it. Raises when memory is out. */
struct mb_scratch *mb_scratch_push(lua_State *L);

/* Start with nothing met. */
void mb_scratch_reset(struct mb_scratch *scratch, lua_State *L);

/* The output is complete: give back what was met and deferred, where it is much. */
void mb_scratch_finish(struct mb_scratch *scratch, lua_State *L);

/* The output has been used: give it back, if it is large. */
void mb_scratch_drop(struct mb_scratch *scratch);

/* Find or add; the pointers are valid until the next addition. NULL: not there; out of memory. */
struct mb_seen *mb_scratch_find(const struct mb_scratch *scratch, const void *object);
struct mb_seen *mb_scratch_add(struct mb_scratch *scratch, const void *object);

/* Both at once: find it, or add it, which *fresh tells. NULL: out of memory. */
struct mb_seen *mb_scratch_meet(struct mb_scratch *scratch, const void *object, int *fresh);

/* Give the references to shared values back. */
void mb_scratch_let_go(struct mb_scratch *scratch);

/* Add an entry to the queue of what is deferred; NULL when memory is out. */
struct mb_deferred *mb_scratch_defer(struct mb_scratch *scratch);

#endif
