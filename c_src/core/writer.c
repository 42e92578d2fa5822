#include "writer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "outlet.h"

enum {
  STALL_MS = 1000,   /* a reader that takes nothing for so long is given up by who waits for the end */
  DRAIN_MS = 5000,   /* and so long at most in all */
  NOTICE_SIZE = 512,
  STACK_SIZE = 256 * 1024
};

struct mb_writer {
  mb_writer_notice notice;
  const struct mb_writer_frame *frame;
  pthread_mutex_t mutex; /* guards all below. Partners: who puts, who drains, the thread */
  pthread_cond_t filled;   /* the thread waits for entries */
  pthread_cond_t progress; /* who drains waits for the thread */
  struct mb_backlog backlog;
  struct mb_record *now; /* being written; freed by who ends the thread in its write */
  int busy;             /* something is being written */
  int stuck;            /* who drained has given up, and nothing has been written since */
  uint64_t done;        /* rounds of the thread */
  unsigned draining;    /* how many wait for progress */
  int running, ending;
  pthread_t thread;
  struct mb_outlet outlet;
  struct mb_writer *next; /* under `exits` */
};

/* The writers of the program: exit() waits for them too, whoever calls it. */
static pthread_mutex_t exits = PTHREAD_MUTEX_INITIALIZER;
static struct mb_writer *writers;

/* All of the bytes, in one write where the system takes them so; what cannot be written is lost. */
static void write_all(int fd, const char *bytes, size_t size) {
  while (size > 0) {
    ssize_t wrote = write(fd, bytes, size);
    if (wrote > 0) {
      bytes += wrote;
      size -= (size_t)wrote;
    } else if (wrote < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      struct pollfd p = {.fd = fd, .events = POLLOUT};
      if (poll(&p, 1, -1) < 0 && errno != EINTR) return;
    } else if (wrote == 0 || errno != EINTR) {
      return;
    }
  }
}

/* Write without waiting: how many bytes went. A reader that has gone takes everything, and nobody is killed. The mutex
 * is held. */
static size_t write_now(struct mb_writer *w, const char *bytes, size_t size) {
  enum mb_outlet_way way = mb_outlet_look(&w->outlet);
  ssize_t wrote;
  if (way == MB_OUTLET_ASKED) return 0;
  if (way == MB_OUTLET_FILE) {
    write_all(w->outlet.fd, bytes, size);
    return size;
  }
  wrote = mb_outlet_write(&w->outlet, bytes, size);
  if (wrote == -EPIPE) wrote = (ssize_t)size;
  return wrote > 0 ? (size_t)wrote : 0;
}

/* As write_all, on the thread: the one place where it can be cancelled. */
static void write_cancellable(struct mb_writer *w, const char *bytes, size_t size) {
  const void *begun = w->frame ? w->frame->begin() : NULL;
  int before;
  pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &before);
  write_all(w->outlet.fd, bytes, size);
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
  if (w->frame) w->frame->end(begun);
}

void mb_writer_reach(struct mb_record *e) {
  struct mb_writer_mark mark;
  memcpy(&mark, e->bytes, sizeof mark);
  mark.reached(mark.data);
  free(e);
}

static void entry_end(struct mb_record *e) {
  if (e->kind == MB_WRITE_MARK)
    mb_writer_reach(e);
  else
    free(e);
}

static void *work(void *data) {
  struct mb_writer *w = data;
  int before;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
  pthread_mutex_lock(&w->mutex);
  for (;;) {
    char text[NOTICE_SIZE];
    uint64_t missing;
    struct mb_record *e;
    while (!mb_backlog_any(&w->backlog) && !w->ending) pthread_cond_wait(&w->filled, &w->mutex);
    if (!mb_backlog_any(&w->backlog)) break;
    w->now = e = mb_backlog_take(&w->backlog, &missing);
    w->busy = 1;
    pthread_mutex_unlock(&w->mutex);
    if (missing) write_cancellable(w, text, w->notice(text, sizeof text, missing, NULL));
    if (e && e->alike)
      write_cancellable(w, text, w->notice(text, sizeof text, e->alike, e));
    else if (e && e->kind == MB_WRITE_TEXT)
      write_cancellable(w, e->bytes, e->size);
    if (e) entry_end(e);
    pthread_mutex_lock(&w->mutex);
    w->now = NULL;
    w->busy = w->stuck = 0;
    w->done++;
    if (w->draining) pthread_cond_broadcast(&w->progress);
  }
  pthread_mutex_unlock(&w->mutex);
  return NULL;
}

/* Start the thread; it gets no signals, those are for others. 0, or -1. The mutex is held. */
static int start(struct mb_writer *w) {
  pthread_attr_t attributes;
  sigset_t all, before;
  int err;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, STACK_SIZE);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  err = pthread_create(&w->thread, &attributes, work, w);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  if (err) return -1;
  w->running = 1;
  return 0;
}

/* End the thread, when it runs: after its work, or in the middle of it when that does not end. */
static void stop(struct mb_writer *w) {
  int running;
  pthread_mutex_lock(&w->mutex);
  running = w->running;
  w->ending = 1;
  pthread_cond_signal(&w->filled);
  pthread_mutex_unlock(&w->mutex);
  if (!running) return;
  if (!mb_writer_drain(w)) pthread_cancel(w->thread);
  pthread_join(w->thread, NULL);
  w->running = 0;
  if (w->now) entry_end(w->now); /* the thread was cancelled in its write */
  w->now = NULL;
}

static void stop_all(void) {
  pthread_mutex_lock(&exits);
  for (struct mb_writer *w = writers; w; w = w->next) stop(w);
  pthread_mutex_unlock(&exits);
}

static void register_exit(void) { atexit(stop_all); }

struct mb_writer *mb_writer_new(int fd, size_t limit, mb_writer_notice notice, const struct mb_writer_frame *frame) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  struct mb_writer *w = calloc(1, sizeof *w);
  pthread_condattr_t monotonic;
  if (!w) return NULL;
  mb_outlet_init(&w->outlet, fd, MB_OUTLET_QUIET);
  w->notice = notice;
  w->frame = frame;
  w->backlog.limit = limit;
  pthread_mutex_init(&w->mutex, NULL);
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&w->filled, NULL);
  pthread_cond_init(&w->progress, &monotonic);
  pthread_condattr_destroy(&monotonic);
  pthread_once(&once, register_exit);
  pthread_mutex_lock(&exits);
  w->next = writers;
  writers = w;
  pthread_mutex_unlock(&exits);
  return w;
}

/* What is left of an entry of which `wrote` bytes have gone; takes e. NULL: nothing. */
static struct mb_record *rest_of(struct mb_record *e, size_t wrote) {
  struct mb_record *rest = NULL;
  if (wrote == 0) return e;
  if (wrote < e->size && (rest = mb_record_new(e->kind, e->size - wrote)))
    memcpy(rest->bytes, e->bytes + wrote, rest->size);
  free(e);
  return rest;
}

void mb_writer_put(struct mb_writer *w, struct mb_record *e) {
  int idle, keep = e->kind == MB_WRITE_MARK, late = 0;
  pthread_mutex_lock(&w->mutex);
  idle = !w->busy && !mb_backlog_any(&w->backlog) && !(w->frame && w->frame->needed());
  if (idle && e->kind == MB_WRITE_TEXT) {
    size_t wrote = write_now(w, e->bytes, e->size);
    e = rest_of(e, wrote);
    keep |= wrote > 0;
  }
  if (e && !(idle && e->kind == MB_WRITE_MARK)) { /* a mark has been reached when nothing waits */
    late = w->ending || (!w->running && start(w) != 0); /* or there are no threads: it is written here */
    if (!late) {
      if (mb_backlog_put(&w->backlog, e, keep ? MB_KEEP : MB_MAY_DROP)) e = NULL;
      pthread_cond_signal(&w->filled);
    }
  }
  pthread_mutex_unlock(&w->mutex);
  if (late && e->kind == MB_WRITE_TEXT) write_all(w->outlet.fd, e->bytes, e->size);
  if (e) entry_end(e);
}

enum mb_pressure mb_writer_pressure(struct mb_writer *w, unsigned *rush) {
  enum mb_pressure pressure;
  pthread_mutex_lock(&w->mutex);
  pressure = mb_backlog_pressure(&w->backlog, rush);
  pthread_mutex_unlock(&w->mutex);
  return pressure;
}

static struct timespec later(struct timespec t, long ms) {
  t.tv_sec += ms / 1000;
  t.tv_nsec += ms % 1000 * 1000000;
  if (t.tv_nsec >= 1000000000) {
    t.tv_sec++;
    t.tv_nsec -= 1000000000;
  }
  return t;
}

static int earlier(struct timespec a, struct timespec b) {
  return a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec < b.tv_nsec);
}

static int has_work(const struct mb_writer *w) { return w->running && (w->busy || mb_backlog_any(&w->backlog)); }

int mb_writer_drain(struct mb_writer *w) {
  struct timespec now, end;
  int left;
  clock_gettime(CLOCK_MONOTONIC, &now);
  end = later(now, DRAIN_MS);
  pthread_mutex_lock(&w->mutex);
  w->draining++;
  while (has_work(w) && !w->stuck) {
    struct timespec until = later(now, STALL_MS);
    uint64_t done = w->done;
    int late = 0;
    if (earlier(end, until)) until = end;
    while (w->done == done && !late) late = pthread_cond_timedwait(&w->progress, &w->mutex, &until) != 0;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (w->done == done || !earlier(now, end)) w->stuck = 1;
  }
  left = has_work(w);
  w->draining--;
  pthread_mutex_unlock(&w->mutex);
  return !left;
}

void mb_writer_free(struct mb_writer *w) {
  struct mb_writer **link = &writers;
  if (!w) return;
  pthread_mutex_lock(&exits);
  while (*link && *link != w) link = &(*link)->next;
  if (*link) *link = w->next;
  pthread_mutex_unlock(&exits);
  stop(w);
  for (uint64_t missing; mb_backlog_any(&w->backlog);) {
    struct mb_record *e = mb_backlog_take(&w->backlog, &missing);
    if (e) entry_end(e);
  }
  mb_outlet_deinit(&w->outlet);
  pthread_mutex_destroy(&w->mutex);
  pthread_cond_destroy(&w->filled);
  pthread_cond_destroy(&w->progress);
  free(w);
}
