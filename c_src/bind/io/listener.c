#include "io/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "heap/errors.h"
#include "io/address.h"
#include "io/socket.h"
#include "log/log.h"

enum { PAUSE_MS = 100 /* when there are no descriptors left */ };

struct mb_listening {
  struct mb_listening *next; /* under the lock of all */
  uint64_t id;
  unsigned references;       /* under the lock of all: objects of it */
  atomic_int closed;         /* release and acquire: who sees it lets go of the descriptor */
  atomic_int told;           /* that there are no descriptors left has been logged */
  int fd, is_pipe;
  char *path; /* of a Unix socket, removed at the end; or NULL */
};

struct listener {
  struct mb_object object;
  uv_poll_t poll;
  struct mb_listening *shared;
  mb_pid *waiting; /* who waits in accept, first come first */
  uint32_t count, room;
  uint8_t polling;
};

static struct mb_listenings *all_of(struct mb_object *o) { return o->io->heap->listenings; }

/* Who waits */

static void forget(struct listener *l, mb_pid pid) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < l->count; i++)
    if (l->waiting[i] != pid) l->waiting[kept++] = l->waiting[i];
  l->count = kept;
}

static int remember(struct listener *l, mb_pid pid) {
  if (l->count == l->room) {
    struct mb_scheduler *s = l->object.io->heap->scheduler;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < l->count; i++)
      if (mb_process_here(s, l->waiting[i])) l->waiting[kept++] = l->waiting[i];
    l->count = kept;
  }
  if (l->count == l->room) {
    uint32_t room = l->room ? 2 * l->room : 4;
    mb_pid *more = realloc(l->waiting, room * sizeof *more);
    if (!more) return UV_ENOMEM;
    l->waiting = more;
    l->room = room;
  }
  l->waiting[l->count++] = pid;
  return 0;
}

static void stop(struct listener *l) {
  if (l->polling) uv_poll_stop(&l->poll);
  l->polling = 0;
}

static void wake_all(struct listener *l) {
  struct mb_scheduler *s = l->object.io->heap->scheduler;
  for (uint32_t i = 0; i < l->count; i++) mb_wake_waiter(s, &l->waiting[i]);
  l->count = 0;
}

/* Connections are there, or the listener has been closed, here or elsewhere. */
static void on_ready(uv_poll_t *poll, int status, int events) {
  struct listener *l = (struct listener *)((char *)poll - offsetof(struct listener, poll));
  struct mb_scheduler *s = l->object.io->heap->scheduler;
  (void)status;
  (void)events;
  if (atomic_load_explicit(&l->shared->closed, memory_order_acquire)) {
    stop(l);
    wake_all(l);
    return;
  }
  while (l->count > 0) {
    struct mb_process *p = mb_process_here(s, l->waiting[0]);
    memmove(l->waiting, l->waiting + 1, --l->count * sizeof *l->waiting);
    if (!p) continue;
    mb_wake(s, p);
    break;
  }
  if (l->count == 0) stop(l);
}

static int watch(struct listener *l) {
  int error = l->polling ? 0 : uv_poll_start(&l->poll, UV_READABLE, on_ready);
  if (!error) l->polling = 1;
  return error;
}

/* Closing */

static void let_go(struct mb_listenings *all, struct mb_listening *shared) {
  int last;
  mb_lock_take(&all->lock); /* partner: mb_listener_arrived on any thread */
  last = --shared->references == 0;
  if (last)
    for (struct mb_listening **at = &all->first; *at; at = &(*at)->next)
      if (*at == shared) {
        *at = shared->next;
        break;
      }
  mb_lock_drop(&all->lock);
  if (!last) return;
  close(shared->fd);
  free(shared->path);
  free(shared);
}

static void on_closed(uv_handle_t *handle) {
  struct listener *l = (struct listener *)((char *)handle - offsetof(struct listener, poll));
  struct mb_listenings *all = all_of(&l->object);
  struct mb_listening *shared = l->shared;
  l->shared = NULL;
  let_go(all, shared);
  mb_object_release(&l->object);
}

/* The one that the owner has, or that somebody closes: then all do. */
static void close_all(struct mb_listening *shared) {
  if (atomic_exchange(&shared->closed, 1)) return;
  if (shared->path) (void)unlink(shared->path);
  (void)shutdown(shared->fd, SHUT_RDWR); /* wakes those that watch it on other schedulers */
}

/* Let this scheduler's go. */
static void close_here(struct mb_object *o, int how) {
  struct listener *l = (struct listener *)o;
  (void)how;
  stop(l);
  wake_all(l);
  uv_close((uv_handle_t *)&l->poll, on_closed);
}

static void close_owned(struct mb_object *o, int how) {
  close_all(((struct listener *)o)->shared);
  close_here(o, how);
}

static void free_listener(struct mb_object *o) {
  struct listener *l = (struct listener *)o;
  free(l->waiting);
  free(l);
}

/* Others may accept from it. */
static int is_closed(const struct mb_object *o) {
  return atomic_load_explicit(&((const struct listener *)o)->shared->closed, memory_order_acquire);
}

static const luaL_Reg methods[4];

/* The owner's; and what it is elsewhere, which is collected as other values are. */
static const struct mb_object_type owned = {.name = "listener", .kind = MB_HOLDING_LISTENER, .methods = methods,
                                            .close = close_owned, .free = free_listener, .is_idle = is_closed};
const struct mb_object_type mb_listener_guest_type = {.name = "listener", .kind = MB_HOLDING_LISTENER, .methods = methods,
                                            .close = close_here, .free = free_listener};

/* Making */

static struct listener *make(struct mb_heap *h, struct mb_process *p, struct mb_listening *shared, int *error) {
  struct listener *l = calloc(1, sizeof *l);
  *error = UV_ENOMEM;
  if (!l) return NULL;
  *error = uv_poll_init(h->scheduler->loop, &l->poll, shared->fd);
  if (*error) {
    free(l);
    return NULL;
  }
  l->shared = shared;
  l->object.id = shared->id;
  if (p)
    mb_object_init(&l->object, h, &owned, p);
  else
    mb_object_init_unowned(&l->object, h, &mb_listener_guest_type);
  return l;
}

int mb_listener_push_new(struct mb_heap *h, lua_State *L, struct mb_process *p, int fd, int backlog, const char *path) {
  struct mb_listening *shared = calloc(1, sizeof *shared);
  struct listener *l = NULL;
  int error = shared && listen(fd, backlog) != 0 ? uv_translate_sys_error(errno) : shared ? 0 : UV_ENOMEM;
  if (!error && path) {
    shared->path = strdup(path);
    shared->is_pipe = 1;
    if (!shared->path) error = UV_ENOMEM;
  }
  if (error) goto failed;
  shared->id = mb_object_id() | MB_TRAVELLER;
  shared->fd = fd;
  shared->references = 1;
  l = make(h, p, shared, &error);
  if (!l) goto failed;
  mb_lock_take(&h->listenings->lock); /* partner: mb_listener_arrived */
  shared->next = h->listenings->first;
  h->listenings->first = shared;
  mb_lock_drop(&h->listenings->lock);
  mb_object_push(h, L, &l->object);
  return 1;

failed:
  close(fd);
  if (shared) free(shared->path);
  free(shared);
  return mb_failure(L, error);
}

int mb_listener_arrived(struct mb_heap *h, lua_State *L, uint64_t id) {
  struct mb_listening *shared;
  struct listener *l;
  int error;
  mb_lock_take(&h->listenings->lock); /* partner: let_go on any thread */
  for (shared = h->listenings->first; shared && shared->id != id;) shared = shared->next;
  if (shared && atomic_load_explicit(&shared->closed, memory_order_acquire)) shared = NULL;
  if (shared) shared->references++;
  mb_lock_drop(&h->listenings->lock);
  if (!shared) return 0;
  l = make(h, NULL, shared, &error);
  if (!l) {
    let_go(h->listenings, shared);
    return 0;
  }
  mb_object_push(h, L, &l->object);
  return 1;
}

uint64_t mb_listener_id(lua_State *L, int index) {
  const struct mb_object *o = mb_object_of(L, index, &owned);
  if (!o) o = mb_object_of(L, index, &mb_listener_guest_type);
  return o ? o->id : 0;
}

/* Methods */

static struct listener *check(lua_State *L, const char *method) {
  struct listener *l = (struct listener *)mb_object_check(L, method);
  if (!l || l->object.closed) return NULL;
  if (!is_closed(&l->object)) return l;
  mb_object_close(&l->object, MB_CLOSE_AT_ONCE); /* elsewhere it has been */
  return NULL;
}

static int is_shortage(int error) { return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM; }

static int is_passing(int error) {
  return error == ECONNABORTED || error == EINTR || error == EPROTO || error == ENETDOWN || error == ENETUNREACH ||
         error == EHOSTDOWN || error == EHOSTUNREACH || error == EOPNOTSUPP || error == ENONET || error == ENOPROTOOPT;
}

static void tell_shortage(struct mb_heap *h, lua_State *L, struct mb_listening *shared, int error) {
  char text[128];
  if (atomic_exchange(&shared->told, 1)) return;
  lua_pushfstring(L, "a listener cannot accept: %s; it tries again every %d ms (this is said once)",
                  uv_strerror_r(uv_translate_sys_error(error), text, sizeof text), PAUSE_MS);
  mb_log(h, L, MB_LOG_WARNING);
}

static int push_accepted(struct mb_heap *h, lua_State *L, struct mb_process *p, struct mb_listening *shared, int fd) {
  int error;
  struct mb_socket *s = mb_socket_new(h, p, shared->is_pipe, 0, &error);
  if (!s) {
    close(fd);
    return mb_failure(L, error);
  }
  error = mb_socket_open(s, fd);
  if (error) {
    mb_object_close(&s->object, MB_CLOSE_AT_ONCE);
    return mb_failure(L, error);
  }
  mb_object_push(h, L, &s->object);
  return mb_worked(h, L, p, MB_COST_SPAWN, 1);
}

static int accept_on(lua_State *L, int status, lua_KContext deadline) {
  struct mb_heap *h = mb_heap_of(L);
  int waited = status == LUA_YIELD;
  lua_settop(L, 1);
  for (;;) {
    struct mb_process *p = mb_current_still(h, L);
    struct listener *l = check(L, "accept");
    uint64_t until = (uint64_t)deadline;
    int fd, error;
    if (!l) return mb_object_gone(L, waited);
    fd = accept4(l->shared->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      atomic_store_explicit(&l->shared->told, 0, memory_order_relaxed);
      return push_accepted(h, L, p, l->shared, fd);
    }
    error = errno;
    if (atomic_load_explicit(&l->shared->closed, memory_order_acquire)) continue;
    if (is_passing(error)) continue;
    if (mb_deadline_passed(h, until)) {
      forget(l, mb_pid_of(p));
      return mb_failure(L, UV_ETIMEDOUT);
    }
    if (is_shortage(error)) {
      uint64_t pause = mb_now(h->runtime) + PAUSE_MS * 1000000ull;
      tell_shortage(h, L, l->shared, error);
      if (!until || until > pause) until = pause;
    } else if (error != EAGAIN && error != EWOULDBLOCK) {
      return mb_failure(L, uv_translate_sys_error(error));
    } else {
      forget(l, mb_pid_of(p));
      error = remember(l, mb_pid_of(p));
      if (!error) error = watch(l);
      if (error) return mb_failure(L, error);
    }
    waited = 1;
    mb_block(h, L, p, until, deadline, accept_on);
  }
}

static int do_accept(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  uint64_t deadline = mb_check_deadline(h, L, 2, "accept", 1, MB_TIMEOUT_OPTIONAL);
  (void)mb_current(h, L);
  return accept_on(L, LUA_OK, (lua_KContext)deadline);
}

static int do_close(lua_State *L) {
  struct listener *l = check(L, "close");
  if (l) {
    close_all(l->shared);
    mb_object_close(&l->object, MB_CLOSE_AT_ONCE);
  }
  lua_pushboolean(L, 1);
  return 1;
}

static int sockname(lua_State *L) {
  struct listener *l = check(L, "sockname");
  struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
  socklen_t size = sizeof address;
  if (!l) return mb_object_gone(L, 0);
  if (getsockname(l->shared->fd, (struct sockaddr *)&address, &size) != 0)
    return mb_failure(L, uv_translate_sys_error(errno));
  mb_address_push(mb_heap_of(L), L, (struct sockaddr *)&address, size);
  return 1;
}

static const luaL_Reg methods[4] = {{"accept", do_accept}, {"close", do_close}, {"sockname", sockname}, {NULL, NULL}};
