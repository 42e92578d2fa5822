/* Finding the names of values: see modules.h. */
#include <stdlib.h>
#include <string.h>

#include "code/library.h"
#include "code/modules_inside.h"
#include "heap/closing.h"

void mb_modules_set_name(struct mb_heap *h, lua_State *L, int table, int index, const char *name, size_t size) {
  index = lua_absindex(L, index);
  lua_pushvalue(L, index);
  lua_pushlstring(L, name, size);
  lua_rawset(L, table);
  mb_modules_mark(h, lua_topointer(L, index));
}

void mb_modules_note(struct mb_heap *h, lua_State *L, int named, int index, const char *name,
                 size_t size) {
  index = lua_absindex(L, index);
  lua_pushvalue(L, index);
  if (lua_rawget(L, named) == LUA_TNIL) mb_modules_set_name(h, L, named, index, name, size);
  lua_pop(L, 1);
}

int mb_modules_is_of_lua(const char *module) {
  static const char *const names[] = {"package", "coroutine", "table", "io",    "os",
                                      "string",  "math",      "utf8",  "debug", NULL};
  for (int i = 0; names[i]; i++)
    if (*names[i] == *module && strcmp(names[i], module) == 0) return 1; /* no call for most */
  return *module == '\0'; /* see standard.h */
}

/* Whether Lua's own searchpath(module, package[path]) finds a file. While the heap is opened, the one that is there
 * is. */
static int on_path(struct mb_heap *h, lua_State *L, const char *module, const char *path) {
  static const char name[] = "package\0searchpath";
  int top = lua_gettop(L), package = top + 1, function = top + 2, found = 0;
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushliteral(L, "package");
  lua_rawget(L, -2);
  lua_replace(L, package);
  mb_push_ref(h, L, MB_REF_STANDARD);
  lua_pushlstring(L, name, sizeof name - 1);
  lua_rawget(L, -2);
  lua_replace(L, function);
  if (lua_istable(L, package)) {
    if (lua_isnil(L, function)) {
      lua_pushliteral(L, "searchpath");
      lua_rawget(L, package);
      lua_replace(L, function);
    }
    lua_pushstring(L, module);
    lua_pushstring(L, path);
    if (lua_rawget(L, package) == LUA_TSTRING) found = lua_pcall(L, 2, 1, 0) == LUA_OK && lua_isstring(L, -1);
  }
  lua_settop(L, top);
  return found;
}

/* Whether a file stands behind a module's name. */
static int has_file(struct mb_heap *h, lua_State *L, const char *module) {
  const char *dot = strchr(module, '.');
  int has = on_path(h, L, module, "path") || on_path(h, L, module, "cpath");
  if (!has && dot) { /* a part of a C library that is one file */
    lua_pushlstring(L, module, (size_t)(dot - module));
    has = on_path(h, L, lua_tostring(L, -1), "cpath");
    lua_pop(L, 1);
  }
  return has;
}

/* Whether one of package.searchers finds a module. Runs their code. */
static int is_found(struct mb_heap *h, lua_State *L, const char *module) {
  int top = lua_gettop(L), found = 0;
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushliteral(L, "package");
  if (lua_rawget(L, -2) == LUA_TTABLE) {
    lua_pushliteral(L, "searchers");
    if (lua_rawget(L, -2) == LUA_TTABLE) {
      for (lua_Integer i = 1; !found && lua_rawgeti(L, top + 3, i) != LUA_TNIL; i++) {
        lua_pushstring(L, module);
        found = mb_pcall(h, L, 1, 1) == LUA_OK && lua_isfunction(L, -1);
        lua_settop(L, top + 3);
      }
    }
  }
  lua_settop(L, top);
  return found;
}

int mb_modules_exists(struct mb_heap *h, lua_State *L, const char *module) {
  int top = lua_gettop(L), loaded;
  luaL_checkstack(L, 10, NULL);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, module);
  loaded = lua_toboolean(L, -1) || (mb_library_is_name(module) && mb_library_loaded(h, L, module));
  lua_settop(L, top);
  return loaded || has_file(h, L, module) || is_found(h, L, module);
}

static int is_backed(struct mb_heap *h, lua_State *L, const char *module) {
  int backed;
  if (mb_modules_is_of_lua(module)) return 1;
  mb_push_ref(h, L, MB_REF_BACKED);
  lua_pushstring(L, module);
  if (lua_rawget(L, -2) == LUA_TNIL) {
    backed = has_file(h, L, module);
    lua_pushstring(L, module);
    lua_pushboolean(L, backed);
    lua_rawset(L, -4);
  } else {
    backed = lua_toboolean(L, -1);
  }
  lua_pop(L, 2);
  return backed;
}

/* A full userdata: its address is nobody else's. */
static int is_object(lua_State *L, int index) {
  return lua_type(L, index) == LUA_TUSERDATA;
}

/* A table that is there for its identity: empty, with a metatable. */
static int is_sentinel(lua_State *L, int index) {
  if (!lua_istable(L, index) || !lua_getmetatable(L, index)) return 0;
  lua_pop(L, 1);
  lua_pushnil(L);
  if (!lua_next(L, index)) return 1;
  lua_pop(L, 2);
  return 0;
}

int mb_modules_is_constant(lua_State *L, int index) { return is_object(L, index) || is_sentinel(L, index); }

struct scan {
  struct mb_heap *h;
  lua_State *L;
  int named, constants; /* stack indices of the tables */
};

const char *mb_modules_field_name(lua_State *L, const char *module, int key, size_t *size) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  luaL_addstring(&b, module);
  luaL_addchar(&b, '\0');
  lua_pushvalue(L, key);
  luaL_addvalue(&b);
  luaL_pushresult(&b);
  return lua_tolstring(L, -1, size);
}

/* Whether Lua's library has the value at `index` under the name on the top of the stack. While the heap is opened,
 * whatever is there is. */
static int is_standard(struct scan *k, int index) {
  lua_State *L = k->L;
  int is;
  mb_push_ref(k->h, L, MB_REF_STANDARD);
  lua_pushvalue(L, -2);
  if (k->h->modules->settling) {
    lua_pushvalue(L, index);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    return 1;
  }
  lua_rawget(L, -2);
  is = lua_rawequal(L, -1, index);
  lua_pop(L, 2);
  return is;
}

/* Name the fields of the module table on the top of the stack. What a program puts into the tables of Lua's library is
 * no module's: it travels by value, or by the name that it has elsewhere. Constants count as they are when the module
 * is first seen: what is put there later is nobody else's. */
static void note_fields(struct scan *k, const char *module) {
  lua_State *L = k->L;
  int table = lua_gettop(L), of_lua = mb_modules_is_of_lua(module), fresh;
  lua_pushvalue(L, table);
  fresh = lua_rawget(L, k->constants) == LUA_TNIL;
  if (fresh) {
    lua_pushvalue(L, table);
    lua_pushboolean(L, 0);
    lua_rawset(L, k->constants);
  }
  lua_settop(L, table);
  lua_pushnil(L);
  while (lua_next(L, table)) {
    int key = table + 1, value = table + 2;
    if (lua_type(L, key) == LUA_TSTRING) {
      int code = of_lua ? lua_iscfunction(L, value) : lua_isfunction(L, value) || lua_istable(L, value);
      int constant = fresh && !of_lua && mb_modules_is_constant(L, value);
      if (code || constant) {
        size_t size;
        const char *name = mb_modules_field_name(L, module, key, &size);
        if (code && (!of_lua || is_standard(k, value))) mb_modules_note(k->h, L, k->named, value, name, size);
        if (constant) mb_modules_note(k->h, L, k->constants, value, name, size);
      }
    }
    lua_settop(L, key);
  }
}

/* One of package.loaded's names. Modules that were loaded earlier come first, Lua's own before all. */
struct entry {
  const char *name;
  lua_Integer order;
};

static int by_order(const void *a, const void *b) {
  const struct entry *x = a, *y = b;
  if (x->order != y->order) return x->order < y->order ? -1 : 1;
  return strcmp(x->name, y->name);
}

/* Push an array of the names in the table at `loaded`, in order, and what keeps their text alive. */
static struct entry *push_entries(struct scan *k, int loaded, size_t *count) {
  lua_State *L = k->L;
  struct entry *list;
  int names, order;
  lua_Integer n = 0;
  lua_newtable(L);
  names = lua_gettop(L);
  mb_push_ref(k->h, L, MB_REF_ORDER);
  order = names + 1;
  lua_pushnil(L);
  while (lua_next(L, loaded)) {
    if (lua_type(L, -2) == LUA_TSTRING) {
      lua_pushvalue(L, -2);
      lua_rawseti(L, names, ++n);
    }
    lua_pop(L, 1);
  }
  list = lua_newuserdatauv(L, ((size_t)n + 1) * sizeof *list, 0);
  for (lua_Integer i = 0; i < n; i++) {
    lua_rawgeti(L, names, i + 1);
    list[i].name = lua_tostring(L, -1);
    lua_pushvalue(L, -1);
    list[i].order = lua_rawget(L, order) == LUA_TNUMBER ? lua_tointeger(L, -1) : -!!mb_modules_is_of_lua(list[i].name);
    lua_pop(L, 2);
  }
  qsort(list, (size_t)n, sizeof *list, by_order);
  lua_remove(L, order);
  *count = (size_t)n;
  return list;
}

/* Whether `name` is among the parts of a module's names. */
static int has_part(const char *names, const char *name) {
  size_t size = strlen(name);
  for (const char *at = names; at; at = strchr(at, MB_NAME_AND)) {
    at += *at == MB_NAME_AND;
    if (strncmp(at, name, size) == 0 && (at[size] == '\0' || at[size] == MB_NAME_AND)) return 1;
  }
  return 0;
}

/* The value on the top of the stack is also module `name`: whoever loads it elsewhere loads all, in this order, since
 * each may have added to it. */
static void note_module(struct scan *k, const char *name) {
  lua_State *L = k->L;
  int value = lua_gettop(L);
  size_t size;
  const char *names;
  lua_pushvalue(L, value);
  lua_rawget(L, k->named);
  names = lua_tolstring(L, -1, &size);
  if (!names || strlen(names) < size) { /* no name, or that of a field */
    mb_modules_set_name(k->h, L, k->named, value, name, strlen(name));
  } else if (!has_part(names, name) && size + 1 + strlen(name) <= MB_NAME_MOST) {
    names = lua_pushfstring(L, "%s%c%s", names, MB_NAME_AND, name);
    mb_modules_set_name(k->h, L, k->named, value, names, strlen(names));
  }
  lua_settop(L, value);
}

/* Whether what package.loaded has under this name, on the top of the stack, is the module that its loader made, and a
 * file stands behind it. */
static int is_module(struct scan *k, const char *name) {
  lua_State *L = k->L;
  int value = lua_gettop(L), replaced;
  if (!lua_istable(L, value) && !lua_isfunction(L, value) && !is_object(L, value)) return 0;
  mb_push_ref(k->h, L, MB_REF_ORDER);
  mb_push_ref(k->h, L, MB_REF_ORIGINS);
  lua_getfield(L, value + 2, name); /* nil, too, when that has been collected */
  replaced = lua_getfield(L, value + 1, name) != LUA_TNIL && !lua_rawequal(L, value + 3, value);
  lua_settop(L, value);
  return !replaced && is_backed(k->h, L, name);
}

/* Name the modules in the table at `loaded`, then what is in them: a module that is another's field has a name of its
 * own. */
static void scan_loaded(struct scan *k, int loaded, int (*is)(struct scan *, const char *)) {
  lua_State *L = k->L;
  int top = lua_gettop(L);
  size_t count;
  const struct entry *list = push_entries(k, loaded, &count);
  for (size_t i = 0; i < count; i++) {
    lua_getfield(L, loaded, list[i].name);
    if (is(k, list[i].name)) note_module(k, list[i].name);
    lua_pop(L, 1);
  }
  for (size_t i = 0; i < count; i++) {
    lua_getfield(L, loaded, list[i].name);
    if (lua_istable(L, -1)) {
      size_t size;
      const char *names;
      lua_pushvalue(L, -1);
      lua_rawget(L, k->named);
      names = lua_tolstring(L, -1, &size); /* the table keeps it */
      lua_pop(L, 1);
      if (names && strlen(names) == size && has_part(names, list[i].name)) note_fields(k, names);
    }
    lua_pop(L, 1);
  }
  lua_settop(L, top);
}

/* Forget what is known of the names, keys of a table of the heap's, that are not in the table at `loaded`: whoever
 * loads a module of such a name makes it known again. */
static void forget_others(struct scan *k, enum mb_heap_ref ref, int loaded) {
  lua_State *L = k->L;
  int table = lua_gettop(L) + 1;
  mb_push_ref(k->h, L, ref);
  lua_pushnil(L);
  while (lua_next(L, table)) {
    lua_settop(L, table + 1);
    lua_pushvalue(L, table + 1);
    if (lua_rawget(L, loaded) == LUA_TNIL) {
      lua_pushvalue(L, table + 1);
      lua_pushnil(L);
      lua_rawset(L, table); /* may be done to a field while the table is traversed */
    }
    lua_settop(L, table + 1);
  }
  lua_settop(L, table - 1);
}

static int is_table(struct scan *k, const char *name) {
  (void)name;
  return lua_istable(k->L, -1);
}

void mb_modules_scan(struct mb_heap *h, lua_State *L) {
  struct scan k = {.h = h, .L = L};
  int top = lua_gettop(L);
  luaL_checkstack(L, 30, NULL);
  h->modules->stale = 0;
  lua_newtable(L); /* modules may have been loaded anew: names lead to what is there now */
  lua_rawseti(L, LUA_REGISTRYINDEX, h->ref[MB_REF_RESOLVED]);
  mb_push_ref(h, L, MB_REF_NAMED);
  mb_push_ref(h, L, MB_REF_CONSTANTS);
  k.named = top + 1;
  k.constants = top + 2;
  mb_push_ref(h, L, MB_REF_BASE);
  note_fields(&k, "_G");
  mb_push_ref(h, L, MB_REF_OWN_MODULES);
  scan_loaded(&k, lua_gettop(L), is_table);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  scan_loaded(&k, lua_gettop(L), is_module);
  forget_others(&k, MB_REF_ORDER, lua_gettop(L));
  forget_others(&k, MB_REF_BACKED, lua_gettop(L));
  h->modules->known = h->modules->count;
  lua_settop(L, top);
}
