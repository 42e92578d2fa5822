/* Bytecode: what a scan finds, that it never reads beyond its input, and factories. */
#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

#include "code/bytecode.h"
#include "test/check.h"

static lua_State *L;

static void begin(void) {
  L = luaL_newstate();
  CHECK(L);
  luaL_openlibs(L);
}

static int append(lua_State *state, const void *p, size_t size, void *data) {
  struct {
    char bytes[1 << 16];
    size_t size;
  } *out = data;
  (void)state;
  CHECK(out->size + size <= sizeof out->bytes);
  memcpy(out->bytes + out->size, p, size);
  out->size += size;
  return 0;
}

static struct {
  char bytes[1 << 16];
  size_t size;
} dump;

/* Dump what the source returns. */
static void dump_of(const char *source, int strip) {
  CHECK(luaL_dostring(L, source) == LUA_OK);
  dump.size = 0;
  CHECK(lua_dump(L, append, &dump, strip) == 0);
  lua_settop(L, 0);
}

static const struct mb_code_name *name_of(const struct mb_code *c, const char *name) {
  for (uint32_t i = 0; i < c->name_count; i++)
    if (c->names[i].len == strlen(name) && memcmp(c->names[i].s, name, strlen(name)) == 0) return &c->names[i];
  return NULL;
}

TEST(a_scan_finds_names_and_environments) {
  struct mb_code *c;
  begin();
  dump_of("local up = 1 return function() a = b; local function f() return c.d + up end return f end", 0);
  CHECK(mb_code_scan(dump.bytes, dump.size, &c) == 0 && c->upvalue_count == 2 && c->name_count == 3);
  CHECK(name_of(c, "a")->written && !name_of(c, "a")->read && name_of(c, "b")->read && name_of(c, "c"));
  CHECK(c->upvalues[0].is_env + c->upvalues[1].is_env == 1);
  mb_code_free(c);

  dump_of("return function() local _ENV = {} x = y end", 0); /* another environment: none of ours */
  CHECK(mb_code_scan(dump.bytes, dump.size, &c) == 0 && c->name_count == 0);
  mb_code_free(c);

  dump_of("return function() local e = _ENV return e.x end", 0);
  CHECK(mb_code_scan(dump.bytes, dump.size, &c) == 0 && c->upvalues[0].dynamic);
  mb_code_free(c);

  dump_of("return function() return x end", 1); /* stripped: names of upvalues are gone, keys are not */
  CHECK(mb_code_scan(dump.bytes, dump.size, &c) == 0 && !c->upvalues[0].named && name_of(c, "x"));
  mb_code_free(c);

  /* More constants than an index has room for: the names are found all the same. */
  dump_of("local s = {'return function() local t = {'} for i = 1, 400 do s[#s + 1] = i .. '.5,' end "
          "s[#s + 1] = '} return far_away end' return load(table.concat(s))()", 0);
  CHECK(mb_code_scan(dump.bytes, dump.size, &c) == 0 && name_of(c, "far_away"));
  mb_code_free(c);
  lua_close(L);
}

TEST(damaged_bytecode_is_refused_and_nothing_is_read_beyond_it) {
  struct mb_code *c;
  begin();
  dump_of("local u return function(...) local x <const> = 1.5 for i = 1, 2 do g(u, 'text', ...) end "
          "return function() h = i end end", 0);
  for (size_t size = 0; size < dump.size; size++) {
    char *exact = malloc(size ? size : 1); /* so that a read beyond is seen by a sanitizer */
    CHECK(exact);
    memcpy(exact, dump.bytes, size);
    CHECK(mb_code_scan(exact, size, &c) == MB_EFORMAT && c == NULL);
    free(exact);
  }
  for (int round = 0; round < 20000; round++) {
    char *copy = malloc(dump.size);
    CHECK(copy);
    memcpy(copy, dump.bytes, dump.size);
    for (int i = 0; i < 3; i++) copy[check_random() % dump.size] = (char)check_random();
    if (mb_code_scan(copy, dump.size, &c) == 0) mb_code_free(c);
    free(copy);
  }
  lua_close(L);
}

TEST(a_factory_makes_closures_with_cells_of_their_own) {
  lua_Integer before;
  begin();
  CHECK(mb_bytecode_check(L) == 0 && lua_gettop(L) == 0);
  dump_of("local n = 0 return function(by) n = n + by return n end", 0);
  CHECK(mb_code_factory(L, dump.bytes, dump.size) == 0);
  for (int i = 0; i < 2; i++) { /* two closures with a cell each */
    lua_pushvalue(L, 1);
    lua_call(L, 0, 1);
    lua_pushinteger(L, 10 * i);
    lua_setupvalue(L, -2, 1);
  }
  for (int i = 0; i < 2; i++) {
    lua_pushvalue(L, 2 + i);
    lua_pushinteger(L, 1);
    lua_call(L, 1, 1);
    CHECK(lua_tointeger(L, -1) == 10 * i + 1);
  }
  lua_settop(L, 0);

  dump_of("return function()\n\n error('here') end", 0); /* lines are kept */
  CHECK(mb_code_factory(L, dump.bytes, dump.size) == 0);
  lua_call(L, 0, 1);
  lua_pushglobaltable(L);
  lua_setupvalue(L, -2, 1);
  CHECK(lua_pcall(L, 0, 0, 0) != LUA_OK && strstr(lua_tostring(L, -1), ":3: here"));
  lua_settop(L, 0);

  before = lua_gc(L, LUA_GCCOUNT, 0);
  CHECK(mb_code_factory(L, dump.bytes, 40) == MB_EFORMAT && lua_gettop(L) == 0);
  CHECK(lua_gc(L, LUA_GCCOUNT, 0) <= before + 64);
  lua_close(L);
}
