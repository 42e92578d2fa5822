#include "heap/shared.h"

#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "heap/errors.h"

/* Handles */

void mb_shared_push(struct mb_heap *h, lua_State *L, struct mb_shared *in, uint32_t table) {
  const struct mb_shared_table *identity = &in->table[table - 1];
  struct mb_shared_ref *r;
  luaL_checkstack(L, 6, NULL);
  mb_push_ref(h, L, MB_REF_SHARED);
  if (lua_rawgetp(L, -1, identity) == LUA_TNIL) {
    lua_pop(L, 1);
    r = lua_newuserdatauv(L, sizeof *r, 0);
    mb_push_ref(h, L, MB_REF_SHARED_MT);
    *r = (struct mb_shared_ref){.in = in, .table = table, .next = h->shared_handles, .at = &h->shared_handles};
    if (r->next) r->next->at = &r->next;
    h->shared_handles = r;
    mb_block_retain(&in->block);
    lua_setmetatable(L, -2); /* from here on its finalizer gives the reference back, or mb_shared_close */
    lua_pushvalue(L, -1);
    lua_rawsetp(L, -3, identity);
  }
  lua_remove(L, -2);
}

const struct mb_shared_ref *mb_shared_at(const struct mb_heap *h, lua_State *L, int index) {
  const struct mb_shared_ref *r = NULL;
  if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index)) return NULL;
  if (lua_topointer(L, -1) == h->shared_metatable) r = lua_touserdata(L, index < 0 ? index - 1 : index);
  lua_pop(L, 1);
  return r && r->in ? r : NULL;
}

static void let_go(struct mb_shared_ref *r) {
  struct mb_shared *in = r->in;
  r->in = NULL;
  *r->at = r->next;
  if (r->next) r->next->at = r->at;
  mb_block_release(&in->block);
}

void mb_shared_collect(lua_State *L) {
  struct mb_shared_ref *r = lua_touserdata(L, 1);
  if (!r->in) return;
  if (r->ended) {
    let_go(r);
    return;
  }
  r->ended = 1;
  lua_getmetatable(L, 1); /* set again, it is finalized again */
  lua_setmetatable(L, 1);
}

void mb_shared_close(struct mb_heap *h) {
  while (h->shared_handles) let_go(h->shared_handles);
}

void mb_shared_open(struct mb_heap *h, lua_State *L) {
  h->shared_metatable = lua_topointer(L, -1);
  h->ref[MB_REF_SHARED_MT] = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  h->ref[MB_REF_SHARED] = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* Reading */

static const struct mb_shared_table *table_of(const struct mb_shared_ref *r) { return &r->in->table[r->table - 1]; }

static int push_value(struct mb_heap *h, lua_State *L, const struct mb_shared *in, const struct mb_shared_value *v) {
  switch ((enum mb_shared_type)v->type) {
    case MB_SHARED_NIL: lua_pushnil(L); return LUA_TNIL;
    case MB_SHARED_FALSE: lua_pushboolean(L, 0); return LUA_TBOOLEAN;
    case MB_SHARED_TRUE: lua_pushboolean(L, 1); return LUA_TBOOLEAN;
    case MB_SHARED_INTEGER: lua_pushinteger(L, v->integer); return LUA_TNUMBER;
    case MB_SHARED_FLOAT: lua_pushnumber(L, v->number); return LUA_TNUMBER;
    case MB_SHARED_LIGHT: lua_pushlightuserdata(L, v->light); return LUA_TLIGHTUSERDATA;
    case MB_SHARED_TEXT: lua_pushlstring(L, in->text + v->at, v->size); return LUA_TSTRING;
    case MB_SHARED_TABLE: mb_shared_push(h, L, (struct mb_shared *)in, (uint32_t)v->at); return LUA_TUSERDATA;
    default: mb_shared_push(h, L, in->other[v->at], v->size); return LUA_TUSERDATA;
  }
}

uint64_t mb_shared_hash(const struct mb_shared_value *key, const char *text) {
  uint64_t bits;
  switch ((enum mb_shared_type)key->type) {
    case MB_SHARED_TEXT: return mb_hash_bytes(text, key->size);
    case MB_SHARED_FALSE: case MB_SHARED_TRUE: return mb_hash_u64(key->type);
    default:
      memcpy(&bits, &key->integer, sizeof bits);
      return mb_hash_u64(bits + key->type);
  }
}

/* The key at `index` as one of a shared table; *text: its bytes. 0: no shared table has such. */
static int read_key(lua_State *L, int index, struct mb_shared_value *key, const char **text) {
  size_t size;
  *text = NULL;
  switch (lua_type(L, index)) {
    case LUA_TBOOLEAN: key->type = lua_toboolean(L, index) ? MB_SHARED_TRUE : MB_SHARED_FALSE; return 1;
    case LUA_TLIGHTUSERDATA:
      key->type = MB_SHARED_LIGHT;
      key->light = lua_touserdata(L, index);
      return 1;
    case LUA_TSTRING:
      *text = lua_tolstring(L, index, &size);
      key->type = MB_SHARED_TEXT;
      key->size = (uint32_t)size;
      return size <= UINT32_MAX;
    case LUA_TNUMBER: {
      int is_integer;
      key->integer = lua_tointegerx(L, index, &is_integer); /* 2.0 is 2 */
      key->type = MB_SHARED_INTEGER;
      if (is_integer) return 1;
      key->number = lua_tonumber(L, index);
      key->type = MB_SHARED_FLOAT;
      return 1;
    }
    default: return 0;
  }
}

static int same_key(const struct mb_shared *in, const struct mb_shared_value *a, const struct mb_shared_value *b,
                    const char *text) {
  if (a->type != b->type) return 0;
  switch ((enum mb_shared_type)a->type) {
    case MB_SHARED_FALSE: case MB_SHARED_TRUE: return 1;
    case MB_SHARED_FLOAT: return a->number == b->number;
    case MB_SHARED_LIGHT: return a->light == b->light;
    case MB_SHARED_TEXT: return a->size == b->size && memcmp(in->text + a->at, text, a->size) == 0;
    default: return a->integer == b->integer;
  }
}

/* The slot of a key; NULL: there is none. */
static const struct mb_shared_field *find(const struct mb_shared_ref *r, const struct mb_shared_value *key,
                                          const char *text) {
  const struct mb_shared_table *t = table_of(r);
  const struct mb_shared_field *slots = r->in->slot + t->slot;
  if (!t->slots) return NULL;
  for (uint64_t i = mb_shared_hash(key, text);; i++) { /* there is an empty one */
    const struct mb_shared_field *f = &slots[i & (t->slots - 1)];
    if (f->key.type == MB_SHARED_NIL) return NULL;
    if (same_key(r->in, &f->key, key, text)) return f;
  }
}

int mb_shared_geti(struct mb_heap *h, lua_State *L, const struct mb_shared_ref *r, lua_Integer i) {
  const struct mb_shared_table *t = table_of(r);
  struct mb_shared_value key = {.type = MB_SHARED_INTEGER, .integer = i};
  const struct mb_shared_field *f;
  if ((lua_Unsigned)i - 1 < t->items) return push_value(h, L, r->in, &r->in->item[t->item + (uint64_t)i - 1]);
  f = find(r, &key, NULL);
  if (f) return push_value(h, L, r->in, &f->value);
  lua_pushnil(L);
  return LUA_TNIL;
}

int mb_shared_get(struct mb_heap *h, lua_State *L, const struct mb_shared_ref *r, int index) {
  struct mb_shared_value key;
  const struct mb_shared_field *f = NULL;
  const char *text;
  if (read_key(L, index, &key, &text)) {
    if (key.type == MB_SHARED_INTEGER) return mb_shared_geti(h, L, r, key.integer);
    f = find(r, &key, text);
  }
  if (f) return push_value(h, L, r->in, &f->value);
  lua_pushnil(L);
  return LUA_TNIL;
}

lua_Integer mb_shared_length(const struct mb_shared_ref *r) { return (lua_Integer)table_of(r)->length; }

int mb_shared_next(struct mb_heap *h, lua_State *L, const struct mb_shared_ref *r, int index) {
  const struct mb_shared_table *t = table_of(r);
  const struct mb_shared_value *items = r->in->item + t->item;
  const struct mb_shared_field *slots = r->in->slot + t->slot;
  uint64_t next = 0; /* of items, then of slots */
  luaL_checkstack(L, 8, NULL);
  if (!lua_isnil(L, index)) {
    struct mb_shared_value key;
    const char *text;
    if (!read_key(L, index, &key, &text)) return -1;
    if (key.type == MB_SHARED_INTEGER && (uint64_t)key.integer - 1 < t->items) {
      next = (uint64_t)key.integer;
    } else {
      const struct mb_shared_field *f = find(r, &key, text);
      if (!f) return -1;
      next = t->items + (uint64_t)(f - slots) + 1;
    }
  }
  for (; next < t->items; next++) {
    if (items[next].type == MB_SHARED_NIL) continue;
    lua_pushinteger(L, (lua_Integer)next + 1);
    (void)push_value(h, L, r->in, &items[next]);
    return 1;
  }
  for (; next < t->items + t->slots; next++) {
    const struct mb_shared_field *f = &slots[next - t->items];
    if (f->key.type == MB_SHARED_NIL) continue;
    (void)push_value(h, L, r->in, &f->key);
    (void)push_value(h, L, r->in, &f->value);
    return 1;
  }
  return 0;
}

/* The end */

atomic_llong mb_shared_blocks;

/* Those that are pinned, linked by next. Relaxed: nobody looks into it but leak checkers. */
static _Atomic(struct mb_shared *) pinned;

void mb_shared_pin(struct mb_shared *s) {
  if (atomic_exchange_explicit(&s->pinned, 1, memory_order_relaxed)) return;
  mb_block_retain(&s->block);
  s->next = atomic_load_explicit(&pinned, memory_order_relaxed);
  while (!atomic_compare_exchange_weak_explicit(&pinned, &s->next, s, memory_order_relaxed, memory_order_relaxed))
    continue;
}

void mb_shared_end(struct mb_block *block) {
  struct mb_shared *ended = (struct mb_shared *)block; /* its first member */
  ended->next = NULL;
  while (ended) { /* a list, since what refers to what may be a chain of any length */
    struct mb_shared *s = ended;
    ended = s->next;
    for (uint32_t i = 0; i < s->others; i++) {
      if (!mb_block_let_go(&s->other[i]->block)) continue;
      s->other[i]->next = ended;
      ended = s->other[i];
    }
    free(s);
    atomic_fetch_sub_explicit(&mb_shared_blocks, 1, memory_order_relaxed);
  }
}
