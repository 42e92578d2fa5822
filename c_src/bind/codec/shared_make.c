#include "codec/shared_make.h"

#include "codec/buffer.h"
#include "heap/errors.h"
#include "heap/shared.h"

enum { MOST_HOLES = 64 };
enum { NAMED_STEPS = 8, MOST_NAME = 60 }; /* of a path in an error: how many, and bytes of each */

/* Where a table has been met first. */
struct origin {
  uint32_t in; /* the number of the table it is in; 0: it is the whole */
  struct mb_shared_value key;
};

/* A shared value in the making. Tables are numbered as they are met, and written one after the other, so depth needs no
 * stack. Code of the user's may run whenever Lua allocates, and change a table that is being read: a count is only
 * believed as far as there is room. */
struct maker {
  struct mb_buffer tables, items, slots, others, origins, text; /* arrays of what struct mb_shared has, and origins */
};

struct making {
  struct mb_heap *h;
  lua_State *L;
  struct maker *m;
  int numbers, list, texts, kept; /* stack indices: table -> number, number -> table, text -> where it is, blocks */
  uint32_t count;                 /* of tables that have been met */
  uint32_t at;                    /* the one that is being written */
};

static void give_back(struct maker *m) {
  mb_buffer_deinit(&m->tables);
  mb_buffer_deinit(&m->items);
  mb_buffer_deinit(&m->slots);
  mb_buffer_deinit(&m->others);
  mb_buffer_deinit(&m->origins);
  mb_buffer_deinit(&m->text);
}

static int collect(lua_State *L) {
  give_back(lua_touserdata(L, 1));
  return 0;
}

/* Push a maker, which frees its memory when it is collected. */
static struct maker *push_maker(lua_State *L) {
  struct maker *m = lua_newuserdatauv(L, sizeof *m, 0);
  *m = (struct maker){0};
  if (luaL_newmetatable(L, "moonbeam.maker")) {
    lua_pushcfunction(L, collect);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return m;
}

/* Append what is of that size, all zero; its number from 0 on. */
static uint64_t append(struct making *k, struct mb_buffer *b, size_t size, uint64_t count) {
  uint64_t at = b->size / size;
  void *p;
  if (!count) return at;
  p = count > (SIZE_MAX / 4 - b->size) / size ? NULL : mb_buffer_reserve(b, size * count);
  if (!p) mb_no_memory(k->L);
  memset(p, 0, size * count);
  b->size += size * count;
  return at;
}

static struct mb_shared_table *table_at(const struct making *k, uint32_t number) {
  return (struct mb_shared_table *)(void *)k->m->tables.bytes + (number - 1);
}

static struct origin *origin_at(const struct making *k, uint32_t number) {
  return (struct origin *)(void *)k->m->origins.bytes + (number - 1);
}

static const char *text_at(const struct making *k, const struct mb_shared_value *v) {
  return (const char *)k->m->text.bytes + v->at;
}

/* Errors */

static void add_key(const struct making *k, luaL_Buffer *text, const struct mb_shared_value *key, int first) {
  switch ((enum mb_shared_type)key->type) {
    case MB_SHARED_TEXT:
      if (!first) luaL_addchar(text, '.');
      luaL_addlstring(text, text_at(k, key), key->size > MOST_NAME ? MOST_NAME : key->size);
      if (key->size > MOST_NAME) luaL_addstring(text, "...");
      return;
    case MB_SHARED_INTEGER: lua_pushfstring(k->L, "[%I]", (LUAI_UACINT)key->integer); break;
    case MB_SHARED_FLOAT: lua_pushfstring(k->L, "[%f]", (LUAI_UACNUMBER)key->number); break;
    case MB_SHARED_LIGHT: lua_pushliteral(k->L, "[pid]"); break;
    default: lua_pushfstring(k->L, "[%s]", key->type == MB_SHARED_TRUE ? "true" : "false");
  }
  luaL_addvalue(text);
}

/* Raise that what is at the key of the table that is being written (NULL: the table itself) cannot be shared. */
static void refuse(const struct making *k, const struct mb_shared_value *key, const char *is) {
  struct mb_shared_value path[NAMED_STEPS];
  int steps = 0, more = 0;
  uint32_t in = k->at;
  luaL_Buffer text;
  luaL_checkstack(k->L, 20, NULL);
  if (key) path[steps++] = *key;
  for (; origin_at(k, in)->in && !more; in = origin_at(k, in)->in) {
    if (steps < NAMED_STEPS)
      path[steps++] = origin_at(k, in)->key;
    else
      more = 1;
  }
  luaL_buffinit(k->L, &text);
  if (steps) luaL_addstring(&text, "field \"");
  if (more) luaL_addstring(&text, "...");
  for (int i = steps - 1; i >= 0; i--) add_key(k, &text, &path[i], i == steps - 1 && !more);
  luaL_addstring(&text, steps ? "\"" : "it");
  luaL_pushresult(&text);
  mb_raise(k->h, k->L, "cannot share: %s %s", lua_tostring(k->L, -1), is);
}

/* Writing */

/* Where the text at `index` is among all; that of each is kept once. */
static uint64_t text_of(struct making *k, int index, uint32_t *size) {
  lua_State *L = k->L;
  size_t n;
  const char *s = lua_tolstring(L, index, &n);
  uint64_t at;
  lua_pushvalue(L, index);
  if (lua_rawget(L, k->texts) != LUA_TNIL) {
    at = (uint64_t)lua_tointeger(L, -1);
  } else {
    if (n > UINT32_MAX) mb_raise(k->h, L, "cannot share: a string of %d MB", (int)(n >> 20));
    at = append(k, &k->m->text, 1, n + 1);
    memcpy(k->m->text.bytes + at, s, n);
    lua_pushvalue(L, index);
    lua_pushinteger(L, (lua_Integer)at);
    lua_rawset(L, k->texts);
  }
  lua_pop(L, 1);
  *size = (uint32_t)n;
  return at;
}

/* The number of the table at `index`, which stands at the key of the one that is being written (NULL: nowhere). */
static uint32_t number_of(struct making *k, int index, const struct mb_shared_value *key) {
  lua_State *L = k->L;
  uint32_t number;
  lua_pushvalue(L, index);
  if (lua_rawget(L, k->numbers) != LUA_TNIL) {
    number = (uint32_t)lua_tointeger(L, -1);
    lua_pop(L, 1);
    return number;
  }
  lua_pop(L, 1);
  if (k->count == INT32_MAX) mb_no_memory(L);
  number = k->count + 1;
  (void)append(k, &k->m->tables, sizeof(struct mb_shared_table), 1);
  (void)append(k, &k->m->origins, sizeof(struct origin), 1);
  if (key) *origin_at(k, number) = (struct origin){.in = k->at, .key = *key};
  lua_pushvalue(L, index);
  lua_pushinteger(L, number);
  lua_rawset(L, k->numbers);
  lua_pushvalue(L, index);
  lua_rawseti(L, k->list, number);
  k->count = number;
  return number;
}

/* Which of the other blocks the handle at `index` belongs to; it is kept with this one. */
static uint64_t other_of(struct making *k, int index, struct mb_shared *in) {
  lua_State *L = k->L;
  uint64_t at;
  if (lua_rawgetp(L, k->kept, in) != LUA_TNIL) {
    at = (uint64_t)lua_tointeger(L, -1);
    lua_pop(L, 1);
    return at;
  }
  lua_pop(L, 1);
  at = append(k, &k->m->others, sizeof in, 1);
  memcpy(k->m->others.bytes + at * sizeof in, &in, sizeof in);
  lua_pushvalue(L, index);
  lua_rawseti(L, k->kept, -1 - (lua_Integer)at); /* alive until the block has its own reference */
  lua_pushinteger(L, (lua_Integer)at);
  lua_rawsetp(L, k->kept, in);
  return at;
}

/* The value at `index`, which stands at the key; or a key itself (NULL). */
static struct mb_shared_value value_of(struct making *k, int index, const struct mb_shared_value *key) {
  lua_State *L = k->L;
  struct mb_shared_value v = {.type = MB_SHARED_NIL};
  switch (lua_type(L, index)) {
    case LUA_TNIL: break;
    case LUA_TBOOLEAN: v.type = lua_toboolean(L, index) ? MB_SHARED_TRUE : MB_SHARED_FALSE; break;
    case LUA_TLIGHTUSERDATA:
      v.type = MB_SHARED_LIGHT;
      v.light = lua_touserdata(L, index);
      break;
    case LUA_TNUMBER:
      v.type = lua_isinteger(L, index) ? MB_SHARED_INTEGER : MB_SHARED_FLOAT;
      if (v.type == MB_SHARED_INTEGER)
        v.integer = lua_tointeger(L, index);
      else
        v.number = lua_tonumber(L, index);
      break;
    case LUA_TSTRING:
      v.type = MB_SHARED_TEXT;
      v.at = text_of(k, index, &v.size);
      break;
    case LUA_TTABLE:
      if (!key) refuse(k, NULL, "has a table as a key");
      if (lua_getmetatable(L, index)) refuse(k, key, "has a metatable: what is shared is data");
      v.type = MB_SHARED_TABLE;
      v.at = number_of(k, index, key);
      break;
    default: {
      const struct mb_shared_ref *r = mb_shared_at(k->h, L, index);
      if (r && key) {
        v.type = MB_SHARED_ELSEWHERE;
        v.size = r->table;
        v.at = other_of(k, index, r->in);
        break;
      }
      lua_pushfstring(L, key ? "is a %s: what is shared is data" : "has a %s as a key", luaL_typename(L, index));
      refuse(k, key, lua_tostring(L, -1));
    }
  }
  return v;
}

static void changed(const struct making *k) {
  mb_raise(k->h, k->L, "cannot share: a table has been changed meanwhile, by a finalizer");
}

/* Put a field into the slots of the table that is being written. */
static void put_field(struct making *k, const struct mb_shared_value *key, int value) {
  const struct mb_shared_table t = *table_at(k, k->at);
  struct mb_shared_value v = value_of(k, value, key); /* may move everything */
  struct mb_shared_field *slots = (struct mb_shared_field *)(void *)k->m->slots.bytes + t.slot;
  uint64_t at = mb_shared_hash(key, key->type == MB_SHARED_TEXT ? text_at(k, key) : NULL);
  while (slots[at & (t.slots - 1)].key.type != MB_SHARED_NIL) at++;
  slots[at & (t.slots - 1)] = (struct mb_shared_field){*key, v};
}

static int is_item(lua_State *L, int index, uint64_t items) {
  return lua_isinteger(L, index) && (lua_Unsigned)lua_tointeger(L, index) - 1 < items;
}

/* What the table has at other keys than 1 to `length`, and *there at these. */
static uint64_t count_fields(lua_State *L, int table, uint64_t length, uint64_t *there) {
  uint64_t count = 0;
  *there = 0;
  lua_pushnil(L);
  while (lua_next(L, table)) {
    lua_pop(L, 1);
    if (is_item(L, lua_gettop(L), length))
      ++*there;
    else
      count++;
  }
  return count;
}

/* Write the table at stack index `table`. */
static void write_table(struct making *k, int table) {
  lua_State *L = k->L;
  int top = lua_gettop(L);
  uint64_t length = lua_rawlen(L, table), items = length, there, left, item, slots;
  uint64_t fields = count_fields(L, table, length, &there);
  if (length / 2 > there + MOST_HOLES) { /* in a table with few of them Lua may find the end anywhere */
    items = 0;
    fields += there;
  }
  left = fields;
  slots = fields ? 2 : 0;
  item = append(k, &k->m->items, sizeof(struct mb_shared_value), items);
  while (slots && slots / 4 * 3 < fields) slots *= 2;
  *table_at(k, k->at) = (struct mb_shared_table){
      .length = length, .items = items, .item = item, .slots = slots,
      .slot = append(k, &k->m->slots, sizeof(struct mb_shared_field), slots)};
  for (uint64_t i = 1; i <= items; i++) {
    struct mb_shared_value key = {.type = MB_SHARED_INTEGER, .integer = (lua_Integer)i}, v;
    lua_rawgeti(L, table, (lua_Integer)i);
    v = value_of(k, top + 1, &key);
    ((struct mb_shared_value *)(void *)k->m->items.bytes)[item + i - 1] = v;
    lua_settop(L, top);
  }
  if (!fields) return;
  lua_pushnil(L);
  while (lua_next(L, table)) {
    if (!is_item(L, top + 1, items)) {
      struct mb_shared_value key = value_of(k, top + 1, NULL);
      if (left-- == 0) changed(k);
      put_field(k, &key, top + 2);
    }
    lua_settop(L, top + 1);
  }
}

/* The block that all is copied into. */
static struct mb_shared *block_of(const struct making *k) {
  const struct maker *m = k->m;
  const struct mb_buffer *parts[] = {&m->tables, &m->items, &m->slots, &m->others, &m->text};
  size_t size = sizeof(struct mb_shared), at[5];
  struct mb_shared *s;
  for (int i = 0; i < 5; i++) {
    at[i] = size;
    size += parts[i]->size; /* all but the last are of multiples of 8 */
  }
  s = malloc(size);
  if (!s) mb_no_memory(k->L);
  for (int i = 0; i < 5; i++)
    if (parts[i]->size) memcpy((unsigned char *)s + at[i], parts[i]->bytes, parts[i]->size);
  mb_block_init(&s->block, mb_shared_end);
  atomic_init(&s->pinned, 0);
  s->next = NULL;
  s->tables = k->count;
  s->others = (uint32_t)(m->others.size / sizeof(struct mb_shared *));
  s->table = (const void *)((unsigned char *)s + at[0]);
  s->item = (const void *)((unsigned char *)s + at[1]);
  s->slot = (const void *)((unsigned char *)s + at[2]);
  s->other = (const void *)((unsigned char *)s + at[3]);
  s->text = (const char *)s + at[4];
  atomic_fetch_add_explicit(&mb_shared_blocks, 1, memory_order_relaxed);
  for (uint32_t i = 0; i < s->others; i++) mb_block_retain(&s->other[i]->block);
  return s;
}

/* (heap, block) -> its handle */
static int push_first(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  mb_shared_push(h, L, lua_touserdata(L, 2), 1);
  return 1;
}

void mb_shared_make(struct mb_heap *h, lua_State *L, int index) {
  struct making k = {.h = h, .L = L};
  struct mb_shared *made;
  int top = lua_gettop(L), status;
  luaL_checkstack(L, 30, NULL);
  k.m = push_maker(L);
  for (int i = 0; i < 4; i++) lua_newtable(L);
  k.numbers = top + 2;
  k.list = top + 3;
  k.texts = top + 4;
  k.kept = top + 5;
  k.at = 1;
  (void)number_of(&k, index, NULL);
  if (lua_getmetatable(L, index)) refuse(&k, NULL, "has a metatable: what is shared is data");
  for (; k.at <= k.count; k.at++) {
    lua_rawgeti(L, k.list, k.at);
    write_table(&k, top + 6);
    lua_settop(L, top + 5);
  }
  made = block_of(&k);
  lua_pushcfunction(L, push_first);
  lua_pushlightuserdata(L, h);
  lua_pushlightuserdata(L, made);
  status = lua_pcall(L, 2, 1, 0);
  mb_block_release(&made->block); /* its handle has one */
  if (status != LUA_OK) lua_error(L);
  give_back(k.m); /* it may be much: not only when it is collected */
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
}
