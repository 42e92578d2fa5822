#include "codec/registry_key.h"

#include <stdlib.h>
#include <string.h>

#include "code/modules.h"
#include "codec/encoder.h"
#include "heap/errors.h"

enum {
  DEEPEST = 100,
  MOST_BYTES = 1 << 16 /* of a key with tables: what contains itself would have no end */
};

struct key {
  struct mb_encoder e;
  const char *function;
  int argument;
};

static void refuse(struct key *k, int depth, const char *what, const char *why) {
  mb_bad_argument(k->e.h, k->e.L, k->function, k->argument, "%s cannot stand %s a key%s", what, depth > 1 ? "in" : "as",
                  why);
}

static void check_size(struct key *k, int depth) {
  if (depth > DEEPEST || (depth > 1 && k->e.scratch->out.size > MOST_BYTES))
    mb_bad_argument(k->e.h, k->e.L, k->function, k->argument,
                    "a key with tables has at most %d levels and %d bytes; this one has more, or contains itself",
                    DEEPEST, MOST_BYTES);
}

static void put(struct key *k, int index, int depth);

/* Pairs are first written in any order, each behind its size, and sorted by their bytes afterwards. */
static int by_bytes(const void *a, const void *b) {
  const unsigned char *x, *y;
  uint32_t m, n;
  int order;
  memcpy(&x, a, sizeof x);
  memcpy(&y, b, sizeof y);
  memcpy(&m, x, 4);
  memcpy(&n, y, 4);
  order = memcmp(x + 4, y + 4, m < n ? m : n);
  return order ? order : (m > n) - (m < n);
}

/* The pairs from `start` to the end of the output, in order and without their sizes. */
static void sort(struct key *k, size_t start, uint32_t count) {
  struct mb_buffer *out = &k->e.scratch->out;
  size_t size = out->size - start, at = start;
  unsigned char **pairs, *to;
  (void)mb_encoder_reserve(&k->e, sizeof *pairs * (count + 1) + size);
  pairs = (unsigned char **)(((uintptr_t)out->bytes + out->size + 7) & ~(uintptr_t)7);
  to = (unsigned char *)(pairs + count);
  for (uint32_t i = 0; i < count; i++) {
    uint32_t n;
    pairs[i] = out->bytes + at;
    memcpy(&n, pairs[i], 4);
    at += 4 + n;
  }
  qsort(pairs, count, sizeof *pairs, by_bytes);
  for (uint32_t i = 0; i < count; i++) {
    uint32_t n;
    memcpy(&n, pairs[i], 4);
    memcpy(to, pairs[i] + 4, n);
    to += n;
  }
  size -= 4 * (size_t)count;
  memmove(out->bytes + start, to - size, size);
  out->size = start + size;
}

static void put_table(struct key *k, int index, int depth) {
  lua_State *L = k->e.L;
  struct mb_buffer *out = &k->e.scratch->out;
  size_t sizes, start;
  uint32_t counts[2] = {0, 0};
  int top = lua_gettop(L);
  if (mb_encoder_named(&k->e, index, MB_AS_VALUE)) return;
  if (lua_getmetatable(L, index)) refuse(k, depth, "a table with a metatable", "");
  luaL_checkstack(L, 6, NULL);
  mb_encoder_byte(&k->e, MB_T_TABLE);
  sizes = out->size;
  (void)mb_encoder_reserve(&k->e, 8);
  out->size += 8;
  while (lua_rawgeti(L, index, (lua_Integer)counts[0] + 1) != LUA_TNIL) {
    put(k, top + 1, depth + 1);
    lua_settop(L, top);
    counts[0]++;
  }
  lua_settop(L, top);
  start = out->size;
  lua_pushnil(L);
  while (lua_next(L, index)) {
    if (!lua_isinteger(L, top + 1) || lua_tointeger(L, top + 1) < 1 || lua_tointeger(L, top + 1) > counts[0]) {
      size_t before = out->size;
      uint32_t size;
      mb_encoder_u32(&k->e, 0);
      put(k, top + 1, depth + 1);
      put(k, top + 2, depth + 1);
      size = (uint32_t)(out->size - before - 4);
      memcpy(out->bytes + before, &size, 4);
      counts[1]++;
    }
    lua_settop(L, top + 1);
  }
  if (counts[1]) sort(k, start, counts[1]);
  memcpy(out->bytes + sizes, counts, 8);
  mb_encoder_byte(&k->e, MB_T_NIL); /* no metatable */
}

static void put(struct key *k, int index, int depth) {
  lua_State *L = k->e.L;
  lua_Number number;
  lua_Integer integer;
  check_size(k, depth);
  switch (lua_type(L, index)) {
    case LUA_TTABLE:
      put_table(k, index, depth);
      return;
    case LUA_TNUMBER:
      number = lua_tonumber(L, index);
      if (number != number) refuse(k, depth, "NaN", "");
      if (lua_isinteger(L, index) || !lua_numbertointeger(number, &integer) || (lua_Number)integer != number) break;
      lua_pushinteger(L, integer);
      mb_encoder_value(&k->e, lua_gettop(L), depth, NULL);
      lua_pop(L, 1);
      return;
    case LUA_TBOOLEAN:
    case LUA_TSTRING:
    case LUA_TLIGHTUSERDATA:
      break;
    case LUA_TNIL:
      refuse(k, depth, "nil", "");
      break;
    default:
      refuse(k, depth, mb_type_name(k->e.h, L, index), ": it has no equal in another process");
  }
  mb_encoder_value(&k->e, index, depth, NULL);
}

const struct mb_buffer *mb_registry_key(struct mb_heap *h, lua_State *L, int index, const char *function,
                                        int argument) {
  struct key k = {{.h = h, .L = L, .doing = "use a key", .scratch = h->key_scratch, .is_key = 1}, function, argument};
  const uint32_t one = 1;
  struct mb_buffer *out = &h->key_scratch->out;
  if (lua_istable(L, index)) mb_modules_refresh(h, L);
  out->size = 0;
  if (out->capacity > MOST_BYTES * 4) mb_buffer_deinit(out);
  mb_encoder_byte(&k.e, 0);
  mb_encoder_reserve(&k.e, 4);
  memcpy(out->bytes + 1, &one, 4);
  out->size = MB_ENCODED_HEADER;
  put(&k, lua_absindex(L, index), 1);
  return out;
}
