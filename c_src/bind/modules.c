#include "modules.h"

#include <stdlib.h>
#include <string.h>

#include "closing.h"
#include "hash.h"
#include "map.h"

enum { FILTER_BITS = 1 << 16, MOST_SOURCES = 1 << 14 };

struct mb_modules {
  uint64_t filter[FILTER_BITS / 64]; /* a bit for every object with a name: most have none */
  struct mb_map sources;             /* chunk names (by address) seen when modules were looked through */
  uint64_t looked;                   /* the encoding (h->encodings) in which they were looked through for an unseen function */
  int stale;
  int settling; /* the heap is being opened */
};

struct mb_modules *mb_modules_new(void) {
  struct mb_modules *m = calloc(1, sizeof *m);
  if (m) m->stale = 1;
  return m;
}

void mb_modules_free(struct mb_modules *m) {
  if (!m) return;
  mb_map_deinit(&m->sources);
  free(m);
}

void mb_modules_touch(struct mb_heap *h) { h->modules->stale = 1; }

static uint32_t bit_of(const void *object) {
  return (uint32_t)mb_hash_u64((uint64_t)(uintptr_t)object) & (FILTER_BITS - 1);
}

void mb_modules_mark(struct mb_heap *h, const void *table) {
  uint32_t bit = bit_of(table);
  h->modules->filter[bit / 64] |= 1ull << (bit % 64);
}

int mb_modules_marked(const struct mb_heap *h, const void *object) {
  uint32_t bit = bit_of(object);
  return (h->modules->filter[bit / 64] >> (bit % 64)) & 1;
}

/* named[value at index] = name, unless the value has a name already. */
static void note(struct mb_heap *h, lua_State *L, int named, int index, const char *name,
                 size_t size) {
  index = lua_absindex(L, index);
  lua_pushvalue(L, index);
  if (lua_rawget(L, named) == LUA_TNIL) {
    lua_pushvalue(L, index);
    lua_pushlstring(L, name, size);
    lua_rawset(L, named);
    mb_modules_mark(h, lua_topointer(L, index));
  }
  lua_pop(L, 1);
}

int mb_modules_is_of_lua(const char *module) {
  static const char *const names[] = {"package", "coroutine", "table", "io",    "os",
                                      "string",  "math",      "utf8",  "debug", NULL};
  for (int i = 0; names[i]; i++)
    if (strcmp(names[i], module) == 0) return 1;
  return 0;
}

static int is_standard(const char *module) {
  if (mb_modules_is_of_lua(module)) return 1;
  return strncmp(module, "moonbeam", 8) == 0 && (module[8] == '\0' || module[8] == '.');
}

/* package.searchpath(module, package[path]) finds a file. */
static int on_path(lua_State *L, const char *module, const char *path) {
  int found = 0;
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, "package");
  lua_remove(L, -2);
  if (lua_istable(L, -1)) {
    lua_getfield(L, -1, "searchpath");
    lua_pushstring(L, module);
    if (lua_getfield(L, -3, path) == LUA_TSTRING && lua_pcall(L, 2, 1, 0) == LUA_OK)
      found = lua_isstring(L, -1);
    else
      lua_settop(L, lua_gettop(L) - 2);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return found;
}

static int is_backed(struct mb_heap *h, lua_State *L, const char *module) {
  const char *dot = strchr(module, '.');
  int backed;
  if (is_standard(module)) return 1;
  mb_push_ref(h, L, MB_REF_BACKED);
  lua_pushstring(L, module);
  if (lua_rawget(L, -2) == LUA_TNIL) {
    backed = on_path(L, module, "path") || on_path(L, module, "cpath");
    if (!backed && dot) { /* a part of a C library that is one file */
      lua_pushlstring(L, module, (size_t)(dot - module));
      backed = on_path(L, lua_tostring(L, -1), "cpath");
      lua_pop(L, 1);
    }
    lua_pushstring(L, module);
    lua_pushboolean(L, backed);
    lua_rawset(L, -4);
  } else {
    backed = lua_toboolean(L, -1);
  }
  lua_pop(L, 2);
  return backed;
}

/* Whether the value at `index` is the function that Lua's library has under the name at the top of the stack. While the heap
 * is opened, whatever is there is. */
static int is_standard_function(struct mb_heap *h, lua_State *L, int index) {
  int is;
  mb_push_ref(h, L, MB_REF_STANDARD);
  lua_pushvalue(L, -2);
  if (h->modules->settling) {
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
 * no module's: it travels by value, or by the name that it has elsewhere. */
static void note_fields(struct mb_heap *h, lua_State *L, int named, const char *module) {
  int table = lua_gettop(L), of_lua = mb_modules_is_of_lua(module);
  lua_pushnil(L);
  while (lua_next(L, table)) {
    if (lua_type(L, -2) == LUA_TSTRING &&
        (of_lua ? lua_iscfunction(L, -1) : lua_isfunction(L, -1) || lua_istable(L, -1))) {
      luaL_Buffer b;
      size_t size;
      const char *field = lua_tolstring(L, -2, &size), *name;
      int value = lua_gettop(L);
      luaL_buffinit(L, &b);
      luaL_addstring(&b, module);
      luaL_addchar(&b, '\0');
      lua_pushvalue(L, value - 1);
      luaL_addvalue(&b);
      (void)field;
      luaL_pushresult(&b);
      name = lua_tolstring(L, -1, &size);
      if (!of_lua || is_standard_function(h, L, value)) note(h, L, named, value, name, size);
      lua_settop(L, value);
    }
    lua_pop(L, 1);
  }
}

static void look_through(struct mb_heap *h, lua_State *L) {
  int named, loaded;
  luaL_checkstack(L, 20, NULL);
  h->modules->stale = 0;
  lua_newtable(L); /* modules may have been loaded anew: names lead to what is there now */
  lua_rawseti(L, LUA_REGISTRYINDEX, h->ref[MB_REF_RESOLVED]);
  mb_push_ref(h, L, MB_REF_NAMED);
  named = lua_gettop(L);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  loaded = lua_gettop(L);
  /* First the modules themselves: a module that is another's field has a name of its own. */
  lua_pushnil(L);
  while (lua_next(L, loaded)) {
    if (lua_type(L, -2) == LUA_TSTRING && (lua_istable(L, -1) || lua_isfunction(L, -1))) {
      size_t size;
      const char *module = lua_tolstring(L, -2, &size);
      if (strcmp(module, "_G") != 0 && is_backed(h, L, module)) note(h, L, named, -1, module, size);
    }
    lua_pop(L, 1);
  }
  lua_pushnil(L);
  while (lua_next(L, loaded)) {
    if (lua_type(L, -2) == LUA_TSTRING && lua_istable(L, -1)) {
      const char *module = lua_tostring(L, -2);
      if (strcmp(module, "_G") == 0) {
        mb_push_ref(h, L, MB_REF_BASE);
        note_fields(h, L, named, "_G");
        lua_pop(L, 1);
      } else if (is_backed(h, L, module)) {
        note_fields(h, L, named, module);
      }
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 2);
}

/* Push "module\0field". */
static void push_name(lua_State *L, const char *module, const char *field) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  luaL_addlstring(&b, module, strlen(module) + (field ? 1 : 0));
  if (field) luaL_addstring(&b, field);
  luaL_pushresult(&b);
}

void mb_modules_set_standard(struct mb_heap *h, lua_State *L, int index, const char *module, const char *field) {
  index = lua_absindex(L, index);
  mb_push_ref(h, L, MB_REF_STANDARD);
  push_name(L, module, field);
  lua_pushvalue(L, index);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

void mb_modules_settle(struct mb_heap *h, lua_State *L) {
  h->modules->settling = 1;
  look_through(h, L);
  h->modules->settling = 0;
}

void mb_modules_refresh(struct mb_heap *h, lua_State *L) {
  if (h->modules->stale) look_through(h, L);
}

int mb_modules_name(struct mb_heap *h, lua_State *L, int index, int metatable) {
  mb_modules_refresh(h, L);
  if (!mb_modules_marked(h, lua_topointer(L, index))) return 0;
  index = lua_absindex(L, index);
  mb_push_ref(h, L, MB_REF_NAMED);
  lua_pushvalue(L, index);
  lua_rawget(L, -2);
  lua_remove(L, -2);
  if (lua_type(L, -1) == LUA_TSTRING) {
    size_t size;
    const char *name = lua_tolstring(L, -1, &size);
    /* A table that is only a field is data, unless it serves as a metatable. */
    if (metatable || !lua_istable(L, index) || strlen(name) == size) return 1;
  }
  lua_pop(L, 1);
  return 0;
}

int mb_modules_unseen(struct mb_heap *h, lua_State *L, int index) {
  lua_Debug ar;
  struct mb_modules *m = h->modules;
  uint64_t source;
  lua_pushvalue(L, index);
  lua_getinfo(L, ">S", &ar);
  source = (uint64_t)(uintptr_t)ar.source;
  if (ar.what[0] != 'C') {
    if (ar.source[0] != '@' && ar.source[0] != '=') return 0; /* a string that was loaded: no module's file */
    if (mb_map_get(&m->sources, source)) return 0;
    if (m->sources.count >= MOST_SOURCES) mb_map_deinit(&m->sources);
    if (mb_map_put(&m->sources, source, 1) != 0) luaL_error(L, "not enough memory");
  }
  if (m->looked == h->encodings) return 0; /* what is there has its name by now */
  m->looked = h->encodings;
  look_through(h, L);
  return 1;
}

/* Remember the value on the top of the stack, which stays there, as the one behind a name. */
static void remember(struct mb_heap *h, lua_State *L, const char *name, size_t size) {
  mb_push_ref(h, L, MB_REF_RESOLVED);
  lua_pushlstring(L, name, size);
  lua_pushvalue(L, -3);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

int mb_modules_loaded(struct mb_heap *h, lua_State *L, const char *name, size_t size) {
  size_t module = strnlen(name, size);
  int top = lua_gettop(L);
  if (module < size && mb_modules_is_of_lua(name)) { /* whatever the program has put there */
    mb_push_ref(h, L, MB_REF_STANDARD);
    lua_pushlstring(L, name, size);
    if (lua_rawget(L, top + 1) != LUA_TNIL) {
      lua_replace(L, top + 1);
      return 1;
    }
    lua_settop(L, top);
  }
  mb_push_ref(h, L, MB_REF_RESOLVED);
  lua_pushlstring(L, name, size);
  if (lua_rawget(L, top + 1) != LUA_TNIL) {
    lua_replace(L, top + 1);
    return 1;
  }
  if (module == 2 && strncmp(name, "_G", 2) == 0) {
    mb_push_ref(h, L, MB_REF_BASE);
  } else {
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_pushlstring(L, name, module);
    lua_rawget(L, -2);
  }
  if (lua_toboolean(L, -1) && module < size) {
    if (lua_istable(L, -1)) {
      lua_pushlstring(L, name + module + 1, size - module - 1);
      lua_rawget(L, -2);
    } else {
      lua_pushnil(L);
    }
  }
  if (!lua_toboolean(L, -1)) {
    lua_settop(L, top);
    return 0;
  }
  remember(h, L, name, size);
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
  return 1;
}

/* Push what require gives for a module. */
static void load_module(struct mb_heap *h, lua_State *L, const char *module) {
  mb_push_ref(h, L, MB_REF_REQUIRE);
  lua_pushstring(L, module);
  if (mb_pcall(h, L, 1, 1) != LUA_OK)
    luaL_error(L, "cannot receive: module '%s' cannot be loaded on scheduler %d: %s", module, (int)h->scheduler->id + 1,
               luaL_tolstring(L, -1, NULL));
  mb_modules_touch(h);
}

void mb_modules_resolve(struct mb_heap *h, lua_State *L, const char *name, size_t size) {
  size_t length = strnlen(name, size);
  int top = lua_gettop(L);
  const char *module, *field;
  if (mb_modules_loaded(h, L, name, size)) return;
  module = lua_pushlstring(L, name, length); /* `name` ends without a zero */
  if (strcmp(module, "_G") == 0) {
    mb_push_ref(h, L, MB_REF_BASE);
  } else {
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_pushvalue(L, top + 1);
    lua_rawget(L, -2);
    if (!lua_toboolean(L, -1)) load_module(h, L, module);
  }
  if (length < size) {
    if (!lua_istable(L, -1)) luaL_error(L, "cannot receive: module '%s' is no table", module);
    field = lua_pushlstring(L, name + length + 1, size - length - 1);
    lua_pushvalue(L, -1);
    lua_gettable(L, -3); /* it may not have been loaded yet: see lua_module.c */
    if (lua_isnil(L, -1))
      luaL_error(L, "cannot receive: module '%s' has no field '%s' on scheduler %d; what a process adds to a module "
                    "stays on its own", module, field, (int)h->scheduler->id + 1);
  }
  remember(h, L, name, size);
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
}

void mb_modules_alias(struct mb_heap *h, lua_State *L, int index, const char *module,
                      const char *field) {
  size_t size = strlen(module) + (field ? 1 + strlen(field) : 0);
  char *name = malloc(size + 1);
  index = lua_absindex(L, index);
  if (!name) luaL_error(L, "not enough memory");
  strcpy(name, module);
  if (field) strcpy(name + strlen(module) + 1, field);
  mb_push_ref(h, L, MB_REF_NAMED);
  note(h, L, lua_gettop(L), index, name, size);
  lua_pop(L, 1);
  free(name);
}
