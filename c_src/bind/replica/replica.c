#include "replica/replica.h"

#include <string.h>
#include <uv.h>

#include "code/adopt.h"
#include "code/modules.h"
#include "codec/codec.h"
#include "core/hash.h"
#include "heap/errors.h"
#include "heap/site.h"
#include "replica/place.h"
#include "replica/publication.h"
#include "replica/replica_inside.h"
#include "replica/watch.h"

enum {
  MOST_BYTES = 64 * 1024,       /* of a value */
  MOST_TRIED = 1024 * 1024,     /* bytes of values that are tried one by one: functions that share much would take the square */
  CONTENTS_NS = 1000000,        /* looking into tables that takes longer is not done before each process */
  CONTENTS_SHARE = 20           /* but takes one of so many parts of the time */
};

/* Comparing */

/* What has been found out: lists on the stack. */
struct changes {
  struct mb_heap *h;
  lua_State *L;
  int first, now, later; /* stack indices of lists as they are published: what modules are found by comes first */
  int kept;              /* place, name, value: of what cannot be copied */
  lua_Integer tried;     /* bytes */
};

static int try_value(lua_State *L) {
  const struct mb_buffer *out;
  mb_encode(lua_touserdata(L, 1), L, 2, 1, mb_replica_trial, &out);
  lua_pushinteger(L, (lua_Integer)mb_hash_bytes(out->bytes, out->size));
  lua_pushboolean(L, out->bytes[0] & MB_F_MODULES);
  lua_pushinteger(L, (lua_Integer)out->size);
  return 3;
}

/* Whether the value at an index can be copied; its hash, and whether it may need modules. */
static int can_be_copied(struct changes *c, int place, int value, lua_Integer *hash, int *modules) {
  lua_State *L = c->L;
  int ok, type = lua_type(L, value);
  *hash = *modules = 0;
  if (type <= LUA_TSTRING) return type != LUA_TSTRING || lua_rawlen(L, value) <= MOST_BYTES;
  if (lua_iscfunction(L, value)) {
    const char *name = mb_modules_name(c->h, L, value, MB_AS_VALUE) ? lua_tostring(L, -1) : NULL;
    if (!name) return 0;
    *modules = !mb_modules_is_of_lua(name) && strcmp(name, "_G") != 0;
    lua_pop(L, 1);
    return 1;
  }
  if (place == MB_PLACE_GLOBALS && type == LUA_TFUNCTION && c->tried > MOST_TRIED) return *modules = 1; /* see publish_later */
  lua_pushcfunction(L, try_value);
  lua_pushlightuserdata(L, c->h);
  lua_pushvalue(L, value);
  ok = lua_pcall(L, 2, 3, 0) == LUA_OK;
  if (ok) {
    *hash = lua_tointeger(L, -3);
    *modules = lua_toboolean(L, -2);
  }
  c->tried += ok ? lua_tointeger(L, -1) : MOST_BYTES;
  lua_pop(L, ok ? 3 : 1);
  return ok;
}

static void append(lua_State *L, int list, int value) {
  lua_pushvalue(L, value);
  lua_rawseti(L, list, (lua_Integer)lua_rawlen(L, list) + 1);
}

static void append_change(struct changes *c, int list, int place, int name, int value) {
  lua_State *L = c->L;
  lua_Integer n = (lua_Integer)lua_rawlen(L, list);
  lua_pushinteger(L, place);
  lua_rawseti(L, list, n + 1);
  append(L, list, name);
  lua_pushboolean(L, value != 0);
  lua_rawseti(L, list, n + 3);
  lua_pushboolean(L, 0);
  if (value) lua_pushvalue(L, value);
  lua_rawseti(L, list, n + 4);
  if (value) lua_pop(L, 1);
}

/* Whether the contents of the table at `value` hash to something else than last time; they are known from now on. */
static int note_contents(struct changes *c, int place, int name, lua_Integer hash) {
  lua_State *L = c->L;
  int same;
  mb_replica_push_known(c->h, L, -1 - place);
  lua_pushvalue(L, name);
  lua_rawget(L, -2);
  same = lua_isinteger(L, -1) && lua_tointeger(L, -1) == hash;
  lua_pushvalue(L, name);
  lua_pushinteger(L, hash);
  lua_rawset(L, -4);
  lua_pop(L, 2);
  return !same;
}

/* Whether a name of a place is the same in all heaps. */
static int is_common(lua_State *L, int place, int name) {
  static const char *const others[] = {"config", "loaded", "preload", "searchers"};
  int type = lua_type(L, name);
  for (size_t i = 0; place == MB_PLACE_PACKAGE && type == LUA_TSTRING && i < sizeof others / sizeof *others; i++)
    if (strcmp(lua_tostring(L, name), others[i]) == 0) return 0; /* places of their own, or the heap's */
  return type == LUA_TSTRING || type == LUA_TNUMBER || type == LUA_TBOOLEAN;
}

/* The name has another value than the one known, or, if `known` is the same, one that may hold something else. */
static void note(struct changes *c, int place, int name, int value, int known, int same) {
  lua_State *L = c->L;
  lua_Integer hash = 0;
  int modules = 0, ok = value ? can_be_copied(c, place, value, &hash, &modules) : 1;
  if (ok && value && lua_istable(L, value) && !note_contents(c, place, name, hash) && same) return;
  if (!ok) {
    if (same) return;
    lua_pushinteger(L, place);
    lua_rawseti(L, c->kept, (lua_Integer)lua_rawlen(L, c->kept) + 1);
    append(L, c->kept, name);
    append(L, c->kept, value);
    if (known) append_change(c, c->now, place, name, 0);
  } else {
    append_change(c, mb_replica_is_path(L, place, name) ? c->first : modules && mb_replica_is_of_script(place) ? c->later : c->now, place, name,
                  value);
  }
}

static int is_base_value(struct changes *c, int name, int value) {
  lua_State *L = c->L;
  int is;
  mb_push_ref(c->h, L, MB_REF_BASE);
  lua_pushvalue(L, name);
  lua_rawget(L, -2);
  is = lua_rawequal(L, -1, value);
  lua_pop(L, 2);
  return is;
}

/* Compare the table on the top of the stack (popped). */
static void compare(struct changes *c, int place) {
  lua_State *L = c->L;
  int table = lua_gettop(L), known = table + 1, name = table + 2, value = table + 3, met = 0;
  mb_replica_push_known(c->h, L, place);
  lua_pushnil(L);
  while (lua_next(L, table)) {
    if (is_common(L, place, name)) {
      int is_known, same;
      lua_pushvalue(L, name);
      is_known = lua_rawget(L, known) != LUA_TNIL;
      same = lua_rawequal(L, value, value + 1);
      met += is_known;
      if (!same && (is_known || place != MB_PLACE_GLOBALS || !is_base_value(c, name, value)) &&
          (!mb_replica_is_path(L, place, name) || lua_type(L, value) == LUA_TSTRING)) /* else require is meant to fail, here */
        note(c, place, name, value, is_known, 0);
    }
    lua_settop(L, name);
  }
  if (met < c->h->replica->known[place]) { /* names are gone */
    lua_pushnil(L);
    while (lua_next(L, known)) {
      lua_pushvalue(L, name);
      if (lua_rawget(L, table) == LUA_TNIL) note(c, place, name, 0, 1, 0);
      lua_settop(L, name);
    }
  }
  lua_settop(L, table - 1);
}

/* Compare the metatable of the table on the top of the stack (popped), the value of a name that is a number. */
static void compare_metatable(struct changes *c, int place, int name) {
  lua_State *L = c->L;
  int value = lua_gettop(L), same;
  if (!lua_getmetatable(L, value)) lua_pushnil(L);
  lua_replace(L, value);
  lua_pushinteger(L, name);
  mb_replica_push_known(c->h, L, place);
  lua_rawgeti(L, value + 2, name);
  same = lua_rawequal(L, value, value + 3);
  if (!same || (mb_replica_is_of_script(place) && lua_istable(L, value)))
    note(c, place, value + 1, lua_isnil(L, value) ? 0 : value, !lua_isnil(L, value + 3), same);
  lua_settop(L, value - 1);
}

/* Push the value that the name at `name` has now, or nil. */
static void push_value(lua_State *L, int place, int name) {
  int top = lua_gettop(L);
  if (place == MB_PLACE_METATABLES) {
    if (mb_push_place(L, (int)lua_tointeger(L, name) - 1, MB_PLACE_FOUND) && lua_getmetatable(L, -1)) lua_replace(L, top + 1);
  } else if (mb_push_place(L, place, MB_PLACE_FOUND)) {
    lua_pushvalue(L, name);
    lua_rawget(L, top + 1);
    lua_replace(L, top + 1);
  }
  lua_settop(L, top + 1);
}

/* Compare what the tables hold that are values of the place's names and have been published by this heap. */
static void compare_contents(struct changes *c, int place) {
  lua_State *L = c->L;
  int contents = lua_gettop(L) + 1, known = contents + 1, name = contents + 2;
  mb_replica_push_known(c->h, L, -1 - place);
  mb_replica_push_known(c->h, L, place);
  lua_pushnil(L);
  while (lua_next(L, contents)) {
    lua_pop(L, 1);
    push_value(L, place, name);
    lua_pushvalue(L, name);
    lua_rawget(L, known);
    if (!lua_istable(L, name + 1)) {
      lua_pushvalue(L, name);
      lua_pushnil(L);
      lua_rawset(L, contents);
    } else if (lua_rawequal(L, name + 1, name + 2)) {
      note(c, place, name, name + 1, 1, 1);
    }
    lua_settop(L, name);
  }
  lua_settop(L, contents - 1);
}

static void compare_all_contents(struct changes *c) {
  for (int place = 0; place <= MB_PLACE_GLOBALS; place++)
    if (place != MB_PLACE_SEARCHERS) compare_contents(c, place);
}

static void compare_searchers(struct changes *c) {
  lua_State *L = c->L;
  int top = lua_gettop(L), same;
  mb_place_push_searchers(c->h, L);
  mb_replica_push_known(c->h, L, MB_PLACE_SEARCHERS);
  lua_pushinteger(L, 1);
  lua_rawgeti(L, top + 2, 1);
  same = lua_istable(L, top + 4) && lua_rawlen(L, top + 4) == lua_rawlen(L, top + 1);
  for (lua_Integer i = (lua_Integer)lua_rawlen(L, top + 1); same && i >= 1; i--) {
    lua_rawgeti(L, top + 1, i);
    lua_rawgeti(L, top + 4, i);
    same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
  }
  if (!same) note(c, MB_PLACE_SEARCHERS, top + 3, top + 1, 1, 0);
  lua_settop(L, top);
}

/* Publishing */

/* Push an array of the hashes of the names in a list. */
static uint64_t *push_hashes(lua_State *L, int list, size_t count) {
  uint64_t *hashes = lua_newuserdatauv(L, count * sizeof *hashes + 1, 0);
  for (size_t i = 0; i < count; i++) {
    size_t size;
    const char *text;
    lua_rawgeti(L, list, (lua_Integer)(i * MB_REPLICA_STRIDE) + 1);
    lua_rawgeti(L, list, (lua_Integer)(i * MB_REPLICA_STRIDE) + 2);
    lua_pushfstring(L, "%d %s ", (int)lua_tointeger(L, -2), luaL_typename(L, -1));
    luaL_tolstring(L, -2, NULL);
    lua_concat(L, 2);
    text = lua_tolstring(L, -1, &size);
    hashes[i] = mb_hash_bytes(text, size) | 1;
    lua_pop(L, 3);
  }
  return hashes;
}

static void publish(struct mb_heap *h, lua_State *L, int kind, const void *bytes, size_t size, const uint64_t *names,
                    size_t named) {
  unsigned version = mb_publish(h->publications, kind, h->scheduler->id, bytes, size, names, named);
  if (version == 0) mb_no_memory(L);
  if (version == h->adopted + 1) h->adopted = version; /* else others' are still to be adopted */
}

static void publish_list(struct mb_heap *h, lua_State *L, int kind, int list) {
  int top = lua_gettop(L), values = 1;
  size_t named = lua_rawlen(L, list) / MB_REPLICA_STRIDE;
  const struct mb_buffer *out;
  uint64_t *names;
  if (named == 0) return;
  names = push_hashes(L, list, named);
  lua_pushvalue(L, list);
  lua_pushnil(L);
  if (kind == MB_REPLICA_LATER) {
    lua_newtable(L);
    lua_replace(L, top + 2);
    for (size_t i = 0; i < named; i++) {
      lua_rawgeti(L, list, (lua_Integer)(i * MB_REPLICA_STRIDE) + 2);
      lua_rawseti(L, top + 2, (lua_Integer)i + 1);
    }
    mb_encode(h, L, list, 1, mb_replica_all, &out);
    lua_pushlstring(L, (const char *)out->bytes, out->size);
    lua_replace(L, top + 3);
    values = 2;
  }
  mb_encode(h, L, top + 2, values, mb_replica_all, &out);
  publish(h, L, kind, out->bytes, out->size, names, named);
  lua_settop(L, top);
}

/* publish_later(heap, list): may raise, for what has not been tried */
static int publish_later(lua_State *L) {
  publish_list(lua_touserdata(L, 1), L, MB_REPLICA_LATER, 2);
  return 0;
}

static void know_list(struct mb_heap *h, lua_State *L, int list, int stride) {
  int top = lua_gettop(L);
  lua_Integer n = (lua_Integer)lua_rawlen(L, list);
  for (lua_Integer i = 1; i <= n; i += stride) {
    lua_rawgeti(L, list, i);
    lua_rawgeti(L, list, i + 1);
    lua_rawgeti(L, list, i + stride - 1);
    if (stride == MB_REPLICA_STRIDE) {
      lua_rawgeti(L, list, i + 2);
      if (!lua_toboolean(L, -1)) lua_pushnil(L), lua_replace(L, top + 3);
      lua_pop(L, 1);
    }
    mb_replica_know(h, L, (int)lua_tointeger(L, top + 1), top + 2);
    lua_settop(L, top);
  }
}

static void compare_all(struct changes *c) {
  struct mb_heap *h = c->h;
  lua_State *L = c->L;
  for (int place = 0; place < MB_PLACE_SEARCHERS; place++) {
    int there = mb_push_place(L, place, MB_PLACE_FOUND);
    if (!there && h->replica->known[place]) lua_newtable(L); /* a metatable that has been taken away */
    if (there || h->replica->known[place]) compare(c, place);
    if (place <= MB_PLACE_PACKAGE && mb_push_place(L, place, MB_PLACE_FOUND)) compare_metatable(c, MB_PLACE_METATABLES, place + 1);
  }
  compare_searchers(c);
  if (h->owner) {
    lua_pushglobaltable(L);
    lua_pushvalue(L, -1);
    compare_metatable(c, MB_PLACE_GLOBALS_METATABLE, 1);
    compare(c, MB_PLACE_GLOBALS);
  }
}

/* Watch the table on the top of the stack (popped). */
static void watch(struct mb_heap *h, lua_State *L) {
  if (lua_istable(L, -1)) {
    mb_push_ref(h, L, MB_REF_WATCHED);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    lua_pop(L, 1);
    if (mb_table_watch_add(h->replica->watch, L, -1) != 0) mb_no_memory(L);
  }
  lua_pop(L, 1);
}

/* Note all tables as they are now. */
static void watch_all(struct mb_heap *h, lua_State *L) {
  int top = lua_gettop(L);
  mb_table_watch_clear(h->replica->watch);
  lua_newtable(L);
  lua_rawseti(L, LUA_REGISTRYINDEX, h->ref[MB_REF_WATCHED]);
  for (int place = 0; place < MB_PLACE_SEARCHERS; place++) {
    if (mb_push_place(L, place, MB_PLACE_FOUND)) watch(h, L);
  }
  if (mb_push_place(L, MB_PLACE_PACKAGE, MB_PLACE_FOUND)) {
    lua_getfield(L, -1, "searchers");
    watch(h, L);
    lua_pop(L, 1);
  }
  if (h->owner) {
    lua_pushglobaltable(L);
    if (lua_getmetatable(L, -1)) watch(h, L);
    watch(h, L);
  }
  lua_settop(L, top);
  h->replica->watching = 1;
}

/* What is to be compared. */
enum { ALL = 1, CONTENTS = 2 };

static int replicate(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  struct changes c = {h, L, 3, 4, 5, 6, 0};
  int what = (int)lua_tointeger(L, 2);
  for (int list = c.first; list <= c.kept; list++) lua_newtable(L);
  luaL_checkstack(L, 30, NULL);
  mb_replica_know_standard(h, L);
  if (what & ALL) {
    if (h->replica->watch_works) watch_all(h, L); /* first: what finalizers change meanwhile is found the next time */
    compare_all(&c);
  }
  if (what & CONTENTS) {
    uint64_t began = mb_now(h->runtime), ended;
    if (began >= h->replica->contents) compare_all_contents(&c);
    ended = mb_now(h->runtime);
    if (ended - began > CONTENTS_NS) h->replica->contents = ended + CONTENTS_SHARE * (ended - began);
  }
  publish_list(h, L, MB_REPLICA_NOW, c.first);
  publish_list(h, L, MB_REPLICA_NOW, c.now);
  lua_pushcfunction(L, publish_later);
  lua_pushlightuserdata(L, h);
  lua_pushvalue(L, c.later);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) lua_pop(L, 1); /* one of very many cannot be copied: all stay */
  know_list(h, L, c.kept, 3); /* first: what was published before it could not be copied is known as gone, too */
  know_list(h, L, c.first, MB_REPLICA_STRIDE);
  know_list(h, L, c.now, MB_REPLICA_STRIDE);
  know_list(h, L, c.later, MB_REPLICA_STRIDE);
  return 0;
}

void mb_replicate(struct mb_heap *h, lua_State *L, enum mb_replicate_depth depth) {
  int what;
  if (h->replicating || h->closing || h->blocking) return; /* what a thread of blocking's changes is its own */
  mb_replica_refresh(h, L);
  what = (!h->replica->watching || mb_table_watch_changed(h->replica->watch) ? ALL : 0) | (depth == MB_REPLICATE_CONTENTS ? CONTENTS : 0);
  if (what && lua_checkstack(L, 8) && mb_replica_protected(h, L, replicate, NULL, what) != LUA_OK) {
    lua_pop(L, 1); /* memory is out: the next time */
    h->replica->watching = 0;
  }
}

void mb_replica_share(struct mb_scheduler *s) {
  struct mb_heap *h = mb_scheduler_heap(s);
  mb_replicate(h, h->runner, MB_REPLICATE_CONTENTS);
}

void mb_replica_encode_start(struct mb_heap *h, lua_State *L, int index) {
  const struct mb_buffer *out;
  const char *site = mb_site(h, L);
  lua_pushstring(L, site ? site : "?");
  lua_pushvalue(L, index);
  mb_encode(h, L, lua_gettop(L) - 1, 2, mb_replica_start, &out);
  lua_pushlstring(L, (const char *)out->bytes, out->size);
}

void mb_replica_publish_start(struct mb_heap *h, lua_State *L, int index) {
  size_t size;
  const char *bytes = luaL_checklstring(L, index, &size);
  mb_replicate(h, L, MB_REPLICATE_CONTENTS); /* what the function finds is there before it runs */
  publish(h, L, MB_REPLICA_START, bytes, size, NULL, 0);
}
