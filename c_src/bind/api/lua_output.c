/* Output: what one call of print, io.write or file:write writes stays together, whichever thread writes beside it. What
 * goes to standard output goes to the process's leader instead, if it has one. */
#include <lualib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <unistd.h>

#include "api/api.h"
#include "api/own.h"
#include "code/stand_in.h"
#include "codec/codec.h"
#include "core/screen.h"
#include "io/ready.h"
#include "process/wait.h"

/* The leader of the calling process, while it lives; else 0. */
static mb_pid leader_of(const struct mb_heap *h, lua_State *L) {
  const struct mb_process *p = h && h->scheduler && !mb_outside(h, L) ? h->scheduler->current : NULL;
  return p && p->leader && mb_process_table_lookup(&h->runtime->table, p->leader) ? p->leader : 0;
}

/* Send the string at the top of the stack to the leader, as a cast, leaving `results` values there. The caller returns
 * what this does. */
static int lead(struct mb_heap *h, lua_State *L, mb_pid leader, int results) {
  struct mb_process *p = h->scheduler->current;
  struct mb_signal *s = mb_encode_signal(h, L, lua_gettop(L), 1, "print", MB_CAST);
  s->from = mb_pid_of(p);
  mb_signal_send(h->scheduler, leader, s);
  lua_settop(L, results);
  return mb_worked(h, L, p, MB_COST_MESSAGE, results);
}

/* Whether writing so many bytes would make the process wait for the reader of standard output with its whole thread:
 * what stdio does not keep is written, and at least a page fits where anything does. */
static int is_late(struct mb_heap *h, lua_State *L, FILE *f, size_t size) {
  return f == stdout && (size == SIZE_MAX || __flbf(f) || __fpending(f) + size >= __fbufsize(f)) &&
         mb_ready_is_late(h, L, STDOUT_FILENO);
}

enum line_end { END_MISSING, END_THERE };

static void print_line(const char *line, size_t size, enum line_end end) {
  const struct mb_screen *screen = mb_screen_begin(stdout);
  flockfile(stdout); /* partner: every thread that writes; no Lua inside */
  fwrite(line, 1, size, stdout);
  if (end == END_MISSING) putc_unlocked('\n', stdout);
  fflush(stdout);
  funlockfile(stdout);
  mb_screen_end(screen, MB_WRITTEN_LINE);
}

static int print_on(lua_State *L, int status, lua_KContext unused) {
  struct mb_heap *h = mb_heap_find(L);
  mb_pid leader = leader_of(h, L);
  int n = lua_gettop(L);
  luaL_Buffer b;
  size_t size;
  const char *line;
  (void)status;
  (void)unused;
  while (!leader && is_late(h, L, stdout, SIZE_MAX))
    mb_ready_wait(h, L, h->scheduler->current, STDOUT_FILENO, print_on);
  if (n == 1 && !leader && lua_type(L, 1) == LUA_TSTRING) {
    line = lua_tolstring(L, 1, &size);
    print_line(line, size, END_MISSING);
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
  if (leader) return lead(h, L, leader, 0);
  line = lua_tolstring(L, -1, &size);
  print_line(line, size, END_THERE);
  return 0;
}

/* print(...): one write of the whole line. No upvalues, as the library's has none. */
static int do_print(lua_State *L) { return print_on(L, LUA_OK, 0); }

/* How many bytes the strings from stack index `first` on are. */
static size_t size_from(lua_State *L, int first) {
  size_t all = 0;
  for (int i = first; i <= lua_gettop(L); i++) all += lua_rawlen(L, i);
  return all;
}

/* Write the strings above the file, which is at stack index 1. */
static int write_all(struct mb_heap *h, lua_State *L) {
  luaL_Stream *stream = lua_touserdata(L, 1);
  mb_pid leader = stream->f == stdout ? leader_of(h, L) : 0;
  const struct mb_screen *screen;
  int last = lua_gettop(L), ok = 1;
  enum mb_written how = MB_WRITTEN_LINE;
  if (leader) {
    lua_concat(L, last - 1);
    return lead(h, L, leader, 1); /* the file */
  }
  screen = mb_screen_begin(stream->f);
  flockfile(stream->f); /* partner: every thread that writes; nothing below raises */
  for (int i = 2; i <= last; i++) {
    size_t size;
    const char *text = lua_tolstring(L, i, &size);
    ok = fwrite(text, 1, size, stream->f) == size && ok;
    if (size) how = text[size - 1] == '\n' ? MB_WRITTEN_LINE : MB_WRITTEN_PART;
  }
  if (screen) fflush(stream->f);
  funlockfile(stream->f);
  mb_screen_end(screen, how);
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

static int file_write_on(lua_State *L, int status, lua_KContext unused) {
  struct mb_heap *h = mb_heap_find(L);
  FILE *f = ((luaL_Stream *)lua_touserdata(L, 1))->f;
  (void)status;
  (void)unused;
  while (is_late(h, L, f, size_from(L, 2)) && !leader_of(h, L))
    mb_ready_wait(h, L, h->scheduler->current, STDOUT_FILENO, file_write_on);
  return write_all(h, L);
}

/* file:write(...); upvalue 1 is the library's, which knows what to say of what is no open file. */
static int file_write(lua_State *L) {
  luaL_Stream *stream = luaL_testudata(L, 1, LUA_FILEHANDLE);
  if (!stream || !stream->closef) return lua_tocfunction(L, lua_upvalueindex(1))(L);
  check_strings(L, 2);
  return file_write_on(L, LUA_OK, 0);
}

/* io.write(...); upvalue 1 as above. */
static int io_write(lua_State *L) {
  struct mb_heap *h = mb_heap_here(L);
  luaL_Stream *stream;
  check_strings(L, 1);
  mb_use_files(h, L);
  lua_getfield(L, LUA_REGISTRYINDEX, "_IO_output");
  stream = luaL_testudata(L, -1, LUA_FILEHANDLE);
  if (!stream || !stream->closef) {
    lua_pop(L, 1);
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
  }
  lua_insert(L, 1);
  return file_write_on(L, LUA_OK, 0);
}

void mb_open_output(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg base[] = {{"print", do_print}, {NULL, NULL}}, io[] = {{"write", io_write}, {NULL, NULL}};
  int top = lua_gettop(L);
  mb_stand_in_all(h, L, "_G", base, MB_STAND_IN_BARE);
  mb_stand_in_all(h, L, "io", io, MB_STAND_IN_ORIGINAL);
  if (luaL_getmetatable(L, LUA_FILEHANDLE) == LUA_TTABLE && lua_getfield(L, -1, "__index") == LUA_TTABLE)
    (void)mb_stand_in(h, L, NULL, "write", file_write, MB_STAND_IN_ORIGINAL);
  lua_settop(L, top);
}
