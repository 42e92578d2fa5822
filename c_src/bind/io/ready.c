#include "io/ready.h"

#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/broken_pipe.h"

enum { NAP_NS = 10000000 }; /* what cannot be watched is polled so often */

/* Of all schedulers. Partners: who begins to watch, who tells, the end of a scheduler. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct mb_ready *watchers[2];
static atomic_int awaited[2]; /* how many of them are awaited */

static void set_awaited(struct mb_ready *r, int is) {
  if (atomic_exchange(&r->awaited, is) != is) atomic_fetch_add(&awaited[r->stream->fd], is ? 1 : -1);
}

int mb_ready_is_late(int fd) {
  struct pollfd what = {.fd = fd, .events = fd == STDIN_FILENO ? POLLIN : POLLOUT};
  return poll(&what, 1, 0) == 0;
}

/* Wake those whose turn it may be. Whoever waits for something else by now looks again. */
static void wake_due(struct mb_ready *r) {
  uint32_t cursor = 0;
  int left = 0;
  for (const struct mb_entry *e; (e = mb_map_next(&r->waiting, &cursor));) {
    struct mb_process *p = mb_process_here(r->scheduler, e->key);
    if (p && r->stream->is_due && !r->stream->is_due(e->value))
      left = 1;
    else if (p)
      mb_wake(r->scheduler, p);
  }
  if (!left) {
    mb_map_deinit(&r->waiting);
    set_awaited(r, 0);
  }
}

static void on_ready(uv_poll_t *poll, int status, int events) {
  struct mb_ready *r = (struct mb_ready *)((char *)poll - offsetof(struct mb_ready, poll));
  int left = 0;
  (void)status;
  (void)events;
  if (r->stream->go_on) {
    mb_pipe_may_break = 0; /* as if the process wrote that waits for it */
    left = r->stream->go_on();
    mb_pipe_may_break = 1;
  } else {
    wake_due(r);
  }
  if (!left) uv_poll_stop(poll);
}

/* Nobody waits any more: then the loop has nothing to do, unless that is for the stream itself. */
static void stop_unless_awaited(struct mb_ready *r) {
  if (!r->stream->go_on && !atomic_load(&r->awaited)) uv_poll_stop(&r->poll);
}

static void on_told(struct mb_scheduler *s, struct mb_posted *posted) {
  struct mb_ready *r = (struct mb_ready *)((char *)posted - offsetof(struct mb_ready, told));
  (void)s;
  atomic_store(&r->posted, 0);
  wake_due(r);
  stop_unless_awaited(r);
}

/* 0, or an error: it cannot be watched. */
static int begin(struct mb_heap *h, struct mb_ready *r, const struct mb_ready_stream *stream) {
  int fd = stream->fd;
  struct epoll_event what = {.events = fd == STDIN_FILENO ? EPOLLIN : EPOLLOUT};
  int error;
  r->fd = epoll_create1(EPOLL_CLOEXEC);
  if (r->fd < 0) return UV_EMFILE;
  error = epoll_ctl(r->fd, EPOLL_CTL_ADD, fd, &what) != 0 ? UV_EPERM : 0;
  if (!error) error = uv_poll_init(mb_loop(h->scheduler), &r->poll, r->fd);
  if (error) {
    close(r->fd);
    return error;
  }
  r->stream = stream;
  r->told.run = on_told;
  r->scheduler = h->scheduler;
  pthread_mutex_lock(&mutex);
  r->next = watchers[fd];
  watchers[fd] = r;
  pthread_mutex_unlock(&mutex);
  return 0;
}

int mb_ready_watch(struct mb_heap *h, struct mb_process *p, const struct mb_ready_stream *stream,
                   uint64_t ticket) {
  struct mb_ready *r = &h->io->loop->ready[stream->fd];
  int error = r->scheduler ? 0 : begin(h, r, stream);
  if (error) return error;
  if (mb_map_put(&r->waiting, mb_pid_of(p), ticket) != 0) return UV_ENOMEM;
  set_awaited(r, 1); /* partner: mb_ready_tell */
  return uv_poll_start(&r->poll, UV_READABLE, on_ready);
}

int mb_ready_is_awaited(int fd) { return atomic_load(&awaited[fd]) > 0; }

void mb_ready_forget(struct mb_heap *h, struct mb_process *p, int fd) {
  struct mb_ready *r = &h->io->loop->ready[fd];
  if (!r->scheduler || !mb_map_remove(&r->waiting, mb_pid_of(p), NULL) || r->waiting.count) return;
  set_awaited(r, 0);
  stop_unless_awaited(r);
}

void mb_ready_wait(struct mb_heap *h, lua_State *L, struct mb_process *p, int watched, lua_KContext ctx,
                   lua_KFunction k) {
  mb_block(h, L, p, watched < 0 ? mb_now(h->runtime) + NAP_NS : 0, ctx, k);
}

void mb_ready_tell(int fd) {
  if (!mb_ready_is_awaited(fd)) return;
  pthread_mutex_lock(&mutex);
  for (struct mb_ready *r = watchers[fd]; r; r = r->next)
    if (atomic_load(&r->awaited) && !atomic_exchange(&r->posted, 1)) mb_post(r->scheduler, &r->told);
  pthread_mutex_unlock(&mutex);
}

void mb_ready_deinit(struct mb_ready *r) {
  if (!r->scheduler) return;
  pthread_mutex_lock(&mutex);
  for (struct mb_ready **at = &watchers[r->stream->fd]; *at; at = &(*at)->next) {
    if (*at != r) continue;
    *at = r->next;
    break;
  }
  pthread_mutex_unlock(&mutex);
  set_awaited(r, 0);
  close(r->fd);
  mb_map_deinit(&r->waiting);
}
