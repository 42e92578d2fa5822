/* Adopting what other heaps have published: see replica.h. */
#include <string.h>

#include "codec/codec.h"
#include "heap/closing.h"
#include "heap/outside.h"
#include "log/log.h"
#include "replica/place.h"
#include "replica/publication.h"
#include "replica/replica.h"
#include "replica/replica_inside.h"
#include "replica/watch.h"

static void make_all_pending(struct mb_heap *h, lua_State *L);

/* The value of a name, both on the stack, becomes this heap's (nil: none). */
static void set(struct mb_heap *h, lua_State *L, int place, int name, int value) {
  int top = lua_gettop(L);
  if (mb_replica_is_of_script(place) && h->owner) return;
  if (place == MB_PLACE_SEARCHERS) {
    mb_place_set_searchers(h, L, value);
  } else if (place == MB_PLACE_METATABLES) {
    if (mb_push_place(L, (int)lua_tointeger(L, name) - 1, MB_PLACE_FOUND)) {
      lua_pushvalue(L, value);
      lua_setmetatable(L, -2);
    }
  } else if (place == MB_PLACE_GLOBALS_METATABLE) {
    lua_pushglobaltable(L);
    lua_pushvalue(L, value);
    lua_setmetatable(L, -2);
    make_all_pending(h, L); /* the one that did so when they were looked for is gone */
  } else if (mb_push_place(L, place, MB_PLACE_MADE)) {
    lua_pushvalue(L, name);
    if (mb_replica_is_path(L, place, name) && (lua_rawget(L, -2) != LUA_TSTRING || lua_isnil(L, value))) {
      lua_settop(L, top);
      return; /* a process of this scheduler wants require to fail */
    }
    lua_settop(L, top + 1);
    lua_pushvalue(L, name);
    lua_pushvalue(L, value);
    lua_rawset(L, -3);
    if (place == MB_PLACE_GLOBALS) {
      mb_push_ref(h, L, MB_REF_PENDING);
      lua_pushvalue(L, name);
      lua_pushnil(L);
      lua_rawset(L, -3);
    }
  }
  lua_settop(L, top);
  if (mb_replica_is_of_script(place)) return; /* only the first heap compares those */
  if (place == MB_PLACE_SEARCHERS)
    mb_place_push_searchers(h, L);
  else
    lua_pushvalue(L, value);
  mb_replica_know(h, L, place, name);
  mb_replica_push_known(h, L, -1 - place); /* its contents are the publisher's to compare */
  lua_pushvalue(L, name);
  lua_pushnil(L);
  lua_rawset(L, -3);
  lua_settop(L, top);
}

/* Adopt the list on the top of the stack (popped): all of it, or the names for which that of `text` is pending. */
static void set_list(struct mb_heap *h, lua_State *L, int text) {
  int list = lua_gettop(L);
  lua_Integer n = (lua_Integer)lua_rawlen(L, list);
  for (lua_Integer i = 1; i <= n; i += MB_REPLICA_STRIDE) {
    int wanted = 1;
    lua_rawgeti(L, list, i);
    lua_rawgeti(L, list, i + 1);
    lua_rawgeti(L, list, i + 2);
    if (lua_toboolean(L, -1))
      lua_rawgeti(L, list, i + 3);
    else
      lua_pushnil(L);
    if (text) {
      mb_push_ref(h, L, MB_REF_PENDING);
      lua_pushvalue(L, list + 2);
      lua_rawget(L, -2);
      wanted = lua_rawequal(L, -1, text);
      lua_pushglobaltable(L);
      lua_pushvalue(L, list + 2);
      wanted = wanted && lua_rawget(L, -2) == LUA_TNIL; /* a module may have set it meanwhile */
    }
    if (wanted) set(h, L, (int)lua_tointeger(L, list + 1), list + 2, list + 4);
    lua_settop(L, list);
  }
  lua_pop(L, 1);
}

/* Globals whose values name modules, made when they are first used: name -> encoded list. */

/* Decode the list, a string, at the top of the stack (popped). */
static void set_pending(struct mb_heap *h, lua_State *L) {
  int text = lua_gettop(L);
  mb_decode(h, L, (const unsigned char *)lua_tostring(L, text));
  set_list(h, L, text);
  lua_pop(L, 1);
}

/* resolve(heap, text) */
static int resolve(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  lua_settop(L, 2);
  set_pending(h, L);
  return 0;
}

static void complain(struct mb_heap *h, lua_State *L) {
  lua_pushfstring(L, "scheduler %d lacks what the program has changed elsewhere: %s", (int)h->scheduler->id + 1,
                  luaL_tolstring(L, -1, NULL));
  mb_log(h, L, MB_LOG_DEBUG);
  lua_pop(L, 2);
}

/* Make the pending global whose name is at `name`; 0 when there is none. */
static int make_pending(struct mb_heap *h, lua_State *L, int name) {
  int top = lua_gettop(L), status;
  mb_push_ref(h, L, MB_REF_PENDING);
  lua_pushvalue(L, name);
  if (lua_rawget(L, -2) != LUA_TSTRING) {
    lua_settop(L, top);
    return 0;
  }
  lua_pushcfunction(L, resolve);
  lua_pushlightuserdata(L, h);
  lua_pushvalue(L, top + 2);
  h->replicating++;
  status = lua_pcall(L, 2, 0, 0);
  h->replicating--;
  if (status != LUA_OK) complain(h, L);
  lua_pushvalue(L, name);
  lua_pushnil(L);
  lua_rawset(L, top + 1); /* a module that cannot be loaded is not asked for again */
  lua_settop(L, top);
  return 1;
}

static int global_index(lua_State *L) {
  struct mb_heap *h = mb_any_heap_of(L);
  luaL_checkstack(L, 20, NULL);
  if (!make_pending(h, L, 2)) return 0;
  lua_settop(L, 2);
  lua_rawget(L, 1);
  return 1;
}

static void make_all_pending(struct mb_heap *h, lua_State *L) {
  int top = lua_gettop(L);
  mb_push_ref(h, L, MB_REF_PENDING);
  for (lua_pushnil(L); lua_next(L, top + 1); lua_pushnil(L)) { /* from the start: others may have gone with it */
    lua_pop(L, 1);
    (void)make_pending(h, L, top + 2);
    lua_settop(L, top + 1);
  }
  lua_settop(L, top);
}

static int global_next(lua_State *L) {
  lua_settop(L, 2);
  return lua_next(L, 1) ? 2 : (lua_pushnil(L), 1);
}

static int global_pairs(lua_State *L) {
  luaL_checkstack(L, 20, NULL);
  make_all_pending(mb_any_heap_of(L), L);
  lua_pushcfunction(L, global_next);
  lua_pushvalue(L, 1);
  lua_pushnil(L);
  return 3;
}

/* Whether the metatable on the top of the stack is that of watch_globals. */
static int has_own_metatable(lua_State *L) {
  int is;
  lua_pushliteral(L, "__index");
  lua_rawget(L, -2);
  is = lua_tocfunction(L, -1) == global_index;
  lua_pop(L, 1);
  return is;
}

/* Let the globals be made when they are looked for; 0 when their metatable is the program's. */
static int watch_globals(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg methods[] = {{"__index", global_index}, {"__pairs", global_pairs}, {NULL, NULL}};
  int top = lua_gettop(L), ours = 1;
  lua_pushglobaltable(L);
  if (lua_getmetatable(L, -1)) {
    ours = has_own_metatable(L);
  } else {
    lua_newtable(L);
    lua_pushlightuserdata(L, h);
    luaL_setfuncs(L, methods, 1);
    lua_setmetatable(L, -2);
  }
  lua_settop(L, top);
  return ours;
}

/* The names, a list, are made of the text when they are first used. */
static void put_off(struct mb_heap *h, lua_State *L, int names, int text) {
  lua_Integer n = (lua_Integer)lua_rawlen(L, names);
  int top = lua_gettop(L), watched = watch_globals(h, L);
  lua_pushglobaltable(L);
  mb_push_ref(h, L, MB_REF_PENDING);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, names, i);
    lua_pushvalue(L, -1);
    lua_pushnil(L);
    lua_rawset(L, top + 1); /* the value it had */
    lua_pushvalue(L, text);
    lua_rawset(L, top + 2);
  }
  lua_settop(L, top);
  if (!watched) make_all_pending(h, L);
}

/* on_scheduler_start */

static int with_traceback(lua_State *L) {
  luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
  return 1;
}

static int configured(lua_State *L) {
  mb_configure_end(mb_any_heap_of(L));
  return 0;
}

void mb_replica_run_start(struct mb_heap *h, lua_State *L, int function) {
  luaL_checkstack(L, 8, NULL);
  function = lua_absindex(L, function);
  lua_newtable(L); /* by a to-be-closed variable, not protected: the traceback of an error is the caller's */
  lua_createtable(L, 0, 1);
  lua_pushlightuserdata(L, h);
  lua_pushcclosure(L, configured, 1);
  lua_setfield(L, -2, "__close");
  lua_setmetatable(L, -2);
  lua_pushvalue(L, function);
  lua_toclose(L, -2);
  mb_configure_begin(h);
  lua_call(L, 0, 0);
  lua_settop(L, -2);
}

static void run_start(struct mb_heap *h, lua_State *L, int place, int function) {
  int handler = lua_gettop(L) + 1, then = mb_unwinding(h), status;
  lua_pushcfunction(L, with_traceback);
  lua_pushvalue(L, function);
  mb_configure_begin(h);
  status = lua_pcall(L, 0, 0, handler);
  mb_configure_end(h);
  if (status != LUA_OK) {
    if (mb_unwinding_since(h, then)) mb_pass_on(h, L); /* the program ends */
    lua_pushfstring(L, "on_scheduler_start at %s failed on scheduler %d: %s", lua_tostring(L, place),
                    (int)h->scheduler->id + 1, lua_tostring(L, -1));
    mb_log(h, L, MB_LOG_ERROR);
  }
}

static int adopt(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  const struct mb_publication *p = lua_touserdata(L, 2);
  int first = lua_gettop(L) + 1;
  luaL_checkstack(L, 30, NULL);
  mb_replica_know_standard(h, L);
  mb_decode(h, L, p->bytes);
  if (p->kind == MB_REPLICA_NOW) {
    set_list(h, L, 0);
  } else if (p->kind == MB_REPLICA_START) {
    run_start(h, L, first, first + 1);
  } else if (!h->owner) {
    put_off(h, L, first, first + 1);
  }
  return 0;
}

void mb_replica_adopt(struct mb_heap *h, lua_State *L) {
  struct mb_publications *all = h->publications;
  struct mb_publication *p;
  if (h->replicating || h->closing || !mb_running(h) || !lua_checkstack(L, 12)) return;
  while ((p = mb_publication_after(all, h->adopted))) {
    h->adopted = p->version;
    h->replica->watching = 0; /* what has been noted is no longer what is known */
    if (p->origin != h->id && mb_replica_protected(h, L, adopt, p, 0) != LUA_OK) complain(h, L);
    mb_publication_release(p);
  }
}

/* Opening */

void mb_replica_open(struct mb_heap *h, lua_State *L) {
  luaL_checkstack(L, 12, NULL);
  h->adopt = mb_replica_adopt;
  if (!h->replica->watch_works) h->replica->watch_works = mb_table_watch_works(h->replica->watch, L);
  mb_place_note_searchers(h, L);
}
