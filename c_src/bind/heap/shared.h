/* Shared values: tables outside of all heaps, which nobody can change, for any number of processes to read. Each is one
 * block of memory, counted; its tables are numbered from 1, the first is the whole. Lua sees a table of it as a
 * userdata, the same one each time as long as somebody has it: its handle, which holds a reference to the block. Made
 * by codec/shared_make.c. */
#ifndef MB_SHARED_H
#define MB_SHARED_H

#include "core/block.h"
#include "heap/heap.h"

struct mb_shared_value {
  unsigned char type; /* enum mb_shared_type */
  uint32_t size;      /* of a text, in bytes; of a table of another block, its number */
  union {
    lua_Integer integer;
    lua_Number number;
    void *light;
    uint64_t at; /* text: its first byte, of all texts; table: its number; of another block: which one, of those that are
                    referred to */
  };
};

enum mb_shared_type {
  MB_SHARED_NIL, MB_SHARED_FALSE, MB_SHARED_TRUE, MB_SHARED_INTEGER, MB_SHARED_FLOAT, MB_SHARED_LIGHT, MB_SHARED_TEXT,
  MB_SHARED_TABLE, MB_SHARED_ELSEWHERE
};

struct mb_shared_field {
  struct mb_shared_value key, value; /* the key is MB_SHARED_NIL where there is none */
};

struct mb_shared_table {
  uint64_t length; /* as lua_rawlen says it */
  uint64_t items;  /* how many, and which of all is the first: those at the keys 1 to that, with holes as they were */
  uint64_t item;
  uint64_t slots;  /* of fields, by the hash of their keys, the next ones where that is taken; a power of two, or 0 */
  uint64_t slot;   /* which is the first */
};

struct mb_shared {
  struct mb_block block;
  struct mb_shared *next; /* of those that are being ended, or are pinned */
  atomic_int pinned;      /* it stays as long as the program. Relaxed: whoever is the first adds the reference */
  uint32_t tables, others;
  const struct mb_shared_table *table;
  const struct mb_shared_value *item;
  const struct mb_shared_field *slot;
  struct mb_shared *const *other; /* blocks that this one refers to, one reference each */
  const char *text;
};

/* A handle, of its heap's list. */
struct mb_shared_ref {
  struct mb_shared *in; /* NULL: it has been let go */
  uint32_t table;
  int ended; /* its finalizer has been called once: see mb_shared_collect */
  struct mb_shared_ref *next, **at;
};

/* Push the handle of a table; the block stays as long as it. Raises when memory is out. */
void mb_shared_push(struct mb_heap *h, lua_State *L, struct mb_shared *in, uint32_t table);

/* The handle at `index`, NULL: something else is there. */
const struct mb_shared_ref *mb_shared_at(const struct mb_heap *h, lua_State *L, int index);

/* Push what is at key i, or at the key at `index`; nil: nothing. Returns the type. Raises when memory is out. */
int mb_shared_geti(struct mb_heap *h, lua_State *L, const struct mb_shared_ref *r, lua_Integer i);
int mb_shared_get(struct mb_heap *h, lua_State *L, const struct mb_shared_ref *r, int index);

/* How many items there are, as lua_rawlen says it. */
lua_Integer mb_shared_length(const struct mb_shared_ref *r);

/* Push the key behind the one at `index` (nil: the first) and what is there; 0 and nothing pushed at the end, -1: there is
 * no such key. Items come first, in order. */
int mb_shared_next(struct mb_heap *h, lua_State *L, const struct mb_shared_ref *r, int index);

/* Let the block stay as long as the program: encoded bytes refer to it that nobody looks into when they go. */
void mb_shared_pin(struct mb_shared *s);

/* How many blocks there are in the program. Relaxed: a count. */
extern atomic_llong mb_shared_blocks;

/* A block's end: of it, and of those that it alone has referred to, in turn. Any thread. */
void mb_shared_end(struct mb_block *block);

/* The hash of a key, which picks its slot. */
uint64_t mb_shared_hash(const struct mb_shared_value *key, const char *text);

/* The finalizer of the handle at index 1. What is finalized in the same cycle, and has been made before, may still read
 * it; so it is let go when it is found to be garbage once more. */
void mb_shared_collect(lua_State *L);

/* The state closes, and calls no more finalizers: let go what has been made, or finalized, since it began to. */
void mb_shared_close(struct mb_heap *h);

/* Handles get this metatable, the top of the stack, which is popped. */
void mb_shared_open(struct mb_heap *h, lua_State *L);

#endif
