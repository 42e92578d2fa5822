/* Lines of files: file:lines, behind fs.lines too. */
#include <string.h>

#include "heap/arguments.h"
#include "heap/errors.h"
#include "io/file_value.h"
#include "io/fs.h"
#include "process/wait.h"

enum { UPVALUE_FILE = 2, UPVALUE_WHAT = 3 };

/* What a read has brought; failures raise, but for the end. */
static int line_read(lua_State *L, int status, lua_KContext context) {
  (void)status;
  (void)context;
  if (lua_isnil(L, 1) && strcmp(lua_tostring(L, 3), "EOF") != 0)
    return mb_raise(mb_heap_of(L), L, "file:lines: %s", lua_tostring(L, 2));
  lua_settop(L, 1);
  return 1;
}

static int read_on(lua_State *L) { return mb_file_do(L, MB_VERB_READ); }

/* The next line, or whatever it was made for. What can be had without waiting is taken here, and the next block read
 * meanwhile. */
static int next_line(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_file *f = *(struct mb_file **)lua_touserdata(L, lua_upvalueindex(UPVALUE_FILE));
  enum mb_read_what what = (enum mb_read_what)lua_tointeger(L, lua_upvalueindex(UPVALUE_WHAT));
  struct mb_process *p = mb_current(h, L);
  if (!f || (f->fd < 0 && !f->step)) mb_file_refuse_closed(h, L, MB_VERB_READ, f);
  if (f->owner != mb_pid_of(p)) mb_file_refuse_stranger(h, L, MB_VERB_READ, f);
  if (what == MB_READ_LINE || what == MB_READ_LINE_WITH_END) {
    if (mb_file_push_line(L, f, what)) return mb_worked(h, L, p, MB_COST_MESSAGE, 1);
    if (!f->step && f->got && mb_file_absorb(f) == 0) {
      int has = mb_file_push_line(L, f, what);
      if (f->seekable && f->full) mb_file_read_ahead(L, f);
      if (has) return mb_worked(h, L, p, MB_COST_MESSAGE, 1);
    }
  }
  lua_settop(L, 0);
  lua_pushlightuserdata(L, h);
  lua_pushcclosure(L, read_on, 1);
  lua_pushvalue(L, lua_upvalueindex(UPVALUE_FILE));
  lua_pushvalue(L, lua_upvalueindex(UPVALUE_WHAT));
  lua_callk(L, 2, 3, 0, line_read);
  return line_read(L, LUA_OK, 0);
}

/* file:lines([what]) -> iterator */
static int file_lines(lua_State *L) {
  lua_Integer what;
  mb_file_check(L, MB_VERB_READ);
  what = mb_file_check_what(mb_heap_of(L), L, 2, "file:lines", 1);
  lua_pushlightuserdata(L, mb_heap_of(L));
  lua_pushvalue(L, 1);
  lua_pushinteger(L, what);
  lua_pushcclosure(L, next_line, 3);
  return 1;
}

void mb_open_lines(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg methods[] = {{"lines", file_lines}, {NULL, NULL}};
  mb_set_functions(h, L, methods);
}
