#include "heap/table_layout.h"

atomic_int mb_table_layout;

/* Whether the table at `index`, {10, 20.5, false, true, name, light userdata, nil} with `metatable`, is where it is
 * thought to be. */
static int items_fit(lua_State *L, int index, const void *metatable, const void *name, const void *light) {
  const struct mb_table *t = lua_topointer(L, index);
  const struct mb_table_item *i = t->items;
  return t->metatable == metatable && !mb_table_has_fields(t) && mb_table_items(t) == 7 &&
         i[0].type == MB_TYPE_INTEGER && i[0].value.integer == 10 && i[1].type == MB_TYPE_FLOAT &&
         i[1].value.number == 20.5 && i[2].type == MB_TYPE_FALSE && i[3].type == MB_TYPE_TRUE &&
         i[4].type == MB_TYPE_SHORT_STRING && i[4].value.object == name && i[5].type == MB_TYPE_LIGHT &&
         i[5].value.object == light && (i[6].type & MB_TYPE_BITS) == LUA_TNIL;
}

/* The same for its only field, name = true. */
static int field_fits(lua_State *L, int index, const void *name) {
  const struct mb_table *t = lua_topointer(L, index);
  return mb_table_has_fields(t) && t->field_bits == 0 && t->fields->key.object == name &&
         (t->fields->key_type & MB_TYPE_BITS) == LUA_TSTRING && (t->fields->type & MB_TYPE_BITS) == LUA_TBOOLEAN;
}

static int try_out(lua_State *L) {
  static char light;
  const void *name;
  int top = lua_gettop(L), ok;
  lua_createtable(L, 7, 0);
  lua_createtable(L, 0, 0);
  lua_pushvalue(L, -1);
  lua_setmetatable(L, top + 1);
  lua_pushinteger(L, 10);
  lua_rawseti(L, top + 1, 1);
  lua_pushnumber(L, 20.5);
  lua_rawseti(L, top + 1, 2);
  for (int i = 0; i < 2; i++) {
    lua_pushboolean(L, i);
    lua_rawseti(L, top + 1, 3 + i);
  }
  lua_pushliteral(L, "name");
  name = lua_topointer(L, -1);
  lua_rawseti(L, top + 1, 5);
  lua_pushlightuserdata(L, &light);
  lua_rawseti(L, top + 1, 6);
  ok = items_fit(L, top + 1, lua_topointer(L, top + 2), name, &light);
  if (ok) {
    lua_pushliteral(L, "name");
    lua_pushboolean(L, 1);
    lua_rawset(L, top + 1);
    ok = field_fits(L, top + 1, name);
  }
  lua_settop(L, top);
  return ok;
}

int mb_table_layout_try(lua_State *L) {
  int known = try_out(L);
  atomic_store_explicit(&mb_table_layout, known ? MB_LAYOUT_KNOWN : MB_LAYOUT_OTHER, memory_order_relaxed);
  return known;
}
