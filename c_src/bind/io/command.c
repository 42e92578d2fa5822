#include "io/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/broken_pipe.h"
#include "heap/arguments.h"
#include "heap/errors.h"
#include "io/failure.h"
#include "io/program.h"
#include "io/signal_names.h"
#include "io/waiter.h"

enum { LEAST_ROOM = 4096 };
enum { STDERR_PIPE, STDERR_TO_STDOUT, STDERR_INHERIT };

struct output {
  uv_pipe_t pipe;
  unsigned char *data;
  size_t size, room;
  int open; /* its end has not come */
};

struct mb_command {
  struct mb_holding holding; /* of the process while it is `held` */
  struct mb_scheduler *scheduler;
  mb_pid owner, waiter;
  unsigned references; /* the userdata's and each handle's */
  struct mb_command *next, **link; /* in io->commands */
  int held, over;      /* over: killed, or given up: nothing is collected any more */
  uv_process_t process;
  int running, error;
  int64_t code;
  int signal;
  struct output outputs[2];
  uv_poll_t feed; /* writes the input */
  int feed_fd;
  int feeding;
  unsigned char *input;
  size_t input_size, fed;
};

static const char type_key; /* its address is the key of the userdata's metatable */

static void command_free(struct mb_command *c) {
  *c->link = c->next;
  if (c->next) c->next->link = c->link;
  for (int i = 0; i < 2; i++) free(c->outputs[i].data);
  free(c->input);
  free(c);
}

static void release(struct mb_command *c) {
  if (--c->references == 0) command_free(c);
}

void mb_commands_free(struct mb_io *io) {
  while (io->commands) command_free(io->commands);
}

#define COMMAND(pointer, member) ((struct mb_command *)((char *)(pointer) - offsetof(struct mb_command, member)))

static int is_done(const struct mb_command *c) { return !c->running && !c->outputs[0].open && !c->outputs[1].open; }

static void tell(struct mb_command *c) {
  if (c->error || is_done(c)) mb_wake_waiter(c->scheduler, &c->waiter);
}

/* The handles */

static void on_process_closed(uv_handle_t *handle) { release(COMMAND(handle, process)); }

static void on_exit_of(uv_process_t *process, int64_t code, int number) {
  struct mb_command *c = COMMAND(process, process);
  c->running = 0;
  c->code = code;
  c->signal = number;
  uv_close((uv_handle_t *)process, on_process_closed);
  tell(c);
}

static void on_out_closed(uv_handle_t *handle) { release(COMMAND(handle, outputs[0].pipe)); }
static void on_err_closed(uv_handle_t *handle) { release(COMMAND(handle, outputs[1].pipe)); }

static void close_output(struct mb_command *c, int i) {
  struct output *o = &c->outputs[i];
  if (!o->open) return;
  o->open = 0;
  uv_close((uv_handle_t *)&o->pipe, i ? on_err_closed : on_out_closed);
}

static void on_feed_closed(uv_handle_t *handle) {
  struct mb_command *c = COMMAND(handle, feed);
  mb_program_close(&c->feed_fd, 1);
  release(c);
}

static void stop_feeding(struct mb_command *c) {
  if (!c->feeding) return;
  c->feeding = 0;
  uv_close((uv_handle_t *)&c->feed, on_feed_closed);
}

static void on_feed(uv_poll_t *poll, int status, int events) {
  struct mb_command *c = COMMAND(poll, feed);
  ssize_t n = mb_write_quietly(c->feed_fd, c->input + c->fed, c->input_size - c->fed);
  (void)status;
  (void)events;
  if (n < 0 && errno == EAGAIN) return;
  if (n > 0) c->fed += (size_t)n;
  if (n < 0 || c->fed == c->input_size) stop_feeding(c); /* it may well end without having read all */
}

/* Give it up: what is left is killed, and waited for by the loop. */
static void give_up(struct mb_command *c) {
  if (c->over) return;
  c->over = 1;
  if (c->running) (void)mb_program_kill(&c->process, SIGKILL);
  close_output(c, 0);
  close_output(c, 1);
  stop_feeding(c);
}

static struct output *output_of(const uv_handle_t *handle) {
  return (struct output *)((char *)handle - offsetof(struct output, pipe));
}

static void on_room(uv_handle_t *handle, size_t wanted, uv_buf_t *room) {
  struct output *o = output_of(handle);
  (void)wanted;
  if (o->room - o->size < LEAST_ROOM) {
    size_t more = o->room < 2 * LEAST_ROOM ? 4 * LEAST_ROOM : 2 * o->room;
    unsigned char *data = realloc(o->data, more);
    if (data) {
      o->data = data;
      o->room = more;
    }
  }
  *room =
      uv_buf_init((char *)o->data + o->size, (unsigned)(o->room - o->size < 1u << 30 ? o->room - o->size : 1u << 30));
}

static void on_output(struct mb_command *c, int i, ssize_t n) {
  if (n >= 0) {
    c->outputs[i].size += (size_t)n;
    return;
  }
  if (n != UV_EOF) c->error = (int)n;
  close_output(c, i);
  tell(c);
}

static void on_out(uv_stream_t *stream, ssize_t n, const uv_buf_t *room) {
  (void)room;
  on_output(COMMAND(stream, outputs[0].pipe), 0, n);
}

static void on_err(uv_stream_t *stream, ssize_t n, const uv_buf_t *room) {
  (void)room;
  on_output(COMMAND(stream, outputs[1].pipe), 1, n);
}

/* The owner exits. */
static void end(struct mb_scheduler *s, struct mb_process *p, struct mb_holding *holding) {
  struct mb_command *c = COMMAND(holding, holding);
  (void)s;
  (void)p;
  c->held = 0;
  c->waiter = 0;
  give_up(c);
}

/* Nobody waits for it any more. Scheduler's thread. */
static void let_go(struct mb_command *c) {
  struct mb_process *p = c->held ? mb_process_here(c->scheduler, c->owner) : NULL;
  if (p && mb_holding_remove(c->scheduler, p, &c->holding)) c->held = 0;
  give_up(c);
}

/* Starting. 0 or an error of libuv's; what is open then is closed by let_go. */

static int watch(struct mb_command *c, int i, int *fd) {
  struct output *o = &c->outputs[i];
  uv_pipe_init(mb_loop(c->scheduler), &o->pipe, 0);
  o->open = 1;
  c->references++;
  return uv_pipe_open(&o->pipe, *fd) != 0 ? UV_EBADF
         : (*fd = -1, uv_read_start((uv_stream_t *)&o->pipe, on_room, i ? on_err : on_out));
}

static int feed(struct mb_command *c, int *fd) {
  int error;
  (void)fcntl(*fd, F_SETFL, O_NONBLOCK);
  error = uv_poll_init(mb_loop(c->scheduler), &c->feed, *fd);
  if (error) return error;
  c->feed_fd = *fd;
  *fd = -1;
  c->feeding = 1;
  c->references++;
  return uv_poll_start(&c->feed, UV_WRITABLE, on_feed);
}

static int start(struct mb_command *c, struct mb_program_spec *spec, int standard_error) {
  int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
  int error = mb_program_pipe(out);
  if (!error && standard_error == STDERR_PIPE) error = mb_program_pipe(err);
  if (!error && c->input) error = mb_program_pipe(in);
  if (!error) {
    spec->fds[0] = in[0];
    spec->fds[1] = out[1];
    spec->fds[2] = standard_error == STDERR_PIPE ? err[1] : standard_error == STDERR_INHERIT ? STDERR_FILENO : out[1];
    c->references++;
    error = mb_program_start(mb_loop(c->scheduler), &c->process, spec, on_process_closed);
    c->running = !error;
  }
  if (!error) error = watch(c, 0, &out[0]);
  if (!error && standard_error == STDERR_PIPE) error = watch(c, 1, &err[0]);
  if (!error && c->input) error = feed(c, &in[1]);
  mb_program_close(in, 2);
  mb_program_close(out, 2);
  mb_program_close(err, 2);
  return error;
}

/* For Lua */

static int collect(lua_State *L) {
  struct mb_command **box = lua_touserdata(L, 1);
  struct mb_command *c = *box;
  *box = NULL;
  if (!c) return 0;
  if (mb_any_heap_of(L)->scheduler) let_go(c); /* else the loop is closed already */
  release(c);
  return 0;
}

static struct mb_command *new_command(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  struct mb_command **box = lua_newuserdatauv(L, sizeof *box, 0), *c;
  *box = NULL;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &type_key) != LUA_TTABLE) {
    static const luaL_Reg methods[] = {{"__gc", collect}, {NULL, NULL}};
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    mb_set_functions(h, L, methods);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &type_key);
  }
  lua_setmetatable(L, -2);
  *box = c = calloc(1, sizeof *c);
  if (!c) mb_no_memory(L);
  c->references = 1;
  c->next = h->io->commands;
  c->link = &h->io->commands;
  if (c->next) c->next->link = &c->next;
  h->io->commands = c;
  c->feed_fd = -1;
  c->scheduler = h->scheduler;
  c->owner = mb_pid_of(p);
  c->holding.kind = MB_HOLDING_PROGRAM;
  c->holding.end = end;
  c->held = mb_holding_add(h->scheduler, p, c->owner, &c->holding) == 0;
  return c;
}

static void push_output(lua_State *L, const struct output *o) {
  lua_pushlstring(L, o->size ? (const char *)o->data : "", o->size);
}

/* Stack: 1 its userdata */
static int run_on(lua_State *L, int status, lua_KContext deadline) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_command *c = *(struct mb_command **)lua_touserdata(L, 1);
  (void)status;
  for (;;) {
    struct mb_process *p = mb_current_still(h, L);
    int done = is_done(c) || c->error, late = !done && mb_deadline_passed(h, (uint64_t)deadline), results;
    if (done || late) {
      if (c->error) late = 0;
      let_go(c);
      if (c->error || late) {
        results =
            c->error ? mb_failure(L, c->error) : mb_failure_text(L, "ETIMEDOUT", "the program has not ended in time");
      } else {
        results = 1;
        lua_pushinteger(L, c->signal ? 128 + c->signal : (lua_Integer)c->code);
      }
      push_output(L, &c->outputs[0]);
      push_output(L, &c->outputs[1]);
      results += 2;
      if (!c->error && !late && c->signal) {
        char name[MB_SIGNAL_NAME];
        lua_pushstring(L, mb_signal_text(c->signal, name));
        results++;
      }
      return mb_worked(h, L, p, MB_COST_MESSAGE, results);
    }
    c->waiter = mb_pid_of(p);
    mb_block(h, L, p, (uint64_t)deadline, deadline, run_on);
  }
}

/* run({cmd, args...}, {"NAME=value"...} | nil, cwd | nil, stdin | nil, stderr, timeout): what the library has
 * checked */
static int run(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  uint64_t deadline = mb_check_deadline(h, L, 6, "system.run", 3, MB_TIMEOUT_OPTIONAL);
  struct mb_program_spec spec = {.on_exit = on_exit_of};
  size_t size;
  const char *input = lua_tolstring(L, 4, &size);
  int standard_error = (int)lua_tointeger(L, 5), error;
  struct mb_command *c;
  if (!mb_can_wait(h, L)) mb_cannot_wait(h, L, p);
  lua_settop(L, 6);
  mb_program_check(L, &spec);
  c = new_command(h, L, p);
  if (input) {
    c->input = malloc(size ? size : 1);
    if (!c->input) return mb_no_memory(L);
    memcpy(c->input, input, size);
    c->input_size = size;
  }
  error = start(c, &spec, standard_error);
  if (error) {
    let_go(c);
    return mb_program_failure(L, &spec, error);
  }
  lua_replace(L, 1);
  lua_settop(L, 1);
  return run_on(L, LUA_OK, (lua_KContext)deadline);
}

void mb_open_command(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"run", run}, {NULL, NULL}};
  mb_set_functions(h, L, functions);
}
