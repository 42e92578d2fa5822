/* Output: what one call of print, io.write or file:write writes stays together, whichever thread writes beside it. What
 * goes to standard output goes to the process's leader instead, if it has one. */
#include <errno.h>
#include <lualib.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "api/api.h"
#include "api/own.h"
#include "code/stand_in.h"
#include "codec/codec.h"
#include "core/screen.h"
#include "heap/errors.h"
#include "io/standard_output.h"
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

/* Wait until what the ticket stands for has gone (see standard_output.h), where the process can wait, it alone; as
 * mb_stdout_state, but never 0. k goes on with the ticket. */
static int wait_for(struct mb_heap *h, lua_State *L, uint64_t ticket, lua_KFunction k) {
  int watched = 1, state;
  if (!ticket) return 1;
  if (!h || !h->scheduler || mb_outside(h, L) || !mb_can_wait(h, L)) return mb_stdout_await(ticket);
  while ((state = mb_stdout_state(ticket)) == 0) {
    struct mb_process *p = h->scheduler->current;
    if (watched > 0) {
      watched = mb_ready_watch(h, p, &mb_stdout_stream, ticket); /* and look again */
    } else {
      mb_ready_wait(h, L, p, watched, (lua_KContext)ticket, k);
      watched = 1;
    }
  }
  mb_ready_forget(h, h->scheduler->current, STDOUT_FILENO);
  return state;
}

static void print_line(const char *line, size_t size) {
  const struct mb_screen *screen = mb_screen_begin(stdout);
  flockfile(stdout); /* partner: every thread that writes; no Lua inside */
  fwrite(line, 1, size, stdout);
  putc_unlocked('\n', stdout);
  fflush(stdout);
  funlockfile(stdout);
  mb_screen_end(screen, MB_WRITTEN_LINE);
}

/* Its line is at stack index 1, without the newline, if context is 0. Whether it arrives is not said. */
static int print_on(lua_State *L, int status, lua_KContext context) {
  struct mb_heap *h = mb_heap_find(L);
  uint64_t ticket = (uint64_t)context;
  (void)status;
  if (ticket) (void)wait_for(h, L, ticket, print_on);
  if (ticket && ticket != MB_STDOUT_FULL) return 0;
  do {
    ticket = mb_stdout_write(L, 1, 1, 1, 1);
    if (ticket == MB_STDOUT_NO_MEMORY) return mb_no_memory(L);
    (void)wait_for(h, L, ticket, print_on);
  } while (ticket == MB_STDOUT_FULL);
  return 0;
}

/* print(...): one write of the whole line. No upvalues, as the library's has none. */
static int do_print(lua_State *L) {
  struct mb_heap *h = mb_heap_find(L);
  mb_pid leader = leader_of(h, L);
  int n = lua_gettop(L);
  luaL_Buffer b;
  size_t size;
  const char *line;
  if (n != 1 || leader || lua_type(L, 1) != LUA_TSTRING) {
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
    if (leader) luaL_addchar(&b, '\n');
    luaL_pushresult(&b);
    if (leader) return lead(h, L, leader, 0);
    if (n > 0) lua_replace(L, 1);
    lua_settop(L, 1);
  }
  if (mb_stdout_is_slow(stdout)) return print_on(L, LUA_OK, 0);
  line = lua_tolstring(L, 1, &size);
  print_line(line, size);
  return 0;
}

/* Write the strings above the file f, which is at stack index 1. */
static int write_all(lua_State *L, FILE *f) {
  const struct mb_screen *screen = mb_screen_begin(f);
  int last = lua_gettop(L), ok = 1;
  enum mb_written how = MB_WRITTEN_LINE;
  flockfile(f); /* partner: every thread that writes; nothing below raises */
  for (int i = 2; i <= last; i++) {
    size_t size;
    const char *text = lua_tolstring(L, i, &size);
    ok = fwrite_unlocked(text, 1, size, f) == size && ok;
    if (size) how = text[size - 1] == '\n' ? MB_WRITTEN_LINE : MB_WRITTEN_PART;
  }
  if (screen) fflush(f);
  funlockfile(f);
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

/* Slow standard output and what is written to it are on the stack; it is given, or what has failed. */
static int write_on(lua_State *L, int status, lua_KContext context) {
  struct mb_heap *h = mb_heap_find(L);
  uint64_t ticket = (uint64_t)context;
  int state = ticket ? wait_for(h, L, ticket, write_on) : 0;
  (void)status;
  while (!state || ticket == MB_STDOUT_FULL) {
    ticket = mb_stdout_write(L, 2, lua_gettop(L), 0, 0);
    if (ticket == MB_STDOUT_NO_MEMORY) return mb_no_memory(L);
    state = wait_for(h, L, ticket, write_on);
  }
  if (state < 0) {
    errno = -state;
    return luaL_fileresult(L, 0, NULL);
  }
  lua_settop(L, 1);
  return 1;
}

/* The file, whose stream is f, and strings are on the stack. */
static int write_strings(lua_State *L, FILE *f) {
  struct mb_heap *h;
  mb_pid leader;
  if (f != stdout) return write_all(L, f);
  h = mb_heap_find(L);
  leader = leader_of(h, L);
  if (leader) {
    lua_concat(L, lua_gettop(L) - 1);
    return lead(h, L, leader, 1); /* the file */
  }
  if (mb_stdout_buffer(L, 2, lua_gettop(L))) {
    lua_settop(L, 1);
    return 1;
  }
  return mb_stdout_is_slow(f) ? write_on(L, LUA_OK, 0) : write_all(L, f);
}

/* file:write(...); upvalue 1 is the library's, which knows what to say of what is no open file. */
static int file_write(lua_State *L) {
  luaL_Stream *stream = luaL_testudata(L, 1, LUA_FILEHANDLE);
  if (!stream || !stream->closef) return lua_tocfunction(L, lua_upvalueindex(1))(L);
  check_strings(L, 2);
  return write_strings(L, stream->f);
}

/* Push the default output; NULL, and nothing pushed: it is none that is open. */
static const luaL_Stream *push_output(lua_State *L) {
  struct mb_heap *h = mb_heap_here(L);
  const luaL_Stream *stream;
  mb_use_files(h, L);
  mb_push_ref(h, L, MB_REF_OUTPUT_KEY);
  lua_rawget(L, LUA_REGISTRYINDEX);
  stream = lua_touserdata(L, -1); /* the library puts nothing but files there */
  if (stream && stream->closef) return stream;
  lua_pop(L, 1);
  return NULL;
}

/* io.write(...); upvalue 1 as above. */
static int io_write(lua_State *L) {
  const luaL_Stream *stream;
  check_strings(L, 1);
  stream = push_output(L);
  if (!stream) return lua_tocfunction(L, lua_upvalueindex(1))(L);
  lua_insert(L, 1);
  return write_strings(L, stream->f);
}

/* file:flush(), file:setvbuf(...) and file:seek(...) of standard output: the library's function, upvalue 1, finds
 * that nothing is left to be written. */
static int settle_on(lua_State *L, int status, lua_KContext context) {
  int state = wait_for(mb_heap_find(L), L, (uint64_t)context, settle_on);
  (void)status;
  if (state > 0) return lua_tocfunction(L, lua_upvalueindex(1))(L);
  errno = -state;
  return luaL_fileresult(L, 0, NULL);
}

static int settle(lua_State *L) {
  uint64_t ticket = mb_stdout_flush();
  return ticket == MB_STDOUT_NO_MEMORY ? mb_no_memory(L) : settle_on(L, LUA_OK, (lua_KContext)ticket);
}

static int file_settle(lua_State *L) {
  const luaL_Stream *stream = luaL_testudata(L, 1, LUA_FILEHANDLE);
  if (stream && stream->closef && mb_stdout_is_slow(stream->f)) return settle(L);
  return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* io.flush() */
static int io_flush(lua_State *L) {
  const luaL_Stream *stream = push_output(L);
  int slow = stream && mb_stdout_is_slow(stream->f);
  lua_settop(L, 0);
  return slow ? settle(L) : lua_tocfunction(L, lua_upvalueindex(1))(L);
}

void mb_open_output(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg base[] = {{"print", do_print}, {NULL, NULL}},
                        io[] = {{"write", io_write}, {"flush", io_flush}, {NULL, NULL}},
                        methods[] = {{"write", file_write}, {"flush", file_settle}, {"setvbuf", file_settle},
                                     {"seek", file_settle}, {NULL, NULL}};
  int top = lua_gettop(L);
  lua_pushliteral(L, "_IO_output");
  h->ref[MB_REF_OUTPUT_KEY] = luaL_ref(L, LUA_REGISTRYINDEX);
  mb_stand_in_all(h, L, "_G", base, MB_STAND_IN_BARE);
  mb_stand_in_all(h, L, "io", io, MB_STAND_IN_ORIGINAL);
  if (luaL_getmetatable(L, LUA_FILEHANDLE) == LUA_TTABLE && lua_getfield(L, -1, "__index") == LUA_TTABLE)
    for (const luaL_Reg *m = methods; m->name; m++)
      (void)mb_stand_in(h, L, NULL, m->name, m->func, MB_STAND_IN_ORIGINAL);
  lua_settop(L, top);
}
