#include "io/ready.h"

#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { NAP_NS = 10000000 }; /* what cannot be watched is polled so often */

int mb_ready_is_late(struct mb_heap *h, lua_State *L, int fd) {
  struct pollfd what = {.fd = fd, .events = fd == STDIN_FILENO ? POLLIN : POLLOUT};
  return h && h->scheduler && !mb_outside(h, L) && mb_can_wait(h, L) && poll(&what, 1, 0) == 0;
}

static void on_ready(uv_poll_t *poll, int status, int events) {
  struct mb_ready *r = (struct mb_ready *)((char *)poll - offsetof(struct mb_ready, poll));
  uint32_t cursor = 0;
  (void)status;
  (void)events;
  uv_poll_stop(poll);
  for (const struct mb_entry *e; (e = mb_map_next(&r->waiting, &cursor));) {
    struct mb_process *p = mb_process_here(r->scheduler, e->key);
    if (p) mb_wake(r->scheduler, p); /* who waits for something else by now looks again */
  }
  mb_map_deinit(&r->waiting);
}

/* 0, or an error: it cannot be watched. */
static int watch(struct mb_heap *h, struct mb_ready *r, int fd, mb_pid pid) {
  int error = 0;
  if (!r->scheduler) {
    struct epoll_event what = {.events = fd == STDIN_FILENO ? EPOLLIN : EPOLLOUT};
    r->fd = epoll_create1(EPOLL_CLOEXEC);
    if (r->fd < 0) return UV_EMFILE;
    error =
        epoll_ctl(r->fd, EPOLL_CTL_ADD, fd, &what) != 0 ? UV_EPERM : uv_poll_init(h->scheduler->loop, &r->poll, r->fd);
    if (error) {
      close(r->fd);
      return error;
    }
    r->scheduler = h->scheduler;
  }
  if (mb_map_put(&r->waiting, pid, 1) != 0) return UV_ENOMEM;
  return uv_poll_start(&r->poll, UV_READABLE, on_ready);
}

void mb_ready_wait(struct mb_heap *h, lua_State *L, struct mb_process *p, int fd, lua_KFunction k) {
  int error = watch(h, &h->io->ready[fd], fd, mb_pid_of(p));
  mb_block(h, L, p, error ? mb_now(h->runtime) + NAP_NS : 0, 0, k);
}

void mb_ready_deinit(struct mb_ready *r) {
  if (r->scheduler) close(r->fd);
  mb_map_deinit(&r->waiting);
}
