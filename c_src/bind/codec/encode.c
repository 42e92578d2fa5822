/* The sender's half of the codec for values and tables: see codec.h; functions are in encode_code.c.
 *
 * Tables and functions nest by C recursion down to MB_NEST levels; what is deeper is deferred and written afterwards,
 * one queue for the whole message, so depth is bounded by memory alone. */
#include <stdlib.h>
#include <string.h>

#include "code/code_cache.h"
#include "code/modules.h"
#include "codec/encoder.h"
#include "heap/errors.h"
#include "heap/inspect.h"
#include "heap/shared.h"
#include "heap/table_layout.h"

enum { MOST_TRIED = 64 * 1024, MOST_HOLES = 64 };

const char mb_replica_all[] = "copy to other schedulers", mb_replica_trial[] = "copy to another scheduler",
           mb_replica_start[] = "run the function on other schedulers";

/* Raise at the caller that what the encoder does cannot be done. */
static void fail(struct mb_encoder *e, const char *format, int number) {
  mb_encoder_give_up(e);
  lua_pushfstring(e->L, format, number);
  if (e->h->given->to[0])
    mb_raise(e->h, e->L, "cannot copy what %s was given: %s", e->h->given->to, lua_tostring(e->L, -1));
  mb_raise(e->h, e->L, "cannot %s: %s", e->doing, lua_tostring(e->L, -1));
}

static void put_tagged8(struct mb_encoder *e, unsigned tag, const void *v) {
  unsigned char *p = mb_encoder_reserve(e, 9);
  p[0] = (unsigned char)tag;
  memcpy(p + 1, v, 8);
  e->scratch->out.size += 9;
}

static inline void put_integer(struct mb_encoder *e, lua_Integer v) {
  if (v >= -128 && v <= 127) {
    unsigned char *p = mb_encoder_reserve(e, 2);
    p[0] = MB_T_INT8;
    p[1] = (unsigned char)(signed char)v;
    e->scratch->out.size += 2;
  } else {
    put_tagged8(e, MB_T_INT64, &v);
  }
}

static void put_string(struct mb_encoder *e, const char *s, size_t size) {
  unsigned char *p = mb_encoder_reserve(e, size + 5);
  if (size < 128) {
    p[0] = (unsigned char)(MB_T_SHORT + size);
    memcpy(p + 1, s, size);
    e->scratch->out.size += size + 1;
  } else {
    uint32_t n = (uint32_t)size;
    if (size > UINT32_MAX / 2) fail(e, "a string of %d MB", (int)(size >> 20));
    p[0] = MB_T_STRING;
    memcpy(p + 1, &n, 4);
    memcpy(p + 5, s, size);
    e->scratch->out.size += size + 5;
  }
}

static void put_name(struct mb_encoder *e, const char *s, size_t size) {
  unsigned char *p = mb_encoder_reserve(e, size + 2);
  if (size > 255) fail(e, "the name of a module has more than %d bytes", 255);
  p[0] = MB_T_MODULE;
  p[1] = (unsigned char)size;
  memcpy(p + 2, s, size);
  e->scratch->out.size += size + 2;
}

/* What has been met */

static void put_again(struct mb_encoder *e, const struct mb_seen *s) {
  mb_encoder_byte(e, MB_T_AGAIN);
  mb_encoder_u32(e, s->number);
  e->flags |= MB_F_AGAIN;
}

int mb_encoder_again(struct mb_encoder *e, const void *object) {
  struct mb_seen *s = mb_scratch_find(e->scratch, object);
  if (s) put_again(e, s);
  return s != NULL;
}

struct mb_seen *mb_encoder_meet(struct mb_encoder *e, const void *object) {
  struct mb_seen *s = mb_scratch_add(e->scratch, object);
  if (!s) mb_encoder_no_memory(e);
  s->number = ++e->scratch->objects;
  return s;
}

/* Push the table that holds what is deferred, by its number. */
void mb_encoder_deferred(struct mb_encoder *e) {
  if (e->scratch->deferred_values == LUA_NOREF) {
    lua_newtable(e->L);
    e->scratch->deferred_values = luaL_ref(e->L, LUA_REGISTRYINDEX);
  }
  lua_rawgeti(e->L, LUA_REGISTRYINDEX, e->scratch->deferred_values);
}

/* Put off the value on the top of the stack (popped). */
void mb_encoder_defer(struct mb_encoder *e, unsigned char kind, uint32_t environment) {
  struct mb_deferred *l = mb_scratch_defer(e->scratch);
  if (!l) mb_encoder_no_memory(e);
  *l = (struct mb_deferred){.kind = kind, .root = e->root, .environment = environment};
  mb_encoder_deferred(e);
  lua_insert(e->L, -2);
  lua_rawseti(e->L, -2, (lua_Integer)e->scratch->deferred_count);
  lua_pop(e->L, 1);
  e->flags |= MB_F_LATER;
}

int mb_encoder_named(struct mb_encoder *e, int index, enum mb_serves as) {
  size_t size;
  const char *name;
  if (!mb_modules_name(e->h, e->L, index, as)) return 0;
  if (e->is_key) mb_modules_first_name(e->L);
  name = lua_tolstring(e->L, -1, &size);
  put_name(e, name, size);
  if (!mb_modules_is_of_lua(name) && strcmp(name, "_G") != 0 && mb_encoder_replicates(e)) e->flags |= MB_F_MODULES;
  lua_pop(e->L, 1);
  return 1;
}

/* Tables */

/* Write an item as Lua keeps it: 1, if that is all of it. */
static inline int put_item(struct mb_encoder *e, const struct mb_table_item *item) {
  switch (item->type) {
    case MB_TYPE_INTEGER: put_integer(e, item->value.integer); return 1;
    case MB_TYPE_FLOAT: put_tagged8(e, MB_T_FLOAT, &item->value.number); return 1;
    case MB_TYPE_FALSE: mb_encoder_byte(e, MB_T_FALSE); return 1;
    case MB_TYPE_TRUE: mb_encoder_byte(e, MB_T_TRUE); return 1;
    default: return 0;
  }
}

/* Write the items of the table at `index` that stand at 1 to `slots` where Lua keeps items; *next is behind the last.
 * Holes keep their place. Returns how many slots have been gone through: fewer when there is a large hole, behind which
 * items are written as pairs. Code of the user's may run meanwhile, and change the table. */
static size_t encode_items(struct mb_encoder *e, int index, size_t slots, size_t *next, int depth,
                           const struct mb_frame *f) {
  lua_State *L = e->L;
  const struct mb_table *t = lua_topointer(L, index);
  struct mb_frame inner = {f, AT_FIELD, lua_gettop(L) + 1, NULL};
  for (size_t i = 1; i <= slots; i++) {
    const struct mb_table_item *item = i <= t->item_limit ? &t->items[i - 1] : NULL;
    if (item && (item->type & MB_TYPE_BITS) == LUA_TNIL) continue;
    if (i - *next >= MOST_HOLES) return i - 1;
    for (; *next < i; ++*next) mb_encoder_byte(e, MB_T_NIL);
    ++*next;
    if (item && put_item(e, item)) continue;
    lua_pushinteger(L, (lua_Integer)i);
    (void)lua_rawgeti(L, index, (lua_Integer)i);
    mb_encoder_value(e, inner.index + 1, depth + 1, &inner);
    lua_settop(L, inner.index - 1);
  }
  return slots;
}

static void encode_body(struct mb_encoder *e, int index, int depth, const struct mb_frame *f) {
  lua_State *L = e->L;
  const struct mb_table *t = lua_topointer(L, index);
  size_t sizes = e->scratch->out.size, slots = 0, next = 1, length = lua_rawlen(L, index);
  uint32_t counts[2] = {0, 0};
  int top = lua_gettop(L), has_fields = 1;
  if (depth > 2) mb_encoder_stack(e, 12); /* a C function starts with room for the first levels */
  mb_encoder_reserve(e, 8);
  e->scratch->out.size += 8;
  if (mb_table_layout_known(L)) {
    size_t all = mb_table_items(t), first = all < length ? all : length;
    has_fields = mb_table_has_fields(t) || all > first;
    slots = encode_items(e, index, first, &next, depth, f);
    has_fields |= slots < first;
  }
  if (has_fields) {
    struct mb_frame inner = {f, AT_FIELD, top + 1, NULL};
    if (slots)
      lua_pushinteger(L, (lua_Integer)slots);
    else
      lua_pushnil(L);
    while (lua_next(L, index)) {
      int keyed = 1;
      if (counts[1] == 0 && lua_isinteger(L, top + 1)) {
        size_t key = (size_t)lua_tointeger(L, top + 1);
        if (key >= next && key <= length && key - next < MOST_HOLES) {
          for (; next < key; next++) mb_encoder_byte(e, MB_T_NIL);
          next++;
          keyed = 0;
        }
      }
      if (keyed) {
        struct mb_frame key = {f, AT_KEY, 0, NULL};
        counts[1]++;
        mb_encoder_value(e, top + 1, depth + 1, &key);
      }
      mb_encoder_value(e, top + 2, depth + 1, &inner);
      lua_settop(L, top + 1);
    }
  }
  counts[0] = (uint32_t)(next - 1);
  memcpy(e->scratch->out.bytes + sizes, counts, 8);
  if (lua_getmetatable(L, index)) {
    struct mb_frame meta = {f, AT_METATABLE, 0, NULL};
    if (!mb_encoder_named(e, top + 1, MB_AS_METATABLE)) mb_encoder_value(e, top + 1, depth + 1, &meta);
    lua_settop(L, top);
  } else {
    mb_encoder_byte(e, MB_T_NIL);
  }
}

static void encode_table(struct mb_encoder *e, int index, int depth, const struct mb_frame *f) {
  const void *identity = lua_topointer(e->L, index);
  struct mb_seen *seen;
  int fresh;
  /* Few tables are marked; the others are neither environments nor modules. */
  if (identity == e->h->globals || mb_modules_marked(e->h, identity)) {
    if (mb_encoder_is_environment(e, index)) {
      mb_encoder_whole_environment(e, index);
      return;
    }
    if (mb_encoder_named(e, index, MB_AS_VALUE)) return;
  }
  seen = mb_scratch_meet(e->scratch, identity, &fresh);
  if (!seen) mb_encoder_no_memory(e);
  if (!fresh) {
    put_again(e, seen);
    return;
  }
  seen->number = ++e->scratch->objects;
  if (depth >= MB_NEST) {
    mb_encoder_byte(e, MB_T_TABLE_LATER);
    lua_pushvalue(e->L, index);
    mb_encoder_defer(e, MB_L_TABLE, 0);
    return;
  }
  mb_encoder_byte(e, MB_T_TABLE);
  encode_body(e, index, depth, f);
}

/* Shared values */

static void put_shared(struct mb_encoder *e, const struct mb_shared_ref *r) {
  unsigned char *p = mb_encoder_reserve(e, 13);
  int fresh;
  p[0] = MB_T_SHARED;
  memcpy(p + 1, &r->in, 8);
  memcpy(p + 9, &r->table, 4);
  e->scratch->out.size += 13;
  if (!mb_scratch_meet(e->scratch, r->in, &fresh)) mb_encoder_no_memory(e);
  if (!fresh) return;
  p = mb_buffer_reserve(&e->scratch->shares, sizeof r->in);
  if (!p) mb_encoder_no_memory(e);
  memcpy(p, &r->in, sizeof r->in);
  e->scratch->shares.size += sizeof r->in;
  mb_block_retain(&r->in->block); /* the scratch's: a finalizer may take the handle out of what is encoded */
}

/* The handle of a shared value at `index`. */
static void encode_shared(struct mb_encoder *e, int index, const struct mb_shared_ref *r) {
  size_t size;
  const char *text;
  if (e->is_key) mb_raise(e->h, e->L, "a shared value is no key");
  if (e->shared != MB_SHARED_TOLD) {
    put_shared(e, r);
    return;
  }
  mb_push_inspect(e->h, e->L, index);
  text = lua_tolstring(e->L, -1, &size);
  put_string(e, text, size);
  lua_pop(e->L, 1);
}

void mb_encoder_value(struct mb_encoder *e, int index, int depth, const struct mb_frame *f) {
  lua_State *L = e->L;
  switch (lua_type(L, index)) {
    case LUA_TNIL:
      mb_encoder_byte(e, MB_T_NIL);
      break;
    case LUA_TBOOLEAN:
      mb_encoder_byte(e, lua_toboolean(L, index) ? MB_T_TRUE : MB_T_FALSE);
      break;
    case LUA_TNUMBER:
      if (lua_isinteger(L, index)) {
        put_integer(e, lua_tointeger(L, index));
      } else {
        lua_Number v = lua_tonumber(L, index);
        put_tagged8(e, MB_T_FLOAT, &v);
      }
      break;
    case LUA_TSTRING: {
      size_t size;
      const char *s = lua_tolstring(L, index, &size);
      put_string(e, s, size);
      break;
    }
    case LUA_TLIGHTUSERDATA: {
      uint64_t v = (uint64_t)(uintptr_t)lua_touserdata(L, index);
      put_tagged8(e, MB_T_LIGHT, &v);
      break;
    }
    case LUA_TTABLE:
      encode_table(e, index, depth, f);
      break;
    case LUA_TFUNCTION:
      mb_encoder_stack(e, 8);
      mb_encoder_function(e, index, depth, f);
      break;
    default:
      if (lua_isuserdata(L, index)) {
        const struct mb_shared_ref *shared;
        uint64_t id;
        luaL_checkstack(L, 8, NULL);
        shared = mb_shared_at(e->h, L, index);
        if (shared) {
          encode_shared(e, index, shared);
          break;
        }
        id = e->is_key ? 0 : e->h->handle_id(e->h, L, index);
        if (id) {
          put_tagged8(e, MB_T_HANDLE, &id);
          break;
        }
        if (mb_encoder_named(e, index, MB_AS_VALUE)) break;
        mb_modules_invalidate(e->h); /* its module may have been loaded unseen */
        if (mb_encoder_named(e, index, MB_AS_VALUE)) break;
      }
      mb_encoder_refuse(e, index, f);
  }
}

static void encode_later(struct mb_encoder *e) {
  lua_State *L = e->L;
  int top = lua_gettop(L);
  for (size_t i = 0; i < e->scratch->deferred_count; i++) {
    struct mb_deferred l = e->scratch->deferred[i];
    mb_encoder_deferred(e);
    lua_rawgeti(L, -1, (lua_Integer)i + 1);
    lua_replace(L, top + 1);
    mb_encoder_byte(e, l.kind);
    e->root = l.root;
    if (l.kind == MB_L_TABLE) {
      struct mb_frame f = {NULL, AT_DEEP, 0, NULL};
      encode_body(e, top + 1, 1, &f);
    } else if (l.kind == MB_L_UPVALUES) {
      struct mb_frame f = {NULL, AT_DEEP, 0, NULL};
      mb_encoder_upvalues(e, top + 1, 1, &f);
    } else {
      mb_encoder_u32(e, l.environment);
      if (l.kind != MB_L_WHOLE) {
        struct mb_frame f = {NULL, AT_GLOBAL, 0, NULL};
        size_t size;
        lua_rawgeti(L, top + 1, 1);
        f.name = lua_tolstring(L, -1, &size);
        put_string(e, f.name, size);
        lua_rawgeti(L, top + 1, 2);
        if (l.kind == MB_L_GLOBAL) mb_encoder_value(e, top + 3, 1, &f);
      }
    }
    lua_settop(L, top);
  }
}

/* What has been written is large: raise when it is too large. */
static void check_size(struct mb_encoder *e) {
  if (e->scratch->out.limit) fail(e, "it has more than %d KB", MOST_TRIED / 1024);
  if (e->scratch->out.size > UINT32_MAX / 2) fail(e, "it has more than %d MB", 2047);
}

/* Several shared values that are held together. */
struct bundle {
  struct mb_block block;
  size_t count;
  struct mb_shared *values[];
};

static void end_bundle(struct mb_block *block) {
  struct bundle *b = (struct bundle *)block; /* its first member */
  for (size_t i = 0; i < b->count; i++) mb_block_release(&b->values[i]->block);
  free(b);
}

/* See to it that the shared values that have been written stay. *holds: a reference to all of them, the caller's. */
static void keep_shares(struct mb_encoder *e, struct mb_block **holds) {
  const struct mb_buffer *shares = &e->scratch->shares;
  struct mb_shared *const *values = (struct mb_shared *const *)(void *)shares->bytes;
  size_t count = shares->size / sizeof *values;
  struct bundle *b;
  if (e->shared == MB_SHARED_PINNED)
    for (size_t i = 0; i < count; i++) mb_shared_pin(values[i]);
  if (e->shared != MB_SHARED_KEPT) {
    mb_scratch_let_go(e->scratch);
    return;
  }
  if (count == 1) {
    *holds = &values[0]->block;
    e->scratch->shares.size = 0; /* the reference is the caller's */
    return;
  }
  b = malloc(sizeof *b + count * sizeof *values);
  if (!b) mb_encoder_no_memory(e);
  mb_block_init(&b->block, end_bundle);
  b->count = count;
  memcpy(b->values, values, shares->size);
  *holds = &b->block;
  e->scratch->shares.size = 0; /* the references are the bundle's */
}

static void encode(struct mb_heap *h, lua_State *L, int first, int count, const char *doing,
                   enum mb_shared_values shared, struct mb_block **holds, const struct mb_buffer **out) {
  struct mb_encoder e = {.h = h, .L = L, .doing = doing, .first = first, .count = count, .scratch = h->scratch,
                         .number = ++h->encodings, .nested = h->encoding, .shared = shared};
  int top = lua_gettop(L);
  uint32_t count32 = (uint32_t)count;
  if (count > 1) luaL_checkstack(L, 12, NULL);
  mb_code_cache_trim(h, L);
  if (e.nested) e.scratch = mb_scratch_push(L);
  mb_modules_refresh(h, L);
  h->encoding = 1;
  mb_scratch_reset(e.scratch, L);
  e.scratch->out.limit = doing == mb_replica_trial ? MOST_TRIED : 0;
  mb_encoder_reserve(&e, MB_ENCODED_HEADER);
  e.scratch->out.size = MB_ENCODED_HEADER;
  for (int i = 0; i < count; i++) {
    struct mb_frame f = {NULL, AT_ROOT, 0, NULL};
    e.root = i;
    mb_encoder_value(&e, first + i, 1, &f);
  }
  if (e.flags & MB_F_LATER) {
    encode_later(&e);
    mb_encoder_byte(&e, 0);
  }
  if (e.scratch->out.size > MOST_TRIED) check_size(&e);
  e.scratch->out.bytes[0] = (unsigned char)e.flags;
  memcpy(e.scratch->out.bytes + 1, &count32, 4);
  if (e.scratch->shares.size) keep_shares(&e, holds);
  mb_scratch_finish(e.scratch, L);
  *out = &e.scratch->out;
  h->encoding = e.nested;
  if (!e.nested) lua_settop(L, top); /* a scratch of one's own stays alive on the stack */
}

void mb_encode(struct mb_heap *h, lua_State *L, int first, int count, const char *doing,
               const struct mb_buffer **out) {
  encode(h, L, first, count, doing, doing == mb_replica_trial ? MB_SHARED_TRIED : MB_SHARED_PINNED, NULL, out);
}

void mb_encode_keeping(struct mb_heap *h, lua_State *L, int first, int count, const char *doing,
                       struct mb_block **holds, const struct mb_buffer **out) {
  *holds = NULL;
  encode(h, L, first, count, doing, MB_SHARED_KEPT, holds, out);
}

void mb_encode_told(struct mb_heap *h, lua_State *L, int first, int count, const char *doing,
                    const struct mb_buffer **out) {
  encode(h, L, first, count, doing, MB_SHARED_TOLD, NULL, out);
}

/* Encoded bytes have been copied. */
static void drop(struct mb_heap *h, const struct mb_buffer *out) {
  if (out == &h->scratch->out) mb_scratch_drop(h->scratch);
}

struct mb_signal *mb_encode_signal(struct mb_heap *h, lua_State *L, int first, int count,
                                   const char *doing, enum mb_signal_kind kind) {
  const struct mb_buffer *out;
  struct mb_block *holds;
  struct mb_signal *s;
  mb_encode_keeping(h, L, first, count, doing, &holds, &out);
  s = mb_signal_take(h->scheduler, kind, (uint32_t)out->size);
  if (s && holds && (s->reason = mb_reason_new(MB_REASON_OTHER, NULL, 0))) {
    s->reason->holds = holds;
    holds = NULL;
  }
  if (!s || holds) {
    if (s) mb_signal_give(h->scheduler, s);
    mb_block_release(holds);
    mb_no_memory(L);
  }
  memcpy(s->data, out->bytes, out->size);
  drop(h, out);
  return s;
}

/* Reasons */

static int encode_reason(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  const struct mb_buffer *out;
  enum mb_reason_kind kind = MB_REASON_OTHER;
  struct mb_block *holds;
  struct mb_reason *r;
  if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "kill") == 0)
    kind = MB_REASON_KILL;
  else if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "normal") == 0)
    kind = MB_REASON_NORMAL;
  mb_encode_keeping(h, L, 2, 1, "exit", &holds, &out);
  r = mb_reason_new(kind, out->bytes, (uint32_t)out->size);
  if (!r) {
    mb_block_release(holds);
    mb_no_memory(L);
  }
  r->holds = holds;
  mb_encoded_tells(r->data);
  drop(h, out);
  lua_pushlightuserdata(L, r);
  return 1;
}

/* Push what stands for a reason that cannot travel: its text, or, in what the runtime itself makes of a value,
 * {"error", value, traceback} and {"bad_return_value", value}, the value's text. */
static void push_reason_text(struct mb_heap *h, lua_State *L, int index) {
  int top = lua_gettop(L), length = lua_istable(L, index) ? (int)lua_rawlen(L, index) : 0;
  const char *made = length == 3 ? "error" : length == 2 ? "bad_return_value" : NULL;
  int wrapped = made && lua_rawgeti(L, index, 1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), made) == 0;
  lua_settop(L, top);
  if (!wrapped) {
    mb_push_inspect(h, L, index);
    return;
  }
  lua_createtable(L, length, 0);
  for (int i = 1; i <= length; i++) {
    lua_rawgeti(L, index, i);
    if (i == 2) {
      mb_push_inspect(h, L, top + 2);
      lua_remove(L, top + 2);
    }
    lua_rawseti(L, top + 1, i);
  }
}

struct mb_reason *mb_encode_reason(struct mb_heap *h, lua_State *L, int index) {
  struct mb_reason *r;
  int status;
  if (lua_type(L, index) == LUA_TSTRING && h->runtime->normal &&
      strcmp(lua_tostring(L, index), "normal") == 0)
    return mb_reason_retain(h->runtime->normal);
  index = lua_absindex(L, index);
  luaL_checkstack(L, 12, NULL);
  lua_pushcfunction(L, encode_reason);
  lua_pushlightuserdata(L, h);
  lua_pushvalue(L, index);
  status = lua_pcall(L, 2, 1, 0);
  if (status == LUA_ERRRUN) {
    lua_pop(L, 1);
    lua_pushcfunction(L, encode_reason);
    lua_pushlightuserdata(L, h);
    push_reason_text(h, L, index);
    status = lua_pcall(L, 2, 1, 0);
  }
  if (status != LUA_OK) lua_error(L);
  r = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return r;
}
