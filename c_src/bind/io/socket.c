#include "io/socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
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

/* The loop is to stay alive for a socket that somebody waits for, or that sends messages; another keeps nobody
 * waiting. */
static void note_interest(struct mb_socket *s) {
  if (s->object.closed) return;
  if (s->active || s->object.waiter)
    uv_ref(&s->uv.handle);
  else
    uv_unref(&s->uv.handle);
}

void mb_socket_waited(struct mb_socket *s) {
  s->object.waiter = 0;
  note_interest(s);
}

/* Errors */

static const char *name_of(int error, char *name, size_t room) {
  switch (error) {
    case MB_ETLS: return "ETLS";
    case MB_ECERT: return "ECERT";
    case MB_ETRUNCATED: return "ETRUNCATED";
    default: return uv_err_name_r(error, name, room);
  }
}

int mb_socket_failure(lua_State *L, const struct mb_socket *s, int error) {
  char name[32];
  if (error == MB_ETRUNCATED)
    return mb_failure_text(L, "ETRUNCATED", "the connection has ended without close_notify: something may be missing");
  if (error != MB_ETLS && error != MB_ECERT) return mb_failure(L, error);
  return mb_failure_text(L, name_of(error, name, sizeof name),
                         s->tls && s->tls->text[0] ? s->tls->text : "the other side has closed in the handshake");
}

void mb_socket_break(struct mb_socket *s, int error) {
  mb_socket_stop(s);
  if (!s->ended) s->ended = error;
  if (!s->broken) s->broken = error;
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
    char room[32];
    const char *name = name_of(s->ended, room, sizeof room);
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
  if (active) mb_socket_read(s, s->high_water);
  if (s->ended && !s->size) send_end(s);
}

/* TLS */

struct write {
  uv_write_t request;
  struct mb_socket *socket;
  char bytes[];
};

static int put_out(struct write *w, struct mb_socket *s, size_t n);

/* Queue what the filter has to send. 0 or an error. */
static int flush(struct mb_socket *s) {
  size_t n = s->tls->functions->pending(s->tls);
  struct write *w = n ? malloc(sizeof *w + n) : NULL;
  if (n == 0) return 0;
  if (!w) return UV_ENOMEM;
  return put_out(w, s, s->tls->functions->drain(s->tls, w->bytes, n));
}

static int tls_error(const struct mb_socket *s) { return s->tls->is_about_certificates ? MB_ECERT : MB_ETLS; }

static int deliver(struct mb_socket *s, const void *bytes, size_t n) {
  return s->active ? send_bytes(s, bytes, n) : mb_socket_put(s, bytes, n);
}

/* Deliver the plain bytes of what has been fed. 0, or how reading ends. The buffer is used. */
static int decrypt(struct mb_socket *s) {
  size_t n;
  int error;
  while ((n = s->tls->functions->read(s->tls, s->object.io->loop->buffer, MB_READ_SIZE)) > 0) {
    error = deliver(s, s->object.io->loop->buffer, n);
    if (error) return error;
  }
  error = flush(s); /* an alert, or the answer to new keys */
  if (error && !s->shut && !s->broken) s->broken = error;
  if (s->tls->state != MB_TLS_FAILED) return s->tls->ended ? UV_EOF : 0;
  s->broken = tls_error(s);
  return s->broken;
}

int mb_socket_secure(struct mb_socket *s, struct mb_tls *tls) {
  int error = s->size && tls->functions->feed(tls, s->bytes + s->start, s->size) != 0 ? UV_ENOMEM : 0;
  if (error) {
    mb_tls_free(tls);
    return error;
  }
  mb_socket_stop(s);
  if (s->size) mb_socket_take(s, s->size);
  s->tls = tls;
  s->more = 0;
  s->secure_until = 0;
  return 0;
}

int mb_socket_handshake(struct mb_socket *s) {
  enum mb_tls_state state = s->broken ? MB_TLS_FAILED : s->tls->functions->step(s->tls);
  int error = s->broken;
  if (!error) error = flush(s);
  if (!error && state == MB_TLS_READY) {
    int ended = decrypt(s);
    s->secured = 1;
    if (!ended && s->ended == UV_EOF) ended = MB_ETRUNCATED;
    if (ended) s->ended = ended;
    return 1;
  }
  if (!error && state == MB_TLS_FAILED)
    error = tls_error(s);
  else if (!error && state == MB_TLS_HANDSHAKE && s->ended)
    error = s->ended == UV_EOF ? MB_ETLS : s->ended;
  if (!error) return 0;
  if (!s->broken) (void)mb_socket_shutdown(s); /* behind the alert */
  mb_socket_break(s, error);
  return error;
}

/* Reading */

static void on_room(uv_handle_t *handle, size_t wanted, uv_buf_t *buffer) {
  struct mb_io *io = of_handle(handle)->object.io;
  (void)wanted;
  *buffer = uv_buf_init((char *)io->loop->buffer, MB_READ_SIZE);
}

/* Bytes for the filter. 0, or how reading ends. */
static int arrived(struct mb_socket *s, const void *bytes, size_t n) {
  if (s->tls->functions->feed(s->tls, bytes, n) != 0) return UV_ENOMEM;
  if (s->tls->state == MB_TLS_READY) return decrypt(s);
  mb_socket_stop(s); /* until the owner has taken a step */
  return 0;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer) {
  struct mb_socket *s = of_handle(stream);
  if (n == 0) return;
  s->more = n == MB_READ_SIZE && !s->tls;
  if (n > 0) {
    int error = s->tls ? arrived(s, buffer->base, (size_t)n) : deliver(s, buffer->base, (size_t)n);
    if (error) n = error;
  } else if (n == UV_EOF && s->secured) {
    n = MB_ETRUNCATED;
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

void mb_socket_catch_up(struct mb_socket *s) {
  uv_buf_t room = uv_buf_init((char *)s->object.io->loop->buffer, MB_READ_SIZE);
  uv_os_fd_t fd;
  int left, last;
  if (s->object.closed || !s->active || !s->reading) return;
  if (uv_fileno(&s->uv.handle, &fd) != 0 || ioctl(fd, FIONREAD, &left) != 0) return;
  do { /* what comes meanwhile, as from others that write to it, is left to the loop; the last read finds the end */
    ssize_t n;
    last = left <= 0;
    do n = read(fd, room.base, room.len);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN) return;
    left -= (int)n;
    on_read(&s->uv.stream, n > 0 ? n : n == 0 ? UV_EOF : uv_translate_sys_error(errno), &room);
  } while (!last && s->active && s->reading);
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

size_t mb_socket_read_now(struct mb_socket *s) {
  uv_os_fd_t fd;
  ssize_t n;
  if (!s->more || s->ended || uv_fileno(&s->uv.handle, &fd) != 0) return 0;
  do n = read(fd, s->object.io->loop->buffer, MB_READ_SIZE);
  while (n < 0 && errno == EINTR);
  s->more = n == MB_READ_SIZE;
  return n > 0 ? (size_t)n : 0; /* its end, or an error, is found again in the background */
}

void mb_socket_stop(struct mb_socket *s) {
  if (s->reading) uv_read_stop(&s->uv.stream);
  s->reading = 0;
}

/* Writing */

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
  if (s->tls) return 0;
  mb_pipe_may_break = 1;
  done = uv_try_write(&s->uv.stream, &buffer, 1);
  mb_pipe_may_break = 0;
  if (done < 0 && done != UV_EAGAIN) s->broken = (int)done;
  return done == UV_EAGAIN ? 0 : done;
}

/* Queue the n bytes in w, which is taken over. */
static int put_out(struct write *w, struct mb_socket *s, size_t n) {
  uv_buf_t buffer = uv_buf_init(w->bytes, (unsigned)n);
  int error;
  w->socket = s;
  mb_pipe_may_break = 1; /* it is written at once when nothing is queued */
  error = uv_write(&w->request, &s->uv.stream, &buffer, 1, on_written);
  mb_pipe_may_break = 0;
  if (error)
    free(w);
  else
    mb_object_retain(&s->object);
  return error;
}

int mb_socket_queue(struct mb_socket *s, const char *bytes, size_t n) {
  struct write *w;
  if (s->tls) {
    if (s->tls->functions->write(s->tls, bytes, n) == 0) return flush(s);
    return s->broken = tls_error(s);
  }
  w = malloc(sizeof *w + n);
  if (!w) return UV_ENOMEM;
  memcpy(w->bytes, bytes, n);
  return put_out(w, s, n);
}

/* To the other side's filter. */
static void say_end(struct mb_socket *s) {
  if (!s->tls || s->shut || s->broken) return;
  s->tls->functions->end(s->tls);
  (void)flush(s);
}

struct shutdown {
  uv_shutdown_t request;
  struct mb_socket *socket;
};

static void close_handle(struct mb_socket *s);

static void on_shut(uv_shutdown_t *request, int status) {
  struct mb_socket *s = ((struct shutdown *)request)->socket;
  free(request);
  if (s->object.closed)
    close_handle(s); /* it has lingered for this */
  else if (status == UV_ENOTSOCK)
    mb_object_close(&s->object, MB_CLOSE_AT_ONCE);
  mb_object_release(&s->object);
}

int mb_socket_shutdown(struct mb_socket *s) {
  struct shutdown *d;
  int error;
  if (s->shut) return 0;
  say_end(s);
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
  if (!o->io->loop->lingering) uv_timer_stop(&o->io->loop->linger);
}

static void on_closed(uv_handle_t *handle) { mb_object_release(&of_handle(handle)->object); }

static void close_handle(struct mb_socket *s) {
  leave_lingering(&s->object);
  if (!uv_is_closing(&s->uv.handle)) uv_close(&s->uv.handle, on_closed);
}

void mb_socket_end_lingering(struct mb_object *o) { close_handle((struct mb_socket *)o); }

static void on_linger(uv_timer_t *timer) {
  struct mb_loop_io *io = (struct mb_loop_io *)((char *)timer - offsetof(struct mb_loop_io, linger));
  uint64_t now = io->lingering ? mb_now(io->lingering->io->heap->runtime) : 0;
  for (struct mb_object *o = io->lingering, *next; o; o = next) {
    next = o->next;
    if (o->until <= now) close_handle((struct mb_socket *)o);
  }
}

static void linger(struct mb_socket *s) {
  struct mb_object *o = &s->object;
  o->until = mb_now(o->io->heap->runtime) + LINGER_MS * 1000000ull;
  if (!o->io->loop->linger.loop) {
    uv_timer_init(mb_loop(o->io->heap->scheduler), &o->io->loop->linger);
    uv_unref((uv_handle_t *)&o->io->loop->linger);
  }
  if (!o->io->loop->lingering) uv_timer_start(&o->io->loop->linger, on_linger, LINGER_MS / 5, LINGER_MS / 5);
  o->next = o->io->loop->lingering;
  o->link = &o->io->loop->lingering;
  if (o->next) o->next->link = &o->next;
  o->io->loop->lingering = o;
}

static void close_socket(struct mb_object *o, int how) {
  struct mb_socket *s = (struct mb_socket *)o;
  mb_socket_stop(s);
  free(s->bytes);
  s->bytes = NULL;
  s->start = s->size = s->room = 0;
  uv_ref(&s->uv.handle);
  if (how == MB_CLOSE_IN_ORDER) say_end(s);
  if (how == MB_CLOSE_IN_ORDER && mb_socket_queued(s) > 0 && !s->broken && (s->shut || mb_socket_shutdown(s) == 0))
    linger(s);
  else
    close_handle(s);
  mb_tls_free(s->tls); /* what it had to send is queued */
  s->tls = NULL;
}

static void free_socket(struct mb_object *o) {
  struct mb_socket *s = (struct mb_socket *)o;
  free(s->bytes);
  mb_tls_free(s->tls);
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
  uv_loop_t *loop = mb_loop(h->scheduler);
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
