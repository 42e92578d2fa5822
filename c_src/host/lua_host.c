#include "host/lua_host.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/codec.h"
#include "heap/arguments.h"
#include "heap/errors.h"
#include "heap/private.h"
#include "host/channel.h"
#include "host/editor.h"
#include "host/input.h"
#include "host/signals.h"
#include "process/current.h"
#include "process/ending.h"
#include "process/interrupt.h"

static lua_State *host; /* the first state's main thread */
static int opened;      /* the terminal is */
static mb_pid reader;   /* who has opened it */
static int edited;      /* it has an editor */
static int prompted;    /* it is a terminal all the same */

int mb_prompt_comes;

/* Events: messages {"host", what, ...} to a process, from outside of processes. */

struct event {
  mb_pid to;
  const char *what;
  int number; /* of a channel; 0: none */
  const char *text;
  size_t size;
};

static int send_event(lua_State *L) {
  const struct event *e = lua_touserdata(L, 1);
  struct mb_heap *h = mb_heap_find(L);
  lua_Integer n = 0;
  lua_createtable(L, 4, 0);
  lua_pushliteral(L, "host");
  lua_rawseti(L, -2, ++n);
  lua_pushstring(L, e->what);
  lua_rawseti(L, -2, ++n);
  if (e->number) {
    lua_pushinteger(L, e->number);
    lua_rawseti(L, -2, ++n);
  }
  if (e->text) {
    lua_pushlstring(L, e->text, e->size);
    lua_rawseti(L, -2, ++n);
  }
  mb_signal_send(h->scheduler, e->to, mb_encode_signal(h, L, lua_gettop(L), 1, "send", MB_MESSAGE));
  return 0;
}

static void post(struct event e) {
  lua_State *L = mb_heap_find(host)->runner;
  if (!e.to) return;
  lua_pushcfunction(L, send_event);
  lua_pushlightuserdata(L, &e);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_pop(L, 1); /* memory is out: the event is lost */
}

static void on_edit(enum mb_edit what, const char *text, size_t size) {
  static const char *const names[] = {[MB_EDIT_LINE] = "line", [MB_EDIT_COMPLETE] = "complete", [MB_EDIT_END] = "end"};
  post((struct event){reader, names[what], 0, what == MB_EDIT_END ? NULL : text, size});
}

static void on_input(const char *line, size_t size) {
  post((struct event){reader, line ? "line" : "end", 0, line, size});
}

static void on_channel(uint64_t owner, enum mb_channel_event what, int number, const char *bytes, size_t size) {
  static const char *const names[] = {
      [MB_CHANNEL_ACCEPTED] = "accepted", [MB_CHANNEL_DATA] = "data", [MB_CHANNEL_CLOSED] = "closed"};
  post((struct event){owner, names[what], number, what == MB_CHANNEL_DATA ? bytes : NULL, size});
}

void mb_interrupted(lua_State *L) {
  (void)L;
  if (!reader) {
    mb_end_by_interrupt();
    return;
  }
  mb_editor_abort();
  post((struct event){reader, "interrupt", 0, NULL, 0});
}

static mb_pid self(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  return mb_pid_of(mb_current(h, L));
}

/* nil, "CODE: text" */
static int failed(lua_State *L, int err) {
  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s", uv_err_name(err), uv_strerror(err));
  return 2;
}

/* The terminal */

/* open_terminal() -> whether it has an editor. Lines are for the calling process, which may take over from one that has
 * ended. Raises while another one reads. */
static int open_terminal(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  mb_pid caller = self(L);
  if (!opened) {
    int editor = mb_editor_possible();
    if ((editor ? mb_editor_open(mb_loop(h->scheduler), on_edit) : mb_input_open(mb_loop(h->scheduler), on_input)) != 0)
      return luaL_error(L, "the terminal cannot be opened");
    opened = 1;
    edited = editor;
    prompted = !edited && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    mb_watch_interrupts();
  } else if (reader != caller && mb_process_here(h->scheduler, reader)) {
    return luaL_error(L, "the terminal is read by another process");
  }
  reader = caller;
  lua_pushboolean(L, edited);
  return 1;
}

/* Raise unless the caller has opened the terminal. */
static void check_reader(lua_State *L) {
  mb_pid caller = self(L);
  if (!opened || reader != caller) luaL_error(L, "the terminal is for the process that has opened it");
}

/* read_line(prompt): the message {"host", "line", text} or {"host", "end"} will come */
static int read_line(lua_State *L) {
  const char *prompt = luaL_checkstring(L, 1);
  check_reader(L);
  if (edited) {
    mb_editor_read(prompt);
    return 0;
  }
  if (prompted) fputs(prompt, stdout);
  fflush(stdout);
  mb_input_read();
  return 0;
}

/* complete(insertion, above): answers {"host", "complete", text} */
static int complete(lua_State *L) {
  const char *insertion = luaL_checkstring(L, 1), *above = luaL_checkstring(L, 2);
  check_reader(L);
  mb_editor_complete(insertion, above);
  return 0;
}

/* remember(line): in the history */
static int remember(lua_State *L) {
  const char *line = luaL_checkstring(L, 1);
  check_reader(L);
  if (edited) mb_editor_remember(line);
  return 0;
}

static int columns(lua_State *L) {
  lua_pushinteger(L, mb_editor_columns());
  return 1;
}

static int rows(lua_State *L) {
  lua_pushinteger(L, mb_editor_rows());
  return 1;
}

/* prompt_comes() -> whether there will be one on this terminal, or is */
static int prompt_comes(lua_State *L) {
  lua_pushboolean(L, mb_prompt_comes);
  return 1;
}

/* Processes */

/* end_with(pid): the program ends with this process instead of the script's */
static int end_with(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_process_here(h->scheduler, mb_check_pid(h, L, 1, "end_with", 1));
  luaL_argcheck(L, p, 1, "no process of this scheduler");
  p->flags |= MB_PINNED;
  h->script->process = p;
  return 0;
}

/* evaluating(yes, interrupts): the calling process runs a user's line from now on; interrupts of the terminal are for
 * it. */
static int evaluating(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  int begins = lua_toboolean(L, 1);
  if (lua_toboolean(L, 2)) mb_set_foreground(h, begins ? mb_pid_of(p) : 0);
  mb_interrupt_evaluating(h, p, begins);
  return 0;
}

/* foreground(pid | nil): whom interrupts of the terminal are for from now on; nil: who has opened it */
static int foreground(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  mb_set_foreground(h, lua_isnoneornil(L, 1) ? 0 : mb_check_pid(h, L, 1, "foreground", 1));
  return 0;
}

static int caught(lua_State *L, int status, lua_KContext unused) {
  (void)unused;
  if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L) - 2;
  lua_pushboolean(L, 0);
  lua_pushvalue(L, -2);
  return 2;
}

/* catch(fn, handler, ...): as xpcall, which passes on the second interrupt of what is evaluated */
static int catch(lua_State *L) {
  int arguments = lua_gettop(L) - 2;
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_pushboolean(L, 1);
  lua_pushvalue(L, 1);
  lua_rotate(L, 3, 2);
  return caught(L, lua_pcallk(L, arguments, LUA_MULTRET, 2, 0, caught), 0);
}

/* interrupt(pid): as the terminal's interrupt does to the process in the foreground */
static int interrupt(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_process_here(h->scheduler, mb_check_pid(h, L, 1, "interrupt", 1));
  if (p) mb_interrupt(h, p);
  return 0;
}

/* use_globals(table): of the calling process; what another one's load("return _G") gives */
static int use_globals(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  luaL_checktype(L, 1, LUA_TTABLE);
  if (lua_topointer(L, 1) == h->globals) {
    p->flags |= MB_SCRIPT;
  } else {
    mb_push_private(h, L, p, MB_MAKE);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, MB_PRIVATE_GLOBALS);
  }
  return 0;
}

/* Sockets */

static int numbered(lua_State *L, int number) {
  if (number < 0) return failed(L, number);
  lua_pushinteger(L, number);
  return 1;
}

/* listen(path) -> number | nil, text */
static int do_listen(lua_State *L) { return numbered(L, mb_channel_listen(luaL_checkstring(L, 1))); }

/* connect(path) -> number | nil, text */
static int do_connect(lua_State *L) { return numbered(L, mb_channel_connect(luaL_checkstring(L, 1))); }

/* own(number): what comes is for the calling process from now on, {"host", "data", number, bytes} and {"host",
 * "closed", number}; from a listener {"host", "accepted", number} */
static int own(lua_State *L) {
  int err = mb_channel_own((int)luaL_checkinteger(L, 1), self(L));
  return err ? failed(L, err) : (lua_pushboolean(L, 1), 1);
}

/* send(number, bytes) -> how many wait to be sent | nil, text */
static int do_send(lua_State *L) {
  size_t size;
  const char *bytes = luaL_checklstring(L, 2, &size);
  int64_t kept = mb_channel_send((int)luaL_checkinteger(L, 1), bytes, size);
  if (kept < 0) return failed(L, (int)kept);
  lua_pushinteger(L, kept);
  return 1;
}

static int do_close(lua_State *L) {
  mb_channel_close((int)luaL_checkinteger(L, 1));
  return 0;
}

/* Files */

/* private_file(path) -> true | nil, text: make it, and the directories above it, for this user alone */
static int private_file(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  int fd;
  luaL_argcheck(L, *path, 1, "the path is empty");
  for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
    lua_pushlstring(L, path, (size_t)(slash - path));
    if (mkdir(lua_tostring(L, -1), 0700) != 0 && errno != EEXIST) return failed(L, uv_translate_sys_error(errno));
    lua_pop(L, 1);
  }
  fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return failed(L, uv_translate_sys_error(errno));
  close(fd);
  lua_pushboolean(L, 1);
  return 1;
}

int luaopen_moonbeam_host(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"open_terminal", open_terminal}, {"read_line", read_line},
      {"complete", complete},           {"remember", remember},
      {"columns", columns},             {"rows", rows},
      {"prompt_comes", prompt_comes},
      {"end_with", end_with},
      {"evaluating", evaluating},       {"foreground", foreground},
      {"catch", catch},
      {"interrupt", interrupt},         {"use_globals", use_globals},
      {"listen", do_listen},
      {"connect", do_connect},          {"own", own},
      {"send", do_send},                {"close", do_close},
      {"private_file", private_file},
      {NULL, NULL}};
  struct mb_heap *h = mb_heap_find(L);
  if (!h || !h->owner) return luaL_error(L, "moonbeam.host is for the script's scheduler");
  host = h->L;
  mb_channel_setup(mb_loop(h->scheduler), on_channel);
  lua_newtable(L);
  mb_set_functions(h, L, functions);
  return 1;
}
