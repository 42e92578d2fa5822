#include "io/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/post.h"
#include "heap/errors.h"
#include "io/address.h"
#include "io/socket.h"
#include "log/log.h"

enum { PAUSE_MS = 100 /* when there are no descriptors left */ };

struct listener {
  struct mb_object object;
  union {
    uv_handle_t handle;
    uv_poll_t poll;   /* of the part */
    uv_check_t none;  /* closes one that has no part */
  } uv;
  struct mb_listening *shared;
  struct mb_part *part; /* NULL: nobody has accepted here yet */
  int watched;          /* the part's descriptor, or a duplicate: another heap of the scheduler watches that */
  mb_pid *waiting; /* who waits in accept, first come first */
  uint32_t count, room;
  uint8_t polling;
};

static struct listener *of_handle(void *handle) {
  return (struct listener *)((char *)handle - offsetof(struct listener, uv));
}

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
  if (l->polling) uv_poll_stop(&l->uv.poll);
  l->polling = 0;
}

static void wake_all(struct listener *l) {
  struct mb_scheduler *s = l->object.io->heap->scheduler;
  for (uint32_t i = 0; i < l->count; i++) mb_wake_waiter(s, &l->waiting[i]);
  l->count = 0;
}

static int wake_one(struct listener *l) {
  struct mb_scheduler *s = l->object.io->heap->scheduler;
  while (l->count > 0) {
    struct mb_process *p = mb_process_here(s, l->waiting[0]);
    memmove(l->waiting, l->waiting + 1, --l->count * sizeof *l->waiting);
    if (!p) continue;
    mb_wake(s, p);
    return 1;
  }
  return 0;
}

static void watch_on(struct listener *l);

struct news {
  struct mb_posted posted;
  uint64_t id;
};

/* On another scheduler, or for other heaps of this one: there is a spare connection, or room for more. */
static void on_news(struct mb_scheduler *s, struct mb_posted *posted) {
  struct news *news = (struct news *)posted;
  uint64_t id = news->id;
  free(news);
  for (const struct mb_heap *h = mb_scheduler_heap(s); h; h = h->next) {
    const uint64_t *known = mb_map_get(&h->io->by_id, id);
    struct listener *l = known ? (struct listener *)(uintptr_t)*known : NULL;
    if (!l || l->object.closed) continue;
    wake_all(l);
    if (l->part) watch_on(l);
  }
}

static void tell_others(struct listener *l) {
  struct mb_scheduler *own = l->object.io->heap->scheduler;
  struct mb_runtime *rt = own->runtime;
  uint32_t count = atomic_load_explicit(&rt->started, memory_order_acquire); /* partner: mb_runtime_start */
  for (uint32_t i = 0; i < count; i++) {
    int is_alone = &rt->schedulers[i] == own && !mb_scheduler_heap(own)->next;
    struct news *news = is_alone ? NULL : malloc(sizeof *news);
    if (!news) continue; /* whoever accepts next finds it */
    *news = (struct news){.posted = {.run = on_news}, .id = l->shared->id};
    mb_post(&rt->schedulers[i], &news->posted);
  }
}

/* Errors of one connection, or that there is none any more: the next one may be fine. */
static int is_passing(int error) {
  return error == ECONNABORTED || error == EINTR || error == EPROTO || error == ENETDOWN || error == ENETUNREACH ||
         error == EHOSTDOWN || error == EHOSTUNREACH || error == EOPNOTSUPP || error == ENONET || error == ENOPROTOOPT;
}

/* A connection has come to where nobody accepts. 0: it has to wait. */
static int spare_one(struct listener *l) {
  int fd;
  if (mb_listening_is_full(l->shared)) return 0;
  fd = accept4(l->part->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return errno == EAGAIN || errno == EWOULDBLOCK || is_passing(errno);
  mb_listening_spare(all_of(&l->object), l->shared, fd);
  tell_others(l);
  return 1;
}

/* Connections are there, or the listener has been closed, here or elsewhere. */
static void on_ready(uv_poll_t *poll, int status, int events) {
  struct listener *l = of_handle(poll);
  int go_on = l->shared->acceptors > 1;
  (void)status;
  (void)events;
  if (atomic_load_explicit(&l->shared->closed, memory_order_acquire)) {
    stop(l);
    wake_all(l);
    return;
  }
  if (!wake_one(l) && go_on) go_on = spare_one(l);
  if (l->count > 0) return;
  if (go_on)
    uv_unref(&l->uv.handle);
  else
    stop(l);
}

static int watch(struct listener *l) {
  int error = l->polling ? 0 : uv_poll_start(&l->uv.poll, UV_READABLE, on_ready);
  if (!error) l->polling = 1;
  return error;
}

/* The same for connections that are to go elsewhere. */
static void watch_on(struct listener *l) {
  if (l->polling) return;
  (void)watch(l);
  uv_unref(&l->uv.handle);
}

/* Somebody accepts: a part is needed from here on. 0 or an error. */
static int need_part(struct listener *l) {
  struct mb_listenings *all = all_of(&l->object);
  int error;
  if (l->part) return 0;
  l->part = mb_listening_claim(all, l->shared);
  l->watched = l->part->fd;
  error = uv_poll_init(mb_loop(l->object.io->heap->scheduler), &l->uv.poll, l->watched);
  if (error == UV_EEXIST) {
    l->watched = fcntl(l->part->fd, F_DUPFD_CLOEXEC, 0);
    error = l->watched < 0 ? uv_translate_sys_error(errno)
                           : uv_poll_init(mb_loop(l->object.io->heap->scheduler), &l->uv.poll, l->watched);
    if (error && l->watched >= 0) close(l->watched);
  }
  if (!error && l->shared->acceptors > 1) watch_on(l);
  if (!error) return 0;
  mb_listening_yield(all, l->shared, l->part);
  l->part = NULL;
  return error;
}

/* Closing */

/* What waits in its part would be lost with that. */
static void rescue(struct listener *l) {
  int fd, any = 0;
  if (l->shared->acceptors == 1 || atomic_load_explicit(&l->shared->closed, memory_order_acquire)) return;
  while ((fd = accept4(l->part->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    mb_listening_spare(all_of(&l->object), l->shared, fd);
    any = 1;
  }
  if (any) tell_others(l);
}

static void on_closed(uv_handle_t *handle) {
  struct listener *l = of_handle(handle);
  struct mb_listenings *all = all_of(&l->object);
  if (l->part) {
    if (l->watched != l->part->fd) close(l->watched);
    rescue(l);
    mb_listening_yield(all, l->shared, l->part);
  }
  mb_listening_release(all, l->shared);
  l->shared = NULL;
  mb_object_release(&l->object);
}

/* Let this scheduler's go. */
static void close_here(struct mb_object *o, int how) {
  struct listener *l = (struct listener *)o;
  (void)how;
  stop(l);
  wake_all(l);
  if (!l->part) uv_check_init(mb_loop(o->io->heap->scheduler), &l->uv.none);
  uv_close(&l->uv.handle, on_closed);
}

/* The one that the owner has: all close. */
static void close_owned(struct mb_object *o, int how) {
  mb_listening_close(all_of(o), ((struct listener *)o)->shared);
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
const struct mb_object_type mb_listener_guest_type = {
    .name = "listener", .kind = MB_HOLDING_LISTENER, .methods = methods, .close = close_here, .free = free_listener};

/* Making */

/* The object of this scheduler, p's or a guest; takes the reference to shared over, unless it returns NULL. */
static struct listener *make(struct mb_heap *h, struct mb_process *p, struct mb_listening *shared) {
  struct listener *l = calloc(1, sizeof *l);
  if (!l) return NULL;
  l->shared = shared;
  l->object.id = shared->id;
  if (p)
    mb_object_init(&l->object, h, &owned, p);
  else
    mb_object_init_unowned(&l->object, h, &mb_listener_guest_type);
  return l;
}

int mb_listener_push_new(struct mb_heap *h, lua_State *L, struct mb_process *p, const struct sockaddr *address,
                         socklen_t size, struct mb_listen_options options) {
  struct mb_listening *shared;
  struct listener *l = NULL;
  int error = mb_listening_open(h->listenings, mb_object_id() | MB_TRAVELLER, address, size, options, &shared);
  if (error) return mb_failure(L, error);
  l = make(h, p, shared);
  if (!l) {
    mb_listening_release(h->listenings, shared);
    return mb_failure(L, UV_ENOMEM);
  }
  mb_object_push(h, L, &l->object);
  return 1;
}

int mb_listener_arrived(struct mb_heap *h, lua_State *L, uint64_t id) {
  struct mb_listening *shared = mb_listening_find(h->listenings, id);
  struct listener *l = shared ? make(h, NULL, shared) : NULL;
  if (l) {
    mb_object_push(h, L, &l->object);
    return 1;
  }
  if (shared) mb_listening_release(h->listenings, shared);
  return 0;
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

static void tell_shortage(struct mb_heap *h, lua_State *L, struct mb_listening *shared, int error) {
  char text[128];
  if (atomic_exchange(&shared->told, 1)) return;
  lua_pushfstring(L, "a listener cannot accept: %s; it tries again every %d ms (this is said once)",
                  uv_strerror_r(uv_translate_sys_error(error), text, sizeof text), PAUSE_MS);
  mb_log(h, L, MB_LOG_WARNING);
}

static int push_accepted(struct mb_heap *h, lua_State *L, struct mb_process *p, const struct mb_listening *shared,
                         int fd) {
  int error;
  struct mb_socket *s = mb_socket_new(h, p, shared->path != NULL, 0, &error);
  if (!s) {
    close(fd);
    return mb_failure(L, error);
  }
  error = mb_socket_open(s, fd);
  if (!error && shared->tls) {
    struct mb_tls *tls = shared->tls->functions->open(shared->tls, NULL);
    error = tls ? mb_socket_secure(s, tls) : UV_ENOMEM;
  }
  if (error) {
    mb_object_close(&s->object, MB_CLOSE_AT_ONCE);
    return mb_failure(L, error);
  }
  mb_object_push(h, L, &s->object);
  return mb_worked(h, L, p, MB_COST_SPAWN, 1);
}

/* A connection that is there: its descriptor, or -1 with errno. */
static int next_connection(struct listener *l) {
  int was_full, fd = mb_listening_take(all_of(&l->object), l->shared, &was_full);
  if (was_full) tell_others(l);
  return fd >= 0 ? fd : accept4(l->part->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
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
    error = need_part(l);
    if (error) return mb_failure(L, error);
    fd = next_connection(l);
    if (fd >= 0) {
      atomic_store_explicit(&l->shared->told, 0, memory_order_relaxed);
      return push_accepted(h, L, p, l->shared, fd);
    }
    error = errno;
    if (atomic_load_explicit(&l->shared->closed, memory_order_acquire)) continue;
    if (is_passing(error)) continue;
    if (mb_deadline_passed(h, until)) {
      forget(l, mb_pid_of(p));
      if (!l->count) uv_unref(&l->uv.handle); /* nobody waits for it */
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
      uv_ref(&l->uv.handle);
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
    mb_listening_close(all_of(&l->object), l->shared);
    mb_object_close(&l->object, MB_CLOSE_AT_ONCE);
  }
  lua_pushboolean(L, 1);
  return 1;
}

static int sockname(lua_State *L) {
  struct listener *l = check(L, "sockname");
  if (!l) return mb_object_gone(L, 0);
  mb_address_push(mb_heap_of(L), L, (struct sockaddr *)&l->shared->address, l->shared->size);
  return 1;
}

static const luaL_Reg methods[4] = {{"accept", do_accept}, {"close", do_close}, {"sockname", sockname}, {NULL, NULL}};
