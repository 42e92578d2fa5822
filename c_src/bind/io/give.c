#include "io/give.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codec/codec.h"
#include "core/post.h"
#include "heap/arguments.h"
#include "heap/errors.h"
#include "process/home.h"

uint64_t mb_give_id(struct mb_heap *h, lua_State *L, int index) {
  const struct mb_object *o = h->io->giving ? mb_object_of(L, index, &mb_socket_type) : NULL;
  return o && o == h->io->giving ? o->id : 0;
}

/* What goes to another scheduler, and comes back with an answer. */
struct parcel {
  struct mb_posted posted;
  struct mb_scheduler *from;
  struct mb_heap *heap;     /* of `from`, which stays while it has the socket */
  struct mb_socket *socket; /* the giver's, a reference; of `from` */
  mb_pid receiver;
  struct mb_signal *message;
  uint64_t id;
  struct mb_tls *tls; /* taken from the socket, or NULL */
  uint64_t secure_until;
  int fd, is_pipe, ended, broken, shut, secured, error;
  size_t high_water, line_limit;
  size_t size;
  unsigned char bytes[]; /* unread */
};

/* The giver's socket has its TLS again, unless it has been closed meanwhile. */
static void give_back(struct mb_socket *mine, struct parcel *g) {
  if (mine->object.closed)
    mb_tls_free(g->tls);
  else
    mine->tls = g->tls;
}

/* Back on the giver's scheduler: what has been taken is closed here, which the other side does not notice. */
static void answered(struct mb_scheduler *s, struct mb_posted *posted) {
  struct parcel *g = (struct parcel *)posted;
  struct mb_socket *mine = g->socket;
  mine->giving = 0;
  mine->given = g->error;
  if (g->error) {
    close(g->fd);
    give_back(mine, g);
    if (g->message) mb_signal_free(g->message);
  } else {
    mb_object_close(&mine->object, MB_CLOSE_AT_ONCE);
  }
  mb_wake_waiter(s, &mine->object.waiter);
  mb_object_release(&mine->object);
  free(g);
}

static int take(struct mb_scheduler *s, struct mb_process *p, struct parcel *g) {
  int error;
  struct mb_socket *new = mb_socket_new(mb_process_heap(s, p), p, g->is_pipe, g->id, &error);
  if (!new) return error;
  if (g->size) error = mb_socket_put(new, g->bytes, g->size);
  if (!error) {
    int fd = dup(g->fd); /* so that the parcel's can be given back */
    error = fd < 0 ? uv_translate_sys_error(errno) : mb_socket_open(new, fd);
  }
  if (error) {
    mb_object_close(&new->object, MB_CLOSE_AT_ONCE);
    return error;
  }
  new->object.mailed = 1;
  new->tls = g->tls;
  new->secure_until = g->secure_until;
  new->secured = (uint8_t)g->secured;
  new->ended = g->ended;
  new->broken = g->broken;
  new->shut = (uint8_t)g->shut;
  new->high_water = g->high_water;
  new->line_limit = g->line_limit;
  return 0;
}

/* The receiver has come to the giver's scheduler meanwhile: only the owner changes, as if it had been here. */
static void come_back(struct mb_scheduler *s, struct parcel *g) {
  struct mb_socket *mine = g->socket;
  struct mb_process *p = mb_process_here(s, g->receiver);
  close(g->fd);
  mine->giving = 0;
  mine->given = UV_ESRCH;
  give_back(mine, g);
  if (mine->object.closed) {
    mine->given = UV_ECANCELED;
  } else if (p && mb_object_give(&mine->object, p, g->receiver) == 0) {
    mine->given = 0;
    mine->object.mailed = 1;
  }
  mb_wake_waiter(s, &mine->object.waiter); /* first: from now on it is the receiver's, who may wait, too */
  if (mine->given == 0)
    mb_signal_send(s, g->receiver, g->message);
  else
    mb_signal_free(g->message);
  mb_object_release(&mine->object);
  free(g);
}

/* On the receiver's scheduler. */
static void arrived(struct mb_scheduler *s, struct mb_posted *posted) {
  struct parcel *g = (struct parcel *)posted;
  struct mb_process *p = mb_process_table_lookup(&s->runtime->table, g->receiver);
  if (p && !mb_is_here(s, p)) { /* it was given away meanwhile */
    mb_post(atomic_load_explicit(&p->scheduler, memory_order_acquire), posted);
    return;
  }
  if (p && p->start) mb_home_set(s == g->from ? g->heap : mb_scheduler_heap(s), p);
  if (s == g->from && (!p || mb_process_heap(s, p) == g->heap)) {
    come_back(s, g);
    return;
  }
  p = mb_process_here(s, g->receiver);
  g->error = p ? take(s, p, g) : UV_ESRCH;
  if (!g->error) {
    close(g->fd);
    mb_signal_send(s, g->receiver, g->message);
    g->message = NULL;
  }
  g->posted.run = answered;
  mb_post(g->from, &g->posted);
}

static int no_process(lua_State *L) { return mb_failure_text(L, "ESRCH", "the process to give it to is dead"); }

/* Waits for the answer. Stack: 1 socket. */
static int give_on(lua_State *L, int status, lua_KContext unused) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_socket *s = (struct mb_socket *)mb_object_of(L, 1, &mb_socket_type);
  (void)status;
  (void)unused;
  for (;;) {
    struct mb_process *p = mb_current_still(h, L);
    if (!s->giving) {
      if (s->given == 0) { /* whatever the receiver has done with it since */
        lua_pushboolean(L, 1);
        return mb_worked(h, L, p, MB_COST_SPAWN, 1);
      }
      if (s->object.closed) return mb_object_gone(L, 1);
      return s->given == UV_ESRCH ? no_process(L) : mb_failure(L, s->given);
    }
    s->object.waiter = mb_pid_of(p);
    mb_block(h, L, p, 0, 0, give_on);
  }
}

/* Let it go to the process in slot `to`, which lives elsewhere. The message is taken over. */
static int send_away(struct mb_heap *h, lua_State *L, struct mb_socket *s, struct mb_scheduler *to, mb_pid pid,
                     struct mb_signal *message) {
  struct parcel *g = malloc(sizeof *g + s->size);
  uv_os_fd_t fd;
  int error = g ? uv_fileno(&s->uv.handle, &fd) : UV_ENOMEM;
  if (!error && (fd = dup(fd)) < 0) error = uv_translate_sys_error(errno);
  if (error) {
    free(g);
    mb_signal_free(message);
    return mb_failure(L, error);
  }
  mb_socket_stop(s);
  *g = (struct parcel){.posted = {.run = arrived}, .from = h->scheduler, .heap = h, .socket = s, .receiver = pid,
                       .message = message, .id = s->object.id, .fd = fd, .is_pipe = s->is_pipe, .ended = s->ended,
                       .broken = s->broken, .shut = s->shut, .tls = s->tls, .secured = s->secured,
                       .secure_until = s->secure_until, .high_water = s->high_water, .line_limit = s->line_limit,
                       .size = s->size};
  if (s->size) memcpy(g->bytes, s->bytes + s->start, s->size);
  s->giving = 1;
  s->tls = NULL; /* the parcel's, which goes to another thread */
  mb_object_retain(&s->object);
  mb_post(to, &g->posted);
  return give_on(L, LUA_OK, 0);
}

static int encode_message(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  struct mb_signal *message = mb_encode_signal(h, L, 2, 1, "give a socket away", MB_MESSAGE);
  lua_pushlightuserdata(L, message);
  return 1;
}

/* The message {"socket", socket, from [, gift]}: stack 1 socket, 3 gift or nothing. Raises what cannot be copied. */
static struct mb_signal *make_message(struct mb_heap *h, lua_State *L, struct mb_process *p, struct mb_socket *s) {
  struct mb_object *giving = h->io->giving;
  struct mb_signal *message;
  int status;
  lua_pushcfunction(L, encode_message);
  lua_pushlightuserdata(L, h);
  lua_createtable(L, 4, 0);
  lua_pushliteral(L, "socket");
  lua_rawseti(L, -2, 1);
  lua_pushvalue(L, 1);
  lua_rawseti(L, -2, 2);
  mb_push_id(L, mb_pid_of(p));
  lua_rawseti(L, -2, 3);
  if (!lua_isnoneornil(L, 3)) {
    lua_pushvalue(L, 3);
    lua_rawseti(L, -2, 4);
  }
  h->io->giving = &s->object;
  status = lua_pcall(L, 2, 1, 0);
  h->io->giving = giving;
  if (status != LUA_OK) lua_error(L);
  message = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return message;
}

/* Whether the process lives in this heap; one that has not started anywhere does from now on. */
static int is_beside(struct mb_heap *h, struct mb_process *to) {
  if (!mb_is_here(h->scheduler, to)) return 0;
  if (to->start) mb_home_set(h, to);
  return mb_process_heap(h->scheduler, to) == h;
}

/* Waits until what is queued is written: it cannot go along. Stack: 1 socket, 2 pid, 3 gift. */
static int flushed_on(lua_State *L, int status, lua_KContext unused) {
  struct mb_heap *h = mb_heap_of(L);
  int waited = status == LUA_YIELD, beside;
  mb_pid pid = mb_to_pid(L, 2);
  (void)unused;
  for (;;) {
    struct mb_process *p = mb_current_still(h, L), *to;
    struct mb_socket *s = (struct mb_socket *)mb_object_own(h, L, p, "give_away");
    if (!s) return mb_object_gone(L, waited);
    to = mb_process_table_lookup(&h->runtime->table, pid);
    if (!to) return no_process(L);
    beside = is_beside(h, to);
    if (beside || mb_socket_queued(s) == 0 || s->broken) {
      struct mb_signal *message;
      s->active = 0;
      message = make_message(h, L, p, s);
      if (!beside)
        return send_away(h, L, s, atomic_load_explicit(&to->scheduler, memory_order_acquire), pid, message);
      if (mb_object_give(&s->object, to, pid) != 0) {
        mb_signal_free(message);
        return no_process(L);
      }
      s->object.mailed = 1;
      mb_signal_send(h->scheduler, pid, message);
      lua_pushboolean(L, 1);
      return mb_worked(h, L, p, MB_COST_SPAWN, 1);
    }
    uv_ref(&s->uv.handle);
    waited = 1;
    mb_object_wait(h, L, &s->object, p, 0, flushed_on);
  }
}

int mb_socket_give_away(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  struct mb_socket *s = (struct mb_socket *)mb_object_own(h, L, p, "give_away");
  mb_pid pid = mb_check_pid(h, L, 2, "give_away", 1);
  lua_settop(L, 3);
  mb_check_takes(h, L);
  if (!s) return mb_object_gone(L, 0);
  (void)pid;
  return flushed_on(L, LUA_OK, 0);
}
