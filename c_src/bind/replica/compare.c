/* Finding what differs from what is known. */
#include <string.h>

#include "code/modules.h"
#include "codec/codec.h"
#include "core/hash.h"
#include "replica/place.h"
#include "replica/replica_inside.h"

enum {
  MOST_BYTES = 64 * 1024,  /* of a value */
  MOST_TRIED = 1024 * 1024 /* of values that are tried one by one: functions that share much would take the square */
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
static int can_be_copied(struct mb_changes *c, int place, int value, lua_Integer *hash, int *modules) {
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
  if (place == MB_PLACE_GLOBALS && type == LUA_TFUNCTION && c->tried > MOST_TRIED)
    return *modules = 1; /* it is tried with the others that are published later */
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

static void append_change(struct mb_changes *c, int list, int place, int name, int value) {
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
static int note_contents(struct mb_changes *c, int place, int name, lua_Integer hash) {
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

/* What is known of a name's value. */
enum known { NOTHING, ANOTHER, THE_SAME };

/* The name has another value than the one known, or the same, which may hold something else; value 0: none. */
static void note(struct mb_changes *c, int place, int name, int value, enum known known) {
  lua_State *L = c->L;
  lua_Integer hash = 0;
  int list = c->now, modules = 0, ok = value ? can_be_copied(c, place, value, &hash, &modules) : 1;
  if (ok && value && lua_istable(L, value) && !note_contents(c, place, name, hash) && known == THE_SAME)
    return;
  if (!ok) {
    if (known == THE_SAME) return;
    lua_pushinteger(L, place);
    lua_rawseti(L, c->kept, (lua_Integer)lua_rawlen(L, c->kept) + 1);
    append(L, c->kept, name);
    append(L, c->kept, value);
    if (known == ANOTHER) append_change(c, c->now, place, name, 0);
    return;
  }
  if (mb_replica_is_path(L, place, name)) list = c->first;
  if (modules && mb_replica_is_of_script(place)) list = c->later;
  append_change(c, list, place, name, value);
}

static int is_base_value(struct mb_changes *c, int name, int value) {
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
static void compare(struct mb_changes *c, int place) {
  lua_State *L = c->L;
  int table = lua_gettop(L), known = table + 1, name = table + 2, value = table + 3, met = 0;
  mb_replica_push_known(c->h, L, place);
  lua_pushnil(L);
  while (lua_next(L, table)) {
    if (mb_replica_is_common(L, place, name)) {
      int is_known, same;
      lua_pushvalue(L, name);
      is_known = lua_rawget(L, known) != LUA_TNIL;
      same = lua_rawequal(L, value, value + 1);
      met += is_known;
      if (!same && (is_known || place != MB_PLACE_GLOBALS || !is_base_value(c, name, value)) &&
          /* a path that is none: require is meant to fail, here */
          (!mb_replica_is_path(L, place, name) || lua_type(L, value) == LUA_TSTRING))
        note(c, place, name, value, is_known ? ANOTHER : NOTHING);
    }
    lua_settop(L, name);
  }
  if (met < c->h->replica->known[place]) { /* names are gone */
    lua_pushnil(L);
    while (lua_next(L, known)) {
      lua_pushvalue(L, name);
      if (lua_rawget(L, table) == LUA_TNIL) note(c, place, name, 0, ANOTHER);
      lua_settop(L, name);
    }
  }
  lua_settop(L, table - 1);
}

/* Compare the metatable of the table on the top of the stack (popped), the value of a name that is a number. */
static void compare_metatable(struct mb_changes *c, int place, int name) {
  lua_State *L = c->L;
  int value = lua_gettop(L), same;
  if (!lua_getmetatable(L, value)) lua_pushnil(L);
  lua_replace(L, value);
  lua_pushinteger(L, name);
  mb_replica_push_known(c->h, L, place);
  lua_rawgeti(L, value + 2, name);
  same = lua_rawequal(L, value, value + 3);
  if (!same || (mb_replica_is_of_script(place) && lua_istable(L, value)))
    note(c, place, value + 1, lua_isnil(L, value) ? 0 : value,
         same ? THE_SAME : lua_isnil(L, value + 3) ? NOTHING : ANOTHER);
  lua_settop(L, value - 1);
}

/* Push the value that the name at `name` has now, or nil. */
static void push_value(lua_State *L, int place, int name) {
  int top = lua_gettop(L);
  if (place == MB_PLACE_METATABLES) {
    if (mb_push_place(L, (int)lua_tointeger(L, name) - 1, MB_PLACE_FOUND) && lua_getmetatable(L, -1))
      lua_replace(L, top + 1);
  } else if (mb_push_place(L, place, MB_PLACE_FOUND)) {
    lua_pushvalue(L, name);
    lua_rawget(L, top + 1);
    lua_replace(L, top + 1);
  }
  lua_settop(L, top + 1);
}

/* Compare what the tables hold that are values of the place's names and have been published by this heap. */
static void compare_contents(struct mb_changes *c, int place) {
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
      note(c, place, name, name + 1, THE_SAME);
    }
    lua_settop(L, name);
  }
  lua_settop(L, contents - 1);
}

void mb_replica_compare_contents(struct mb_changes *c) {
  for (int place = 0; place <= MB_PLACE_GLOBALS; place++)
    if (place != MB_PLACE_SEARCHERS) compare_contents(c, place);
}

static void compare_searchers(struct mb_changes *c) {
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
  if (!same) note(c, MB_PLACE_SEARCHERS, top + 3, top + 1, ANOTHER);
  lua_settop(L, top);
}

void mb_replica_compare(struct mb_changes *c) {
  struct mb_heap *h = c->h;
  lua_State *L = c->L;
  for (int place = 0; place < MB_PLACE_SEARCHERS; place++) {
    int there = mb_push_place(L, place, MB_PLACE_FOUND);
    if (!there && h->replica->known[place]) lua_newtable(L); /* a metatable that has been taken away */
    if (there || h->replica->known[place]) compare(c, place);
    if (place <= MB_PLACE_PACKAGE && mb_push_place(L, place, MB_PLACE_FOUND))
      compare_metatable(c, MB_PLACE_METATABLES, place + 1);
  }
  compare_searchers(c);
  if (h->owner) {
    lua_pushglobaltable(L);
    lua_pushvalue(L, -1);
    compare_metatable(c, MB_PLACE_GLOBALS_METATABLE, 1);
    compare(c, MB_PLACE_GLOBALS);
  }
}
