/* Output: what one call of print, io.write or file:write writes stays together, whichever thread writes beside it. */
#include <lualib.h>
#include <stdio.h>

#include "api.h"
#include "modules.h"

/* print(...): one write of the whole line. No upvalues, as the library's has none. */
static int do_print(lua_State *L) {
  int n = lua_gettop(L);
  luaL_Buffer b;
  size_t size;
  const char *line;
  if (n == 1 && lua_type(L, 1) == LUA_TSTRING) {
    line = lua_tolstring(L, 1, &size);
    flockfile(stdout); /* partner: every thread that writes; no Lua inside */
    fwrite(line, 1, size, stdout);
    putc_unlocked('\n', stdout);
    fflush(stdout);
    funlockfile(stdout);
    return 0;
  }
  for (int i = 1; i <= n; i++) {
    luaL_tolstring(L, i, NULL);
    lua_replace(L, i);
  }
  luaL_buffinit(L, &b);
  for (int i = 1; i <= n; i++) {
    if (i > 1) luaL_addchar(&b, '\t');
    lua_pushvalue(L, i);
    luaL_addvalue(&b);
  }
  luaL_addchar(&b, '\n');
  luaL_pushresult(&b);
  line = lua_tolstring(L, -1, &size);
  flockfile(stdout);
  fwrite(line, 1, size, stdout);
  fflush(stdout);
  funlockfile(stdout);
  return 0;
}

/* Write the strings above the file, which is at stack index 1. */
static int write_all(lua_State *L) {
  luaL_Stream *stream = lua_touserdata(L, 1);
  int last = lua_gettop(L), ok = 1;
  flockfile(stream->f); /* partner: every thread that writes; nothing below raises */
  for (int i = 2; i <= last; i++) {
    size_t size;
    const char *text = lua_tolstring(L, i, &size);
    ok = fwrite(text, 1, size, stream->f) == size && ok;
  }
  funlockfile(stream->f);
  if (!ok) return luaL_fileresult(L, 0, NULL);
  lua_settop(L, 1);
  return 1;
}

/* Raises at the first value that is neither string nor number; numbers become the text that the library writes. */
static void check_strings(lua_State *L, int first) {
  for (int i = first; i <= lua_gettop(L); i++) {
    if (lua_type(L, i) == LUA_TNUMBER && !lua_isinteger(L, i)) {
      char text[64];
      lua_pushlstring(L, text, (size_t)snprintf(text, sizeof text, LUA_NUMBER_FMT, lua_tonumber(L, i)));
      lua_replace(L, i);
    } else {
      luaL_checkstring(L, i);
    }
  }
}

/* file:write(...); upvalue 1 is the library's, which knows what to say of what is no open file. */
static int file_write(lua_State *L) {
  luaL_Stream *stream = luaL_testudata(L, 1, LUA_FILEHANDLE);
  if (!stream || !stream->closef) return lua_tocfunction(L, lua_upvalueindex(1))(L);
  check_strings(L, 2);
  return write_all(L);
}

/* io.write(...); upvalue 1 as above. */
static int io_write(lua_State *L) {
  luaL_Stream *stream;
  check_strings(L, 1);
  lua_getfield(L, LUA_REGISTRYINDEX, "_IO_output");
  stream = luaL_testudata(L, -1, LUA_FILEHANDLE);
  if (!stream || !stream->closef) {
    lua_pop(L, 1);
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
  }
  lua_insert(L, 1);
  return write_all(L);
}

/* field of the table on the top of the stack, in place of the library's, which f keeps as its upvalue if it wants it. */
static void replace(struct mb_heap *h, lua_State *L, const char *module, const char *field, lua_CFunction f, int keeps) {
  if (lua_getfield(L, -1, field) == LUA_TFUNCTION && lua_iscfunction(L, -1)) {
    if (module) mb_modules_alias(h, L, -1, module, field);
    if (!keeps) lua_pop(L, 1);
    lua_pushcclosure(L, f, keeps);
    lua_setfield(L, -2, field);
  } else {
    lua_pop(L, 1);
  }
}

void mb_open_output(struct mb_heap *h, lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, "_G") == LUA_TTABLE) replace(h, L, "_G", "print", do_print, 0);
  lua_pop(L, 1);
  if (lua_getfield(L, -1, "io") == LUA_TTABLE) replace(h, L, "io", "write", io_write, 1);
  lua_pop(L, 1);
  if (luaL_getmetatable(L, LUA_FILEHANDLE) == LUA_TTABLE && lua_getfield(L, -1, "__index") == LUA_TTABLE) {
    replace(h, L, NULL, "write", file_write, 1);
    lua_pop(L, 1);
  }
  lua_pop(L, 2);
}
