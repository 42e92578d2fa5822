/* The encoder's inside, shared by its parts: values and tables (encode.c), functions and their environments
 * (encode_code.c), and the error that says what cannot travel (refuse.c). */
#ifndef MB_ENCODER_H
#define MB_ENCODER_H

#include "code/modules.h"
#include "codec/codec.h"
#include "codec/scratch.h"

enum { MB_NEST = 60 }; /* levels of values inside each other that are written by recursion */

/* Where the encoder is: one frame for each value that contains the next, MB_NEST and a few at the most. */
struct mb_frame {
  const struct mb_frame *outer;
  enum { AT_ROOT, AT_FIELD, AT_KEY, AT_METATABLE, AT_UPVALUE, AT_GLOBAL, AT_DEEP } at; /* AT_DEEP: something deferred */
  int index;        /* AT_FIELD: stack index of the key */
  const char *name; /* AT_UPVALUE, AT_GLOBAL */
};

struct mb_encoder {
  struct mb_heap *h;
  lua_State *L;
  struct mb_scratch *scratch;
  const char *doing; /* "send message": the start of a refusal */
  int first, count;  /* stack index and number of the values */
  int root;          /* the number of the one that is being written, or where what was deferred was met */
  uint64_t number;   /* of this encoding: h->encodings */
  unsigned flags;    /* MB_F_... */
  int nested;        /* another encoding has been going on when this one began */
  enum mb_shared_values shared; /* what is done with these */
  int is_key;        /* the bytes are compared: of a module's names only the first is written */
};

/* An error is about to be raised: the encoding is over. */
void mb_encoder_give_up(struct mb_encoder *e);

/* Raise Lua's memory error, or that its stack is full. */
void mb_encoder_no_memory(struct mb_encoder *e);
void mb_encoder_no_stack(struct mb_encoder *e);

/* Room for so many more values on Lua's stack. */
static inline void mb_encoder_stack(struct mb_encoder *e, int slots) {
  if (!lua_checkstack(e->L, slots)) mb_encoder_no_stack(e);
}

/* Raise at the caller that the value at `index` cannot travel, with the path to it. */
void mb_encoder_refuse(struct mb_encoder *e, int index, const struct mb_frame *f);

/* Whether what is encoded is to become part of another heap. */
static inline int mb_encoder_replicates(const struct mb_encoder *e) {
  return e->doing == mb_replica_all || e->doing == mb_replica_trial || e->doing == mb_replica_start;
}

/* Room for size bytes at the end of the output. */
static inline unsigned char *mb_encoder_reserve(struct mb_encoder *e, size_t size) {
  unsigned char *p = mb_buffer_reserve(&e->scratch->out, size);
  if (!p) mb_encoder_no_memory(e);
  return p;
}

static inline void mb_encoder_byte(struct mb_encoder *e, unsigned b) {
  *mb_encoder_reserve(e, 1) = (unsigned char)b;
  e->scratch->out.size++;
}

static inline void mb_encoder_u32(struct mb_encoder *e, uint32_t v) {
  memcpy(mb_encoder_reserve(e, 4), &v, 4);
  e->scratch->out.size += 4;
}

/* If the object has been met, refer to it and return 1. */
int mb_encoder_again(struct mb_encoder *e, const void *object);

/* Give a new object the next number. The pointer is valid until the next object. */
struct mb_seen *mb_encoder_meet(struct mb_encoder *e, const void *object);

/* Push the table that holds what is deferred, by its number; negative numbers are environments'. */
void mb_encoder_deferred(struct mb_encoder *e);

/* Put off the value on the top of the stack (popped): it is written after the values. */
void mb_encoder_defer(struct mb_encoder *e, unsigned char kind, uint32_t environment);

/* If the value at `index` has a module's name, write that and return 1. */
int mb_encoder_named(struct mb_encoder *e, int index, enum mb_serves as);

/* Write the value at a stack index. */
void mb_encoder_value(struct mb_encoder *e, int index, int depth, const struct mb_frame *f);
void mb_encoder_function(struct mb_encoder *e, int index, int depth, const struct mb_frame *f);

/* Write the upvalues of the function at `index`, whose code has been written. */
void mb_encoder_upvalues(struct mb_encoder *e, int index, int depth, const struct mb_frame *f);

/* Whether the table at `index` is the globals of the state or of a process, as seen by its code. */
int mb_encoder_is_environment(struct mb_encoder *e, int index);

/* Write an environment, and let the receiver see all of it as a table. */
void mb_encoder_whole_environment(struct mb_encoder *e, int index);

#endif
