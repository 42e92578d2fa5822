/* io.input and io.output: each process has default files of its own. The library keeps one of each in the registry;
 * there are those of the process which has used them last. Until a process has set one, all have the standard ones. */
#include <lualib.h>
#include <stdio.h>
#include <unistd.h>

#include "api/own.h"
#include "code/stand_in.h"
#include "heap/private.h"
#include "io/standard_input.h"
#include "io/ready.h"
#include "process/current.h"
#include "process/home.h"

static const char *const keys[] = {"_IO_input", "_IO_output"};

/* Push {input, output} as the library has them now. */
static void push_files(lua_State *L) {
  lua_createtable(L, 2, 0);
  for (int i = 0; i < 2; i++) {
    lua_getfield(L, LUA_REGISTRYINDEX, keys[i]);
    lua_rawseti(L, -2, i + 1);
  }
}

/* The library has those of the table on the top of the stack (popped). */
static void set_files(lua_State *L) {
  for (int i = 0; i < 2; i++) {
    lua_rawgeti(L, -1, i + 1);
    lua_setfield(L, LUA_REGISTRYINDEX, keys[i]);
  }
  lua_pop(L, 1);
}

void mb_use_files(struct mb_heap *h, lua_State *L) {
  struct mb_process *p = mb_running(h);
  mb_pid id = mb_own_id(p);
  int top = lua_gettop(L);
  if (!h->files->set || !h->scheduler || id == h->files->owner) return;
  luaL_checkstack(L, 6, NULL);
  if (!mb_push_own(h, L, id, p, MB_IF_MADE) || lua_rawgeti(L, -1, MB_PRIVATE_FILES) != LUA_TTABLE)
    mb_push_ref(h, L, MB_REF_STANDARD_FILES);
  set_files(L);
  lua_settop(L, top);
  h->files->owner = id;
}

/* The running process has what the library has now. */
static void keep_files(struct mb_heap *h, lua_State *L) {
  struct mb_process *p = mb_running(h);
  mb_pid id = mb_own_id(p);
  int top = lua_gettop(L), standard = 1;
  push_files(L);
  mb_push_ref(h, L, MB_REF_STANDARD_FILES);
  for (int i = 1; i <= 2; i++) {
    lua_rawgeti(L, top + 1, i);
    lua_rawgeti(L, top + 2, i);
    standard &= lua_rawequal(L, -1, -2);
  }
  mb_push_own(h, L, id, p, MB_MAKE);
  if (standard)
    lua_pushnil(L);
  else
    lua_pushvalue(L, top + 1);
  lua_rawseti(L, -2, MB_PRIVATE_FILES);
  lua_settop(L, top);
  if (!id)
    h->files->main_has = !standard;
  else if (standard)
    p->private_flags &= ~(uint32_t)MB_PRIVATE_HAS_FILES;
  else
    p->private_flags |= MB_PRIVATE_HAS_FILES;
  if (!standard) h->files->set = 1;
  h->files->owner = id;
}

/* Upvalue 1 of these is the library's function, which has none itself. */
static int call_library(lua_State *L) {
  mb_use_files(mb_heap_here(L), L);
  return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* The open file at a stack index; NULL: it is none. */
static FILE *file_at(lua_State *L, int at) {
  luaL_Stream *stream = luaL_testudata(L, at, LUA_FILEHANDLE);
  return stream && stream->closef ? stream->f : NULL;
}

/* Read standard input for the calling process, which alone waits, by the `count` formats from stack index `first`
 * on. The library is to read: MB_READS_ITSELF. k goes on, from the beginning. */
enum { MB_READS_ITSELF = -1 };

static int read_input(struct mb_heap *h, lua_State *L, int first, int count, lua_KFunction k) {
  struct mb_process *p = mb_running(h);
  int got, watched = 1;
  if (mb_stdin_read_line(L, first, count)) {
    mb_stdin_tell();
    return 1;
  }
  if (!h->scheduler || mb_outside(h, L) || !mb_can_wait(h, L) || !mb_stdin_is_slow()) {
    mb_stdin_give_back();
    return MB_READS_ITSELF;
  }
  for (;;) {
    got = mb_stdin_read(L, first, count);
    if (got >= 0) break;
    if (got == MB_STDIN_LATE && watched > 0) {
      watched = mb_ready_watch(h, p, &mb_stdin_stream, 0); /* and look again */
    } else if (got == MB_STDIN_MORE) {
      if (p->flags & MB_IN_PLACE) {
        mb_run_others(h, L, p);
      } else {
        h->preempted = 1;
        lua_yieldk(L, 0, 0, k);
      }
    } else {
      mb_ready_wait(h, L, p, got == MB_STDIN_BUSY ? -1 : watched, 0, k);
      watched = 1;
    }
  }
  mb_ready_forget(h, p, STDIN_FILENO);
  mb_stdin_tell();
  return mb_worked(h, L, p, MB_COST_MESSAGE, got);
}

/* io.read(...) */
static int read_on(lua_State *L, int status, lua_KContext unused) {
  struct mb_heap *h = mb_heap_here(L);
  int results = MB_READS_ITSELF;
  (void)status;
  (void)unused;
  mb_use_files(h, L);
  lua_getfield(L, LUA_REGISTRYINDEX, keys[0]);
  if (file_at(L, -1) == stdin) {
    lua_pop(L, 1);
    results = read_input(h, L, 1, lua_gettop(L), read_on);
  } else {
    lua_pop(L, 1);
  }
  return results == MB_READS_ITSELF ? lua_tocfunction(L, lua_upvalueindex(1))(L) : results;
}

static int call_read(lua_State *L) { return read_on(L, LUA_OK, 0); }

/* file:read(...) */
static int file_read_on(lua_State *L, int status, lua_KContext unused) {
  int results = MB_READS_ITSELF;
  (void)status;
  (void)unused;
  if (file_at(L, 1) == stdin) results = read_input(mb_heap_here(L), L, 2, lua_gettop(L) - 1, file_read_on);
  return results == MB_READS_ITSELF ? lua_tocfunction(L, lua_upvalueindex(1))(L) : results;
}

static int file_read(lua_State *L) { return file_read_on(L, LUA_OK, 0); }

/* The iterator of lines of standard input. Its first upvalues are the library's: the file, how many formats, whether
 * it is closed at the end, which this file never is, and the formats; behind them stands the library's function,
 * which finds them where it expects them. */
enum { LINES_FILE = 1, LINES_FORMATS, LINES_CLOSE, LINES_FIRST };

static int next_line_on(lua_State *L, int status, lua_KContext unused) {
  int formats = (int)lua_tointeger(L, lua_upvalueindex(LINES_FORMATS)), results;
  (void)status;
  (void)unused;
  lua_settop(L, 1);
  luaL_checkstack(L, formats, "too many arguments");
  for (int i = 0; i < formats; i++) lua_pushvalue(L, lua_upvalueindex(LINES_FIRST + i));
  results = read_input(mb_heap_here(L), L, 2, formats, next_line_on);
  if (results == MB_READS_ITSELF) return lua_tocfunction(L, lua_upvalueindex(LINES_FIRST + formats))(L);
  if (lua_toboolean(L, -results)) return results;
  return results > 1 ? luaL_error(L, "%s", lua_tostring(L, -results + 1)) : 0;
}

static int next_line(lua_State *L) { return next_line_on(L, LUA_OK, 0); }

/* Put our iterator in the place of the library's at `at`, if it reads standard input. */
static void replace_iterator(lua_State *L, int at) {
  int top = lua_gettop(L), n = 0;
  FILE *f;
  if (!lua_iscfunction(L, at) || !lua_getupvalue(L, at, LINES_FILE)) return;
  f = file_at(L, -1);
  lua_settop(L, top);
  if (f != stdin) return;
  luaL_checkstack(L, 255 + LUA_MINSTACK, NULL);
  while (lua_getupvalue(L, at, n + 1)) n++;
  if (n < 255 && n >= LINES_CLOSE && lua_tointeger(L, top + LINES_FORMATS) == n - LINES_CLOSE) {
    lua_pushcfunction(L, lua_tocfunction(L, at));
    lua_pushcclosure(L, next_line, n + 1);
    lua_replace(L, at);
  }
  lua_settop(L, top);
}

/* io.lines(...), file:lines(...) */
static int call_lines(lua_State *L) {
  int results;
  mb_use_files(mb_heap_here(L), L);
  results = lua_tocfunction(L, lua_upvalueindex(1))(L);
  if (results > 0) replace_iterator(L, lua_gettop(L) - results + 1);
  return results;
}

static int call_setter(lua_State *L) {
  struct mb_heap *h = mb_heap_here(L);
  int sets = !lua_isnoneornil(L, 1), results;
  if (sets && h->scheduler && !h->blocking && mb_outside(h, L)) mb_refuse_outside(h, L);
  mb_use_files(h, L);
  results = lua_tocfunction(L, lua_upvalueindex(1))(L);
  if (sets && h->scheduler && !h->blocking) keep_files(h, L);
  return results;
}

void mb_inherit_files(struct mb_heap *h, lua_State *L, struct mb_process *parent, struct mb_process *p) {
  mb_pid id = mb_own_id(parent);
  if (!parent) return; /* a finalizer has spawned it */
  if (id ? !(parent->private_flags & MB_PRIVATE_HAS_FILES) : !h->files->main_has) return;
  mb_push_own(h, L, id, parent, MB_MAKE);
  mb_push_private(h, L, p, MB_MAKE);
  lua_rawgeti(L, -2, MB_PRIVATE_FILES); /* never changed, only replaced */
  lua_rawseti(L, -2, MB_PRIVATE_FILES);
  lua_pop(L, 2);
  p->private_flags |= MB_PRIVATE_HAS_FILES;
  mb_home_set(h, p);
}

void mb_disinherit_files(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  if (!(p->private_flags & MB_PRIVATE_HAS_FILES)) return;
  mb_push_ref(h, L, MB_REF_PRIVATE);
  lua_pushnil(L);
  lua_rawseti(L, -2, p->index);
  lua_pop(L, 1);
  p->private_flags &= ~(uint32_t)(MB_PRIVATE_HAS_FILES | MB_PRIVATE_VALUES);
  mb_home_leave(h->scheduler, p);
}

void mb_open_files(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"input", call_setter}, {"output", call_setter}, {"read", call_read},
                                       {"lines", call_lines}, {"close", call_library}, {NULL, NULL}};
  int top = lua_gettop(L);
  h->files = mb_heap_part(L, sizeof *h->files);
  push_files(L);
  h->ref[MB_REF_STANDARD_FILES] = luaL_ref(L, LUA_REGISTRYINDEX);
  mb_stand_in_all(h, L, "io", functions, MB_STAND_IN_ORIGINAL);
  if (luaL_getmetatable(L, LUA_FILEHANDLE) == LUA_TTABLE && lua_getfield(L, -1, "__index") == LUA_TTABLE) {
    (void)mb_stand_in(h, L, NULL, "read", file_read, MB_STAND_IN_ORIGINAL);
    (void)mb_stand_in(h, L, NULL, "lines", call_lines, MB_STAND_IN_ORIGINAL);
  }
  lua_settop(L, top);
}
