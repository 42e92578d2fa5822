#include "outlet.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broken_pipe.h"

void mb_outlet_deinit(struct mb_outlet *o) {
  if (o->reopened >= 0) close(o->reopened);
  o->reopened = -1;
}

enum mb_outlet_way mb_outlet_look(struct mb_outlet *o) {
  struct stat st;
  char path[64];
  if (fstat(o->fd, &st) != 0) {
    mb_outlet_deinit(o);
    o->way = MB_OUTLET_UNKNOWN;
    return MB_OUTLET_FILE;
  }
  if (o->way != MB_OUTLET_UNKNOWN && st.st_dev == o->device && st.st_ino == o->inode) return o->way;
  mb_outlet_deinit(o);
  o->device = st.st_dev;
  o->inode = st.st_ino;
  o->block = st.st_blksize > 0 && st.st_blksize < BUFSIZ ? (size_t)st.st_blksize : BUFSIZ;
  o->way = (fcntl(o->fd, F_GETFL) & O_ACCMODE) == O_RDONLY ? MB_OUTLET_FILE
           : S_ISSOCK(st.st_mode)                          ? MB_OUTLET_SOCKET
           : S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)   ? MB_OUTLET_ASKED
                                                           : MB_OUTLET_FILE;
  if (o->way == MB_OUTLET_ASKED) {
    snprintf(path, sizeof path, "/proc/self/fd/%d", o->fd);
    o->reopened = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (o->reopened >= 0) o->way = MB_OUTLET_REOPENED;
  }
  return o->way;
}

static ssize_t write_to(const struct mb_outlet *o, int fd, const char *bytes, size_t size) {
  return o->signal == MB_OUTLET_QUIET ? mb_write_quietly(fd, bytes, size) : write(fd, bytes, size);
}

ssize_t mb_outlet_write(struct mb_outlet *o, const char *bytes, size_t size) {
  struct pollfd p = {.fd = o->fd, .events = POLLOUT};
  ssize_t n;
  do {
    switch (o->way) {
      case MB_OUTLET_SOCKET:
        n = send(o->fd, bytes, size, MSG_DONTWAIT | (o->signal == MB_OUTLET_QUIET ? MSG_NOSIGNAL : 0));
        break;
      case MB_OUTLET_REOPENED: n = write_to(o, o->reopened, bytes, size); break;
      case MB_OUTLET_ASKED:
        if (poll(&p, 1, 0) == 0) return -EAGAIN;
        n = write_to(o, o->fd, bytes, size < PIPE_BUF ? size : PIPE_BUF);
        break;
      default: n = write_to(o, o->fd, bytes, size); break;
    }
  } while (n < 0 && errno == EINTR);
  return n < 0 ? -errno : n;
}
