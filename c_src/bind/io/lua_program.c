#include "io/lua_program.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "heap/arguments.h"
#include "heap/errors.h"
#include "io/event.h"
#include "io/program.h"
#include "io/signal_names.h"
#include "io/socket.h"
#include "process/read_message.h"

enum { STREAMS = 3 };                          /* standard input, output and error, in the order of their descriptors */
enum way { PIPE, NOTHING, INHERIT, AS_OUTPUT }; /* where one leads; as system.lua has them */

static const char *const stream_names[STREAMS] = {"stdin", "stdout", "stderr"};
static const char end_name[] = "program_exit";

struct program {
  struct mb_object object;
  uv_process_t process;
  mb_pid spawner;
  int pid;
  int fds[STREAMS];                  /* its ends of the pipes until it has been started; -1: none */
  struct mb_socket *streams[STREAMS]; /* a reference each; NULL: none */
  int64_t code;
  int signal;
  uint8_t begun;   /* `process` is a handle */
  uint8_t running; /* and has not been waited for */
  uint8_t ended;   /* by itself, before it was closed */
  uint8_t told;    /* the message of that may be in the spawner's mailbox */
};

static const struct mb_object_type type;

static struct program *of_process(void *process) {
  return (struct program *)((char *)process - offsetof(struct program, process));
}

/* Its end */

static void close_streams(struct program *g) {
  for (int i = 0; i < STREAMS; i++)
    if (g->streams[i] && g->streams[i]->object.owner == g->spawner)
      mb_object_close(&g->streams[i]->object, MB_CLOSE_AT_ONCE);
}

static void on_closed(uv_handle_t *handle) { mb_object_release(&of_process(handle)->object); }

static void close_handle(struct program *g) {
  if (!uv_is_closing((uv_handle_t *)&g->process)) uv_close((uv_handle_t *)&g->process, on_closed);
}

static void close_program(struct mb_object *o, int how) {
  struct program *g = (struct program *)o;
  (void)how;
  if (!g->begun) { /* it has not come to that */
    mb_program_close(g->fds, STREAMS);
    close_streams(g);
    mb_object_release(o);
  } else if (g->running) {
    (void)mb_program_kill(&g->process, SIGKILL);
  } else {
    close_handle(g);
  }
}

static void settle(struct mb_object *o) {
  struct program *g = (struct program *)o;
  if (g->begun) close_handle(g);
}

static void free_program(struct mb_object *o) {
  struct program *g = (struct program *)o;
  for (int i = 0; i < STREAMS; i++)
    if (g->streams[i]) mb_object_release(&g->streams[i]->object);
  free(g);
}

/* One that runs goes on without its userdata: its end is told. */
static int is_idle(const struct mb_object *o) { return !((const struct program *)o)->running; }

/* {"program_exit", program, code [, signal]} */
static void tell(struct program *g) {
  char room[MB_SIGNAL_NAME];
  const char *name = g->signal ? mb_signal_text(g->signal, room) : "";
  struct mb_event e = mb_event_begin(&g->object, end_name, g->signal ? 4 : 3, strlen(name));
  mb_event_integer(&e, g->code);
  if (g->signal) mb_event_string(&e, name, strlen(name));
  g->told = mb_event_send(&g->object, &e) == 0;
}

static void on_exit_of(uv_process_t *process, int64_t code, int number) {
  struct program *g = of_process(process);
  g->running = 0;
  if (g->object.closed) {
    close_handle(g);
    return;
  }
  g->code = number ? 128 + number : code;
  g->signal = number;
  g->ended = 1;
  for (int i = 1; i < STREAMS; i++) /* what it has printed comes first */
    if (g->streams[i]) mb_socket_catch_up(g->streams[i]);
  tell(g);
  mb_object_close(&g->object, MB_CLOSE_AT_ONCE);
}

/* Starting */

/* Make the pipe of stream i, whose end of ours is a socket, kept by the program's userdata on the top of the stack. 0
 * or an error of libuv's. Raises when memory is out. */
static int open_pipe(struct mb_heap *h, lua_State *L, struct mb_process *p, struct program *g, int i) {
  int fds[2], error = mb_program_pipe(fds);
  struct mb_socket *s;
  if (error) return error;
  g->fds[i] = fds[i ? 1 : 0];
  s = mb_socket_new(h, p, 1, 0, &error);
  if (!s) {
    mb_program_close(&fds[i ? 0 : 1], 1);
    return error;
  }
  g->streams[i] = s;
  mb_object_retain(&s->object);
  error = mb_socket_open(s, fds[i ? 0 : 1]);
  if (error) return error;
  mb_object_push(h, L, &s->object);
  lua_setiuservalue(L, -2, i + 1);
  return 0;
}

/* Stack: what mb_program_check wants, and the ways from index 4 on; the program's userdata is on its top. */
static int start(struct mb_heap *h, lua_State *L, struct mb_process *p, struct program *g,
                 struct mb_program_spec *spec) {
  int error = g->object.owner ? 0 : UV_ECANCELED; /* clean-up code of a dead process, with which nothing would end */
  for (int i = 0; i < STREAMS && !error; i++) {
    enum way way = (enum way)lua_tointeger(L, 4 + i);
    if (way == PIPE) error = open_pipe(h, L, p, g, i);
    spec->fds[i] = way == INHERIT ? i : way == AS_OUTPUT ? spec->fds[1] : g->fds[i];
  }
  if (error) return error;
  g->begun = 1;
  error = mb_program_start(mb_loop(h->scheduler), &g->process, spec, on_closed);
  mb_program_close(g->fds, STREAMS);
  g->running = !error;
  g->pid = g->process.pid;
  return error;
}

/* spawn_program({cmd, args...}, {"NAME=value"...} | nil, cwd | nil, stdin, stdout, stderr) -> program: what the library
 * has checked */
static int spawn(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  struct mb_program_spec spec = {.on_exit = on_exit_of};
  struct program *g;
  int error;
  lua_settop(L, 6);
  mb_program_check(L, &spec);
  g = calloc(1, sizeof *g);
  if (!g) return mb_no_memory(L);
  for (int i = 0; i < STREAMS; i++) g->fds[i] = -1;
  g->spawner = mb_pid_of(p);
  g->object.id = mb_object_id() | MB_PROGRAM_ID;
  mb_object_init(&g->object, h, &type, p);
  mb_object_push(h, L, &g->object);
  error = start(h, L, p, g, &spec);
  if (error) {
    close_streams(g);
    mb_object_close(&g->object, MB_CLOSE_AT_ONCE);
    return mb_program_failure(L, &spec, error);
  }
  return mb_worked(h, L, p, MB_COST_SPAWN, 1);
}

/* Fields and methods */

static int index_of(lua_State *L) {
  struct program *g = (struct program *)mb_object_of(L, 1, &type);
  const char *name;
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL || !g || lua_type(L, 2) != LUA_TSTRING) return 1;
  name = lua_tostring(L, 2);
  if (strcmp(name, "pid") == 0) {
    lua_pushinteger(L, g->pid);
    return 1;
  }
  for (int i = 0; i < STREAMS; i++) {
    if (!g->streams[i] || strcmp(name, stream_names[i]) != 0) continue;
    if (lua_getiuservalue(L, 1, i + 1) != LUA_TNIL) return 1;
    mb_object_push_id(mb_heap_of(L), L, g->streams[i]->object.id); /* a message has made this userdata */
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 1, i + 1);
    return 1;
  }
  return 1;
}

/* Take the message of its end out of the mailbox of p, who has heard of it otherwise. */
static void take_message(struct mb_heap *h, struct mb_process *p, struct program *g) {
  if (!g->told || g->spawner != mb_pid_of(p)) return;
  g->told = 0;
  for (struct mb_signal *s = p->mailbox.head; s; s = s->next) {
    if (!mb_event_is(s, &g->object, end_name)) continue;
    mb_take_message(h, p, s);
    return;
  }
}

static int push_end(lua_State *L, const struct program *g) {
  char room[MB_SIGNAL_NAME];
  lua_pushinteger(L, (lua_Integer)g->code);
  if (!g->signal) return 1;
  lua_pushstring(L, mb_signal_text(g->signal, room));
  return 2;
}

/* Stack: 1 program. */
static int wait_on(lua_State *L, int status, lua_KContext deadline) {
  struct mb_heap *h = mb_heap_of(L);
  int waited = status == LUA_YIELD;
  for (;;) {
    struct mb_process *p = mb_current_still(h, L);
    struct program *g = (struct program *)mb_object_check(L, "wait");
    if (g && g->ended) {
      take_message(h, p, g);
      return mb_worked(h, L, p, MB_COST_MESSAGE, push_end(L, g));
    }
    if (!g || g->object.closed) return mb_object_gone(L, waited);
    if (mb_deadline_passed(h, (uint64_t)deadline)) {
      g->object.waiter = 0;
      return mb_failure(L, UV_ETIMEDOUT);
    }
    waited = 1;
    mb_object_wait(h, L, &g->object, p, (uint64_t)deadline, wait_on);
  }
}

static int do_wait(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  struct program *g = (struct program *)mb_object_check(L, "wait");
  uint64_t deadline = mb_check_deadline(h, L, 2, "wait", 1, MB_TIMEOUT_OPTIONAL);
  mb_check_takes(h, L);
  if (g && !g->object.closed && g->spawner != mb_pid_of(p)) {
    char owner[MB_ID_TEXT];
    lua_pushlstring(L, owner, mb_pid_text(g->spawner, owner));
    mb_raise(h, L, "wait: the program belongs to %s", lua_tostring(L, -1));
  }
  lua_settop(L, 1);
  return wait_on(L, LUA_OK, (lua_KContext)deadline);
}

static int do_kill(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct program *g = (struct program *)mb_object_check(L, "kill");
  int number = SIGTERM, error;
  if (!lua_isnoneornil(L, 2)) {
    if (lua_type(L, 2) != LUA_TSTRING) return mb_bad_type(h, L, "kill", 1, "name of a signal", 2);
    number = mb_signal_number(lua_tostring(L, 2), lua_rawlen(L, 2));
    if (!number)
      return mb_bad_argument(h, L, "kill", 1, "there is no signal '%s'", mb_push_short(L, lua_tostring(L, 2)));
  }
  error = g && g->running ? mb_program_kill(&g->process, number) : UV_ESRCH;
  if (error) return mb_failure(L, error);
  lua_pushboolean(L, 1);
  return 1;
}

static int do_close(lua_State *L) {
  struct program *g = (struct program *)mb_object_check(L, "close");
  if (g) {
    close_streams(g);
    mb_object_close(&g->object, MB_CLOSE_AT_ONCE);
  }
  lua_pushboolean(L, 1);
  return 1;
}

static const luaL_Reg methods[] = {{"wait", do_wait}, {"kill", do_kill}, {"close", do_close}, {NULL, NULL}};

static const struct mb_object_type type = {
    .name = "program",
    .kind = MB_HOLDING_PROGRAM,
    .methods = methods,
    .index = index_of,
    .values = STREAMS,
    .instead = "a program belongs to the process that has started it",
    .close = close_program,
    .free = free_program,
    .is_idle = is_idle,
    .settle = settle,
};

void mb_open_program(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"spawn_program", spawn}, {NULL, NULL}};
  h->io->gone_program = &type;
  mb_set_functions(h, L, functions);
}
