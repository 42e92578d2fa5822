
#include <stdlib.h>
#include <string.h>

#include "code/modules_inside.h"
#include "heap/errors.h"

enum {
  MOST_SOURCES = 1 << 14,
  MOST_UNKNOWN = 1000 /* modules that are loaded without being scanned: their names are kept meanwhile */
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

void mb_modules_set_standard(struct mb_heap *h, lua_State *L, int index, const char *module, const char *field) {
  size_t size;
  int top = lua_gettop(L);
  index = lua_absindex(L, index);
  mb_push_ref(h, L, MB_REF_STANDARD);
  lua_pushstring(L, field);
  (void)mb_modules_field_name(L, module, top + 2, &size);
  lua_pushvalue(L, index);
  lua_rawset(L, top + 1);
  lua_settop(L, top);
}

void mb_modules_settle(struct mb_heap *h, lua_State *L) {
  h->modules->settling = 1;
  mb_modules_scan(h, L);
  h->modules->settling = 0;
}

void mb_modules_refresh(struct mb_heap *h, lua_State *L) {
  if (h->modules->stale) mb_modules_scan(h, L);
}

int mb_modules_name(struct mb_heap *h, lua_State *L, int index, enum mb_serves as) {
  size_t size;
  const char *name;
  mb_modules_refresh(h, L);
  if (!mb_modules_marked(h, lua_topointer(L, index))) return 0;
  index = lua_absindex(L, index);
  mb_push_ref(h, L, MB_REF_NAMED);
  lua_pushvalue(L, index);
  lua_rawget(L, -2);
  lua_remove(L, -2);
  name = lua_tolstring(L, -1, &size);
  if (name && (as == MB_AS_METATABLE || !lua_istable(L, index) || strlen(name) == size)) return 1;
  lua_pop(L, 1);
  if (lua_isfunction(L, index)) return 0;
  mb_push_ref(h, L, MB_REF_CONSTANTS);
  lua_pushvalue(L, index);
  lua_rawget(L, -2);
  lua_remove(L, -2);
  if (lua_type(L, -1) == LUA_TSTRING) return 1;
  lua_pop(L, 1);
  return 0;
}

void mb_modules_first_name(lua_State *L) {
  size_t size;
  const char *name = lua_tolstring(L, -1, &size), *field = name + strlen(name), *end = strchr(name, MB_NAME_AND);
  if (!end) return;
  lua_pushlstring(L, name, (size_t)(end - name));
  lua_pushlstring(L, field, size - (size_t)(field - name));
  lua_concat(L, 2);
  lua_remove(L, -2);
}

int mb_modules_module(struct mb_heap *h, lua_State *L, int index) {
  const char *names, *last;
  size_t size;
  if (!mb_modules_name(h, L, index, MB_AS_VALUE)) return 0;
  names = lua_tolstring(L, -1, &size);
  if (strlen(names) < size) { /* a constant */
    lua_pop(L, 1);
    return 0;
  }
  last = strrchr(names, MB_NAME_AND);
  if (last) {
    lua_pushstring(L, last + 1);
    lua_remove(L, -2);
  }
  return 1;
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
    if (mb_map_put(&m->sources, source, 1) != 0) mb_no_memory(L);
  }
  if (m->scanned == h->encodings) return 0; /* what is there has its name by now */
  m->scanned = h->encodings;
  mb_modules_scan(h, L);
  return 1;
}

void mb_modules_alias(struct mb_heap *h, lua_State *L, int index, const char *module,
                      const char *field) {
  const char *name;
  size_t size;
  index = lua_absindex(L, index);
  mb_push_ref(h, L, MB_REF_NAMED);
  if (field) {
    lua_pushstring(L, field);
    name = mb_modules_field_name(L, module, lua_gettop(L), &size);
  } else {
    name = lua_pushstring(L, module);
    size = strlen(name);
  }
  mb_modules_note(h, L, field ? lua_gettop(L) - 2 : lua_gettop(L) - 1, index, name, size);
  lua_pop(L, field ? 3 : 2);
}

void mb_modules_declare(struct mb_heap *h, lua_State *L, int index, const char *module, const char *field) {
  size_t size;
  const char *name;
  int table;
  index = lua_absindex(L, index);
  mb_push_ref(h, L, lua_isfunction(L, index) ? MB_REF_NAMED : MB_REF_CONSTANTS);
  table = lua_gettop(L);
  lua_pushstring(L, field);
  name = mb_modules_field_name(L, module, table + 1, &size);
  mb_modules_set_name(h, L, table, index, name, size);
  lua_settop(L, table - 1);
}

void mb_modules_withdraw(struct mb_heap *h, lua_State *L, int index) {
  index = lua_absindex(L, index);
  mb_push_ref(h, L, lua_isfunction(L, index) ? MB_REF_NAMED : MB_REF_CONSTANTS);
  lua_pushvalue(L, index);
  lua_pushnil(L);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

/* Whether the table on the top of the stack has constants of its own. */
static int has_constants(lua_State *L) {
  int table = lua_gettop(L), has = 0;
  if (!lua_istable(L, table)) return 0;
  lua_pushnil(L);
  while (!has && lua_next(L, table)) {
    has = lua_type(L, -2) == LUA_TSTRING && mb_modules_is_constant(L, table + 2);
    lua_settop(L, table + 1);
  }
  lua_settop(L, table);
  return has;
}

void mb_modules_note_loaded(struct mb_heap *h, lua_State *L, const char *module) {
  luaL_checkstack(L, 10, NULL);
  mb_push_ref(h, L, MB_REF_ORIGINS);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, module);
  mb_push_ref(h, L, MB_REF_ORDER);
  lua_pushinteger(L, ++h->modules->count);
  lua_setfield(L, -2, module);
  lua_pop(L, 2);
  if (has_constants(L) || h->modules->count - h->modules->known > MOST_UNKNOWN)
    mb_modules_scan(h, L);
  else
    mb_modules_invalidate(h);
}
