#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/broken_pipe.h"
#include "io/waiter.h"

/* Memory */

static void free_file(struct mb_file *f) {
  free(f->path);
  free(f->block);
  free(f->ahead);
  free(f);
}

/* Free it when nobody has it any more. */
static void settle(struct mb_file *f) {
  if (!f->box && !f->held && !f->step && f->fd < 0) free_file(f);
}

struct mb_file *mb_file_new(struct mb_scheduler *s, const char *path) {
  struct mb_file *f = calloc(1, sizeof *f);
  if (!f) return NULL;
  f->scheduler = s;
  f->fd = -1;
  f->path = strdup(path);
  if (f->path) return f;
  free(f);
  return NULL;
}

static void end_with_owner(struct mb_scheduler *s, struct mb_process *p, struct mb_holding *h) {
  struct mb_file *f = (struct mb_file *)h;
  (void)s;
  (void)p;
  f->held = 0;
  mb_file_close(f);
  settle(f);
}

void mb_file_hold(struct mb_file *f, struct mb_process *p) {
  f->owner = atomic_load_explicit(&p->pid, memory_order_relaxed);
  f->holding.end = end_with_owner;
  f->holding.kind = MB_HOLDING_FILE;
  f->held = mb_holding_add(f->scheduler, p, f->owner, &f->holding) == 0;
}

static void let_go(struct mb_file *f) {
  struct mb_process *p = f->held ? mb_process_here(f->scheduler, f->owner) : NULL;
  if (p) f->held = !mb_holding_remove(f->scheduler, p, &f->holding);
}

/* What is read ahead */

void mb_file_take(struct mb_file *f, size_t n) {
  f->start += n;
  f->position += (int64_t)n;
  f->searched = f->searched > n ? f->searched - n : 0;
  if (f->start == f->end) {
    f->start = f->end = 0;
    if (f->ahead_room > MB_FILE_HEADROOM + MB_FILE_BLOCK) { /* no use to anybody but who has asked for so much */
      free(f->ahead);
      f->ahead = NULL;
      f->ahead_room = 0;
    }
  }
}

void mb_file_discard(struct mb_file *f) { f->start = f->end = f->searched = f->got = 0; }

int mb_file_reserve(struct mb_file *f, size_t n) {
  char *block;
  if (f->block_room >= n && (f->block_room <= MB_FILE_HEADROOM + MB_FILE_BLOCK || n > f->block_room / 2)) return 0;
  free(f->block);
  f->block_room = 0;
  f->block = block = malloc(n);
  if (!block) return UV_ENOMEM;
  f->block_room = n;
  return 0;
}

/* What is ahead is moved into the room before the block, unless it is long. */
int mb_file_absorb(struct mb_file *f) {
  size_t rest = mb_file_available(f), got = f->got;
  if (!got) return 0;
  if (rest > f->block_start) {
    if (f->ahead_room - f->end < got) {
      size_t room = rest + got + (rest + got) / 2;
      char *ahead = malloc(room);
      if (!ahead) return UV_ENOMEM;
      memcpy(ahead, f->ahead + f->start, rest);
      free(f->ahead);
      f->ahead = ahead;
      f->ahead_room = room;
      f->start = 0;
      f->end = rest;
    }
    memcpy(f->ahead + f->end, f->block + f->block_start, got);
    f->end += got;
  } else {
    char *ahead = f->block;
    size_t room = f->block_room;
    if (rest) memcpy(ahead + f->block_start - rest, f->ahead + f->start, rest);
    f->block = f->ahead;
    f->block_room = f->ahead_room;
    f->ahead = ahead;
    f->ahead_room = room;
    f->start = f->block_start - rest;
    f->end = f->block_start + got;
  }
  f->got = 0;
  return 0;
}

/* The pool's side */

static int64_t open_it(struct mb_file *f) {
  struct stat st;
  int fd = f->flag ? mkostemp(f->path, O_CLOEXEC) : open(f->path, f->flags | O_CLOEXEC | O_NONBLOCK, (mode_t)f->mode);
  if (fd < 0) {
    int err = -errno; /* UV_ENXIO: a pipe without a reader */
    return err == UV_ENXIO && stat(f->path, &st) == 0 && S_ISFIFO(st.st_mode) ? UV_EAGAIN : err;
  }
  if (fstat(fd, &st) != 0) st.st_mode = 0;
  f->waits = S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode);
  f->fresh = S_ISFIFO(st.st_mode) && f->flags == O_RDONLY;
  if (S_ISDIR(st.st_mode)) {
    close(fd);
    return UV_EISDIR;
  }
  f->fd = fd;
  f->seekable = lseek(fd, 0, SEEK_CUR) >= 0;
  return 0;
}

/* Read up to `want` bytes into the block, which grows with what comes. */
static int64_t read_block(struct mb_file *f, int64_t at) {
  size_t got = 0, room = f->block_room - f->block_start;
  while (got < f->want) {
    size_t most;
    ssize_t n;
    if (got == room) {
      char *block = realloc(f->block, f->block_start + room * 2);
      if (!block) return UV_ENOMEM;
      f->block = block;
      room *= 2;
      f->block_room = f->block_start + room;
    }
    most = f->want - got < room - got ? f->want - got : room - got;
    n = f->seekable ? pread(f->fd, f->block + f->block_start + got, most, at + (int64_t)got)
                    : read(f->fd, f->block + f->block_start + got, most);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return got ? (int64_t)got : -errno;
    if (n == 0) break;
    got += (size_t)n;
    if (f->flag) break;
  }
  return (int64_t)got;
}

static int64_t write_block(struct mb_file *f) {
  size_t done = f->written;
  int64_t result = 0;
  while (done < f->want) {
    ssize_t n = f->seekable && !f->append ? pwrite(f->fd, f->block + done, f->want - done, f->at + (int64_t)done)
                : f->waits                ? mb_write_quietly(f->fd, f->block + done, f->want - done)
                                          : write(f->fd, f->block + done, f->want - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      result = -errno;
      break;
    }
    done += (size_t)n;
  }
  if (f->seekable && f->append) f->at = lseek(f->fd, 0, SEEK_CUR) - (int64_t)done;
  f->written = done;
  return result;
}

static int64_t stat_it(struct mb_file *f) {
  uv_fs_t request;
  int err = uv_fs_fstat(NULL, &request, f->fd, NULL);
  f->stat = request.statbuf;
  uv_fs_req_cleanup(&request);
  return err;
}

static int64_t or_error(int result) { return result == 0 ? 0 : -errno; }

static void run(uv_work_t *w) {
  struct mb_file *f = w->data;
  switch ((enum mb_file_step)f->step) {
    case MB_FILE_IDLE: case MB_FILE_AWAIT: break;
    case MB_FILE_OPEN: f->result = open_it(f); break;
    case MB_FILE_READ: case MB_FILE_PREAD: f->result = read_block(f, f->at); break;
    case MB_FILE_WRITE: case MB_FILE_PWRITE: f->result = write_block(f); break;
    case MB_FILE_SYNC: f->result = or_error(fsync(f->fd)); break;
    case MB_FILE_DATASYNC: f->result = or_error(fdatasync(f->fd)); break;
    case MB_FILE_TRUNCATE: f->result = or_error(ftruncate(f->fd, f->at)); break;
    case MB_FILE_STAT: f->result = stat_it(f); break;
    case MB_FILE_LOCK: f->result = or_error(flock(f->fd, f->mode)); break;
    case MB_FILE_CLOSE: f->result = or_error(close(f->fd)); break; /* it is closed, whatever that says */
  }
}

/* The scheduler's side */

static void over(uv_work_t *w, int status) {
  struct mb_file *f = w->data;
  enum mb_file_step step = f->step;
  f->scheduler->works--;
  if (status < 0) f->result = status;
  f->step = MB_FILE_IDLE;
  if (step == MB_FILE_READ && f->result >= 0) {
    f->got = (size_t)f->result;
    f->ended = f->got < f->want && !(f->flag && f->got);
    f->full = f->got == f->want;
  } else if (step == MB_FILE_WRITE) {
    f->position = f->at + (int64_t)f->written;
  } else if (step == MB_FILE_CLOSE) {
    f->fd = -1;
  }
  if (f->fd < 0 && !(step == MB_FILE_OPEN && f->result == UV_EAGAIN)) let_go(f);
  if (f->result == UV_EAGAIN) f->awaited = (uint8_t)step;
  if (f->closing) mb_file_close(f);
  if (f->step) return;
  mb_wake_waiter(f->scheduler, &f->waiter);
  settle(f);
}

static void queue(struct mb_file *f) {
  f->work.data = f;
  (void)uv_queue_work(mb_loop(f->scheduler), &f->work, run, over); /* fails only without a function */
}

static struct mb_file *polled_by(void *poll) {
  return (struct mb_file *)((char *)poll - offsetof(struct mb_file, poll));
}

static void on_poll_closed(uv_handle_t *handle) {
  struct mb_file *f = polled_by(handle);
  f->polls = 0;
  queue(f);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
  struct mb_file *f = polled_by(poll);
  (void)events;
  if (status < 0) f->result = status; /* else UV_EAGAIN: what is awaited is tried again */
  f->polled = 1;
  f->fresh = 0;
  f->step = MB_FILE_IDLE;
  uv_poll_stop(poll);
  mb_wake_waiter(f->scheduler, &f->waiter);
}

static void await(struct mb_file *f) {
  int err = 0;
  f->step = MB_FILE_AWAIT;
  f->result = UV_EAGAIN;
  if (!f->polls) {
    err = uv_poll_init(mb_loop(f->scheduler), &f->poll, f->fd);
    f->poll.data = NULL;
    f->polls = !err;
  }
  if (!err) err = uv_poll_start(&f->poll, f->awaited == MB_FILE_READ ? UV_READABLE : UV_WRITABLE, on_poll);
  if (!err) return;
  f->result = err;
  f->step = MB_FILE_IDLE;
}

void mb_file_begin(struct mb_file *f, enum mb_file_step step) {
  if (step == MB_FILE_READ && f->fresh) {
    f->awaited = MB_FILE_READ;
    await(f);
    return;
  }
  f->scheduler->works++;
  f->awaited = 0;
  f->step = (uint8_t)step;
  f->result = 0;
  if (step == MB_FILE_CLOSE && f->polls)
    uv_close((uv_handle_t *)&f->poll, on_poll_closed); /* before the descriptor */
  else
    queue(f);
}

void mb_file_go_on(struct mb_file *f) {
  enum mb_file_step step = f->awaited;
  if (!f->polled) {
    await(f);
    return;
  }
  f->polled = 0;
  mb_file_begin(f, step);
}

void mb_file_forget(struct mb_file *f) {
  if (f->step != MB_FILE_AWAIT) return;
  uv_poll_stop(&f->poll);
  f->step = f->awaited = MB_FILE_IDLE;
}

void mb_file_close(struct mb_file *f) {
  f->closing = 1;
  mb_file_forget(f);
  if (!f->step && f->fd >= 0) mb_file_begin(f, MB_FILE_CLOSE);
}

void mb_file_collect(struct mb_file *f, int alive) {
  f->box = NULL;
  if (!alive && f->fd >= 0 && !f->step) {
    close(f->fd);
    f->fd = -1;
  } else if (alive) {
    let_go(f);
    mb_file_close(f);
  }
  settle(f);
}
