/* The code cache: what is known about a piece of bytecode, found by its bytes, so that sending or
 * spawning the same function again does the work once: which globals it names (for the sender), and
 * the factory that makes closures of it (for the receiver). Bounded; one per heap. */
#ifndef MB_CODE_CACHE_H
#define MB_CODE_CACHE_H

#include "code/bytecode.h"
#include "heap/heap.h"

struct mb_code_entry {
  struct mb_code_entry *next;
  uint64_t hash;
  uint32_t size;
  int factory; /* place in the factories' table, 0: not made yet */
  uint64_t message; /* the last encoding that wrote this code, */
  uint32_t at;      /* and where in it */
  struct mb_code *scan;
  unsigned char bytes[];
};

struct mb_code_cache *mb_code_cache_new(void);
void mb_code_cache_free(struct mb_code_cache *c);

/* As mb_code_cache_trim, when there is something to do. */
void mb_code_cache_trim_now(struct mb_heap *h, lua_State *L);

/* Empty the cache when it has grown too large: more than a number of entries, or of bytes. An encoding does so before
 * it begins, a decoding before it adds an entry. Not while a message is being encoded: its entries are in use. */
static inline void mb_code_cache_trim(struct mb_heap *h, lua_State *L) {
  if (h->code_cache_full) mb_code_cache_trim_now(h, L);
}

/* The entry for a dump, made when there is none (*fresh = 1 then); for an encoding, and valid until that has ended.
 * Raises when memory is out or the dump is not of this Lua. */
struct mb_code_entry *mb_code_cache_get(struct mb_heap *h, lua_State *L, const void *dump, size_t size,
                                   uint64_t hash, int *fresh);

/* The entry of the function at `index`, if it is remembered; saves dumping it. NULL otherwise. */
struct mb_code_entry *mb_code_cache_recall(struct mb_heap *h, lua_State *L, int index);

/* Remember that the function at `index` has this entry, as long as it is alive. May raise. */
void mb_code_cache_remember(struct mb_heap *h, lua_State *L, int index, struct mb_code_entry *e);

/* Push a new closure of a dump, with its own, empty upvalues. Raises when memory is out. */
void mb_code_cache_push(struct mb_heap *h, lua_State *L, const void *dump, size_t size, uint64_t hash);

#endif
