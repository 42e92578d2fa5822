#include "host/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "codec/buffer.h"

enum { BACKLOG = 16, READ_SIZE = 65536 };

struct channel {
  int number, fd;
  uint64_t owner;
  char *path;   /* of a listener */
  int over;     /* nothing comes any more */
  uv_poll_t poll;
  struct mb_buffer out; /* what could not be sent yet */
  struct channel *next;
};

static uv_loop_t *the_loop;
static mb_channel_told tell;
static struct channel *all;
static int last_number, ends_at_exit;

static void on_event(uv_poll_t *poll, int status, int events);

static struct channel *find(int number) {
  struct channel *c = all;
  while (c && c->number != number) c = c->next;
  return c;
}

static void on_closed(uv_handle_t *poll) {
  struct channel *c = poll->data;
  close(c->fd);
  mb_buffer_deinit(&c->out);
  free(c->path);
  free(c);
}

/* fd is taken over, on failure too. */
static struct channel *add(int fd, int *err) {
  struct channel *c = calloc(1, sizeof *c);
  *err = c ? uv_poll_init(the_loop, &c->poll, fd) : UV_ENOMEM; /* which makes fd non-blocking */
  if (*err) {
    free(c);
    close(fd);
    return NULL;
  }
  c->number = ++last_number;
  c->fd = fd;
  c->poll.data = c;
  c->next = all;
  all = c;
  return c;
}

static void watch(struct channel *c) {
  int events = (c->owner ? UV_READABLE : 0) | (c->out.size ? UV_WRITABLE : 0);
  if (c->over || !events)
    uv_poll_stop(&c->poll);
  else
    uv_poll_start(&c->poll, events, on_event);
}

/* Send what is kept: 0, or a negative code when the other side has gone. */
static int flush(struct channel *c) {
  size_t done = 0;
  int err = 0;
  while (done < c->out.size) {
    ssize_t n = send(c->fd, c->out.bytes + done, c->out.size - done, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      if (errno != EAGAIN) err = uv_translate_sys_error(errno);
      break;
    }
    done += (size_t)n;
  }
  c->out.size -= done;
  if (done) memmove(c->out.bytes, c->out.bytes + done, c->out.size);
  return err;
}

static void accept_one(struct channel *listener) {
  int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC), err;
  struct channel *c = fd >= 0 ? add(fd, &err) : NULL;
  if (c) tell(listener->owner, MB_CHANNEL_ACCEPTED, c->number, "", 0);
}

static void read_some(struct channel *c) {
  static char bytes[READ_SIZE];
  ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);
  if (n > 0) {
    tell(c->owner, MB_CHANNEL_DATA, c->number, bytes, (size_t)n);
  } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
    c->over = 1;
    uv_poll_stop(&c->poll);
    tell(c->owner, MB_CHANNEL_CLOSED, c->number, "", 0);
  }
}

static void on_event(uv_poll_t *poll, int status, int events) {
  struct channel *c = poll->data;
  if (c->path) {
    accept_one(c);
    return;
  }
  if (events & UV_WRITABLE) {
    (void)flush(c); /* whether the other side has gone is seen by reading */
    watch(c);
  }
  if (status < 0 || (events & UV_READABLE)) read_some(c);
}

/* A socket and the address of a path; a negative code. */
static int open_socket(const char *path, struct sockaddr_un *address) {
  int fd;
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address->sun_path) return UV_ENAMETOOLONG;
  strcpy(address->sun_path, path);
  fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return fd >= 0 ? fd : uv_translate_sys_error(errno);
}

static int connect_to(const char *path) {
  struct sockaddr_un address;
  int fd = open_socket(path, &address), err;
  if (fd < 0) return fd;
  if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
  err = uv_translate_sys_error(errno);
  close(fd);
  return err;
}

/* Remove a socket that nobody listens on: 0, or UV_EADDRINUSE. */
static int remove_stale(const char *path) {
  struct stat info;
  int fd;
  if (lstat(path, &info) != 0) return 0;
  if (!S_ISSOCK(info.st_mode)) return UV_EADDRINUSE;
  fd = connect_to(path);
  if (fd >= 0) close(fd);
  if (fd != UV_ECONNREFUSED) return UV_EADDRINUSE;
  unlink(path);
  return 0;
}

void mb_channel_setup(uv_loop_t *loop, mb_channel_told told) {
  the_loop = loop;
  tell = told;
}

int mb_channel_listen(const char *path) {
  struct sockaddr_un address;
  struct channel *c;
  mode_t mask;
  int fd = open_socket(path, &address), err;
  if (fd < 0) return fd;
  err = remove_stale(path);
  mask = umask(0177); /* from the first moment on nobody else may connect */
  if (!err && (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, BACKLOG) != 0))
    err = uv_translate_sys_error(errno);
  umask(mask);
  if (err) {
    close(fd);
    return err;
  }
  c = add(fd, &err);
  if (c) c->path = strdup(path);
  if (!c || !c->path) return UV_ENOMEM;
  if (!ends_at_exit++) atexit(mb_channel_end);
  return c->number;
}

int mb_channel_connect(const char *path) {
  int fd = connect_to(path), err;
  struct channel *c = fd >= 0 ? add(fd, &err) : NULL;
  return c ? c->number : fd >= 0 ? err : fd;
}

int mb_channel_own(int number, uint64_t owner) {
  struct channel *c = find(number);
  if (!c) return UV_EBADF;
  c->owner = owner;
  watch(c);
  return 0;
}

int64_t mb_channel_send(int number, const char *bytes, size_t size) {
  struct channel *c = find(number);
  unsigned char *room;
  int err;
  if (!c || c->path) return UV_EBADF;
  room = mb_buffer_reserve(&c->out, size);
  if (!room) return UV_ENOMEM;
  memcpy(room, bytes, size);
  c->out.size += size;
  err = flush(c);
  watch(c);
  return err ? err : (int64_t)c->out.size;
}

void mb_channel_close(int number) {
  struct channel **at = &all, *c;
  while (*at && (*at)->number != number) at = &(*at)->next;
  c = *at;
  if (!c) return;
  *at = c->next;
  (void)flush(c);
  c->over = 1;
  if (c->path) unlink(c->path);
  uv_close((uv_handle_t *)&c->poll, on_closed);
}

void mb_channel_end(void) {
  for (struct channel *c = all; c; c = c->next)
    if (c->path) unlink(c->path);
}
