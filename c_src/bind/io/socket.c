#include "io/socket.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/broken_pipe.h"
#include "io/event.h"

enum {
  HIGH_WATER = 65536,
  LINE_LIMIT = 1048576,
  LINGER_MS = 5000,
  SMALLEST = 32 /* bytes that are allocated */
};

static struct mb_socket *of_handle(void *handle) {
  return (struct mb_socket *)((char *)handle - offsetof(struct mb_socket, uv));
}

/* The loop is to stay alive for a socket that somebody waits for, or that sends messages; another keeps nobody waiting. */
static void note_interest(struct mb_socket *s) {
  if (s->object.closed) return;
  if (s->active || s->object.waiter)
    uv_ref(&s->uv.handle);
  else
    uv_unref(&s->uv.handle);
}

/* Unread bytes */

int mb_socket_put(struct mb_socket *s, const void *bytes, size_t n) {
  if (s->start && s->start + s->size + n > s->room) {
    memmove(s->bytes, s->bytes + s->start, s->size);
    s->start = 0;
  }
  if (s->size + n > s->room) {
    size_t room = s->size ? 2 * (s->size + n) : n < SMALLEST ? SMALLEST : n;
    unsigned char *more = realloc(s->bytes, room);
    if (!more) return UV_ENOMEM;
    s->bytes = more;
    s->room = room;
  }
  memcpy(s->bytes + s->start + s->size, bytes, n);
  s->size += n;
  return 0;
}

void mb_socket_take(struct mb_socket *s, size_t n) {
  s->start += n;
  s->size -= n;
  s->scanned = 0;
  if (s->size) return;
  free(s->bytes); /* most sockets are idle most of the time */
  s->bytes = NULL;
  s->start = s->room = 0;
}

/* Messages */

static void send_end(struct mb_socket *s) {
  struct mb_event e;
  if (!s->active || s->told) return;
  s->told = 1;
  if (s->ended != UV_EOF) {
    char name[32];
    uv_err_name_r(s->ended, name, sizeof name);
    e = mb_event_begin(&s->object, "tcp_error", 3, strlen(name));
    mb_event_string(&e, name, strlen(name));
    (void)mb_event_send(&s->object, &e);
  }
  e = mb_event_begin(&s->object, "tcp_closed", 2, 0);
  (void)mb_event_send(&s->object, &e);
  s->active = 0;
  note_interest(s);
}

static int send_bytes(struct mb_socket *s, const void *bytes, size_t n) {
  struct mb_event e = mb_event_begin(&s->object, "tcp", 3, n);
  int error;
  mb_event_string(&e, bytes, n);
  error = mb_event_send(&s->object, &e);
  if (error || s->active < 0 || --s->active > 0) return error;
  if (s->counts) {
    e = mb_event_begin(&s->object, "tcp_passive", 2, 0);
    (void)mb_event_send(&s->object, &e);
  }
  note_interest(s);
  return 0;
}

void mb_socket_activate(struct mb_socket *s, int active, int counts) {
  s->active = active;
  s->counts = counts;
  note_interest(s);
  if (active && s->size && send_bytes(s, s->bytes + s->start, s->size) == 0) mb_socket_take(s, s->size);
  if (s->ended && !s->size)
    send_end(s);
  else if (active)
    mb_socket_read(s, s->high_water);
}

/* Reading */

static void on_room(uv_handle_t *handle, size_t wanted, uv_buf_t *buffer) {
  struct mb_io *io = of_handle(handle)->object.io;
  (void)wanted;
  *buffer = uv_buf_init((char *)io->buffer, MB_READ_SIZE);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer) {
  struct mb_socket *s = of_handle(stream);
  if (n == 0) return;
  if (n > 0) {
    int error = s->active ? send_bytes(s, buffer->base, (size_t)n) : mb_socket_put(s, buffer->base, (size_t)n);
    if (error) n = error;
  }
  if (n < 0) {
    s->ended = (int)n;
    mb_socket_stop(s);
    send_end(s);
  } else if (s->size >= s->bound) {
    mb_socket_stop(s);
  }
  mb_wake_waiter(s->object.io->heap->scheduler, &s->object.waiter);
}

void mb_socket_read(struct mb_socket *s, size_t bound) {
  int error;
  s->bound = bound;
  if (s->reading || s->ended || s->size >= bound) return;
  error = uv_read_start(&s->uv.stream, on_room, on_read);
  if (error)
    s->ended = error;
  else
    s->reading = 1;
}

void mb_socket_stop(struct mb_socket *s) {
  if (s->reading) uv_read_stop(&s->uv.stream);
  s->reading = 0;
}

/* Writing */

struct write {
  uv_write_t request;
  struct mb_socket *socket;
  char bytes[];
};

size_t mb_socket_queued(const struct mb_socket *s) { return uv_stream_get_write_queue_size(&s->uv.stream); }

static void on_written(uv_write_t *request, int status) {
  struct write *w = (struct write *)request;
  struct mb_socket *s = w->socket;
  if (status < 0 && !s->broken) s->broken = status;
  free(w);
  mb_wake_waiter(s->object.io->heap->scheduler, &s->object.waiter);
  mb_object_release(&s->object);
}

long mb_socket_write_now(struct mb_socket *s, const char *bytes, size_t n) {
  uv_buf_t buffer = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)(n > 0x40000000 ? 0x40000000 : n));
  long done;
  mb_pipe_may_break = 1;
  done = uv_try_write(&s->uv.stream, &buffer, 1);
  mb_pipe_may_break = 0;
  if (done < 0 && done != UV_EAGAIN) s->broken = (int)done;
  return done == UV_EAGAIN ? 0 : done;
}

int mb_socket_queue(struct mb_socket *s, const char *bytes, size_t n) {
  struct write *w = malloc(sizeof *w + n);
  uv_buf_t buffer;
  int error;
  if (!w) return UV_ENOMEM;
  memcpy(w->bytes, bytes, n);
  w->socket = s;
  buffer = uv_buf_init(w->bytes, (unsigned)n);
  mb_pipe_may_break = 1; /* it is written at once when nothing is queued */
  error = uv_write(&w->request, &s->uv.stream, &buffer, 1, on_written);
  mb_pipe_may_break = 0;
  if (error)
    free(w);
  else
    mb_object_retain(&s->object);
  return error;
}

struct shutdown {
  uv_shutdown_t request;
  struct mb_socket *socket;
};

static void close_handle(struct mb_socket *s);

static void on_shut(uv_shutdown_t *request, int status) {
  struct mb_socket *s = ((struct shutdown *)request)->socket;
  (void)status;
  free(request);
  if (s->object.closed) close_handle(s); /* it has lingered for this */
  mb_object_release(&s->object);
}

int mb_socket_shutdown(struct mb_socket *s) {
  struct shutdown *d;
  int error;
  if (s->shut) return 0;
  d = malloc(sizeof *d);
  if (!d) return UV_ENOMEM;
  d->socket = s;
  error = uv_shutdown(&d->request, &s->uv.stream, on_shut);
  if (error) {
    free(d);
    return error;
  }
  s->shut = 1;
  mb_object_retain(&s->object);
  return 0;
}

/* Closing */

static void leave_lingering(struct mb_object *o) {
  if (!o->link) return;
  *o->link = o->next;
  if (o->next) o->next->link = o->link;
  o->link = NULL;
  if (!o->io->lingering) uv_timer_stop(&o->io->linger);
}

static void on_closed(uv_handle_t *handle) { mb_object_release(&of_handle(handle)->object); }

static void close_handle(struct mb_socket *s) {
  leave_lingering(&s->object);
  if (!uv_is_closing(&s->uv.handle)) uv_close(&s->uv.handle, on_closed);
}

void mb_socket_end_lingering(struct mb_object *o) { close_handle((struct mb_socket *)o); }

static void on_linger(uv_timer_t *timer) {
  struct mb_io *io = (struct mb_io *)((char *)timer - offsetof(struct mb_io, linger));
  uint64_t now = mb_now(io->heap->runtime);
  for (struct mb_object *o = io->lingering, *next; o; o = next) {
    next = o->next;
    if (o->until <= now) close_handle((struct mb_socket *)o);
  }
}

static void linger(struct mb_socket *s) {
  struct mb_object *o = &s->object;
  o->until = mb_now(o->io->heap->runtime) + LINGER_MS * 1000000ull;
  if (!o->io->linger.loop) {
    uv_timer_init(o->io->heap->scheduler->loop, &o->io->linger);
    uv_unref((uv_handle_t *)&o->io->linger);
  }
  if (!o->io->lingering) uv_timer_start(&o->io->linger, on_linger, LINGER_MS / 5, LINGER_MS / 5);
  o->next = o->io->lingering;
  o->link = &o->io->lingering;
  if (o->next) o->next->link = &o->next;
  o->io->lingering = o;
}

static void close_socket(struct mb_object *o, int how) {
  struct mb_socket *s = (struct mb_socket *)o;
  mb_socket_stop(s);
  free(s->bytes);
  s->bytes = NULL;
  s->start = s->size = s->room = 0;
  uv_ref(&s->uv.handle);
  if (how == MB_CLOSE_IN_ORDER && mb_socket_queued(s) > 0 && !s->broken && (s->shut || mb_socket_shutdown(s) == 0))
    linger(s);
  else
    close_handle(s);
}

static void free_socket(struct mb_object *o) {
  struct mb_socket *s = (struct mb_socket *)o;
  free(s->bytes);
  free(s);
}

static int is_idle(const struct mb_object *o) { return !((const struct mb_socket *)o)->active; }

const struct mb_object_type mb_socket_type = {
    .name = "socket",
    .kind = MB_HOLDING_TCP,
    .instead = "a socket belongs to one process; give it away: socket:give_away(pid)",
    .close = close_socket,
    .free = free_socket,
    .is_idle = is_idle,
};

/* Making */

struct mb_socket *mb_socket_new(struct mb_heap *h, struct mb_process *p, int is_pipe, uint64_t id, int *error) {
  struct mb_socket *s = calloc(1, sizeof *s);
  uv_loop_t *loop = h->scheduler->loop;
  *error = UV_ENOMEM;
  if (!s) return NULL;
  mb_broken_pipe_await();
  *error = is_pipe ? uv_pipe_init(loop, &s->uv.pipe, 0) : uv_tcp_init(loop, &s->uv.tcp);
  if (*error) {
    free(s);
    return NULL;
  }
  uv_unref(&s->uv.handle);
  s->is_pipe = (uint8_t)is_pipe;
  s->high_water = HIGH_WATER;
  s->line_limit = LINE_LIMIT;
  s->object.id = id;
  if (is_pipe) s->object.holding.kind = MB_HOLDING_PIPE;
  mb_object_init(&s->object, h, &mb_socket_type, p);
  return s;
}

int mb_socket_open(struct mb_socket *s, int fd) {
  int error = s->is_pipe ? uv_pipe_open(&s->uv.pipe, fd) : uv_tcp_open(&s->uv.tcp, fd);
  if (error) close(fd);
  return error;
}
