#include "io/standard_output.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <unistd.h>

#include "codec/buffer.h"
#include "core/clock.h"
#include "core/outlet.h"
#include "core/screen.h"

enum {
  MOST_QUEUED = 1 << 20, /* more is not accepted before that has gone */
  ROOM_KEPT = 1 << 16,
  MOST_FAILURES = 16,    /* are remembered */
  LEAST_BLOCK = 128,     /* of stdio: in smaller buffers it keeps nothing of what does not fit */
  STALL_MS = 1000,
  FILE_NS = 1000000 /* a descriptor that was a file is taken for one so long: asking costs as much as writing a line */
};

static struct {
  pthread_mutex_t mutex; /* guards all below; taken before stdout's own lock */
  struct mb_outlet outlet;
  uint64_t file_since; /* ns: the outlet was seen to be a file; 0: it was not */
  struct mb_buffer bytes; /* the queue: from `start` on */
  size_t start;
  uint64_t put, done; /* bytes that have ever been queued, and have gone: tickets are of `put` */
  uint64_t owed;      /* up to here there are bytes of calls that have returned */
  struct failure {
    uint64_t from, to;
    int error;
  } failures[MOST_FAILURES];
  unsigned failed;
  int opened;
} out = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void forget(void) {
  out.done = out.put;
  out.start = out.bytes.size = 0;
  if (out.bytes.capacity > ROOM_KEPT) mb_buffer_deinit(&out.bytes);
}

/* Write what is taken now. Whether anything has gone; what has failed has. The mutex is held. */
static int pump(void) {
  uint64_t before = out.done;
  while (out.start < out.bytes.size) {
    ssize_t n = mb_outlet_write(&out.outlet, (const char *)out.bytes.bytes + out.start, out.bytes.size - out.start);
    if (n == -EAGAIN) break;
    if (n < 0) {
      out.failures[out.failed++ % MOST_FAILURES] = (struct failure){out.done, out.put, (int)-n};
      out.start = out.bytes.size;
    } else {
      out.start += (size_t)n;
      out.done += (uint64_t)n;
    }
  }
  if (out.start == out.bytes.size) forget();
  return out.done != before;
}

static int is_full(void) { return out.bytes.size - out.start > MOST_QUEUED; }

static int state_of(uint64_t ticket) {
  if (ticket == MB_STDOUT_FULL) return !is_full();
  for (unsigned i = 0; i < MOST_FAILURES && i < out.failed; i++)
    if (out.failures[i].from < ticket && ticket <= out.failures[i].to) return -out.failures[i].error;
  return out.done >= ticket;
}

/* Make room for n bytes more. 0, or -1: memory is out. */
static int reserve(size_t n) {
  if (out.start > 0 && out.bytes.size + n > out.bytes.capacity) {
    memmove(out.bytes.bytes, out.bytes.bytes + out.start, out.bytes.size - out.start);
    out.bytes.size -= out.start;
    out.start = 0;
  }
  return n == 0 || mb_buffer_reserve(&out.bytes, n) ? 0 : -1;
}

static void add(const void *bytes, size_t n) {
  memcpy(out.bytes.bytes + out.bytes.size, bytes, n);
  out.bytes.size += n;
  out.put += n;
}

/* Take what stdio has buffered, for which there is room. stdout is locked. */
static void take_buffered(void) {
  size_t n = __fpending(stdout);
  if (!n) return;
  add(stdout->_IO_write_base, n);
  __fpurge(stdout);
  out.owed = out.put;
}

static void finish_at_exit(void) { mb_stdout_finish(); }

static void begin(void) {
  if (out.opened) return;
  out.opened = 1;
  mb_outlet_init(&out.outlet, STDOUT_FILENO, MB_OUTLET_RAISES);
  atexit(finish_at_exit);
}

int mb_stdout_is_slow(FILE *f) {
  uint64_t now;
  int slow;
  if (f != stdout || atomic_load_explicit(&mb_screen, memory_order_relaxed)) return 0;
  now = mb_clock_system();
  pthread_mutex_lock(&out.mutex);
  begin();
  if (!out.file_since || now - out.file_since >= FILE_NS)
    out.file_since = mb_outlet_look(&out.outlet) == MB_OUTLET_FILE ? now : 0;
  slow = !out.file_since;
  pthread_mutex_unlock(&out.mutex);
  return slow;
}

/* What is written by a call: strings on a Lua stack, and a newline. */
struct pieces {
  lua_State *L;
  int first, last, newline;
};

static const char *piece(const struct pieces *all, int i, size_t *size) {
  *size = 1;
  return i > all->last ? "\n" : lua_tolstring(all->L, i, size);
}

static int last_of(const struct pieces *all) { return all->last + (all->newline ? 1 : 0); }

/* How many bytes stand behind the last newline; all of them: there is none. */
static size_t behind_newline(const struct pieces *all) {
  size_t behind = 0;
  for (int i = last_of(all); i >= all->first; i--) {
    size_t size;
    const char *text = piece(all, i, &size), *end = memrchr(text, '\n', size);
    if (end) return behind + size - (size_t)(end + 1 - text);
    behind += size;
  }
  return behind;
}

/* How many of `size` bytes stdio would keep, behind those that it has. */
static size_t kept(const struct pieces *all, size_t size) {
  size_t block = __fbufsize(stdout), pending = __fpending(stdout), behind;
  int lines = __flbf(stdout) || (!block && isatty(STDOUT_FILENO));
  if (!block) block = out.outlet.block;
  if (lines) {
    behind = behind_newline(all);
    return (behind == size ? pending : 0) + behind < block ? behind : 0;
  }
  if (pending + size < block) return size;
  return block < LEAST_BLOCK ? 0 : (pending + size) % block;
}

/* Hand on the bytes of all pieces from `from` to `to`. */
static void each(const struct pieces *all, size_t from, size_t to, void (*take)(const void *bytes, size_t n)) {
  size_t at = 0;
  for (int i = all->first; i <= last_of(all) && at < to; i++) {
    size_t size, skipped, n;
    const char *text = piece(all, i, &size);
    skipped = at < from ? from - at : 0;
    n = at + size < to ? size : to - at;
    if (n > skipped) take(text + skipped, n - skipped);
    at += size;
  }
}

static void buffer(const void *bytes, size_t n) { fwrite_unlocked(bytes, 1, n, stdout); }

static size_t size_of(const struct pieces *all) {
  size_t size = 0, n;
  for (int i = all->first; i <= last_of(all); size += n, i++) (void)piece(all, i, &n);
  return size;
}

int mb_stdout_buffer(lua_State *L, int first, int last) {
  struct pieces all = {L, first, last, 0};
  size_t size = size_of(&all), keep = SIZE_MAX;
  if (atomic_load_explicit(&mb_screen, memory_order_relaxed)) return 0;
  flockfile(stdout);
  if (__fbufsize(stdout)) keep = kept(&all, size);
  if (keep == size) each(&all, 0, size, buffer);
  funlockfile(stdout);
  return keep == size;
}

uint64_t mb_stdout_write(lua_State *L, int first, int last, int newline, int flush) {
  struct pieces all = {L, first, last, newline};
  size_t size = size_of(&all), keep;
  uint64_t ticket = 0;
  int went = 0;
  pthread_mutex_lock(&out.mutex);
  flockfile(stdout);
  keep = flush ? 0 : kept(&all, size);
  if (keep < size || flush) {
    ticket = is_full() ? MB_STDOUT_FULL : reserve(__fpending(stdout) + size - keep) != 0 ? MB_STDOUT_NO_MEMORY : 0;
    if (!ticket) {
      take_buffered();
      each(&all, 0, size - keep, add);
      ticket = out.put;
      went = pump();
    }
  }
  if (ticket < MB_STDOUT_NO_MEMORY) {
    int state = state_of(ticket);
    if (state >= 0) each(&all, size - keep, size, buffer);
    if (state > 0) ticket = 0;
  }
  funlockfile(stdout);
  pthread_mutex_unlock(&out.mutex);
  if (went) mb_ready_tell(STDOUT_FILENO);
  return ticket;
}

uint64_t mb_stdout_flush(void) {
  uint64_t ticket;
  int went;
  pthread_mutex_lock(&out.mutex);
  flockfile(stdout);
  ticket = reserve(__fpending(stdout)) == 0 ? 0 : MB_STDOUT_NO_MEMORY;
  if (!ticket) {
    take_buffered();
    if (out.done < out.put) ticket = out.put;
  }
  funlockfile(stdout);
  went = pump();
  pthread_mutex_unlock(&out.mutex);
  if (went) mb_ready_tell(STDOUT_FILENO);
  return ticket;
}

int mb_stdout_state(uint64_t ticket) {
  int state, went;
  if (!ticket) return 1;
  pthread_mutex_lock(&out.mutex);
  went = pump();
  state = state_of(ticket);
  pthread_mutex_unlock(&out.mutex);
  if (went) mb_ready_tell(STDOUT_FILENO);
  return state;
}

static int is_due(uint64_t ticket) {
  int due;
  pthread_mutex_lock(&out.mutex);
  due = state_of(ticket) != 0;
  pthread_mutex_unlock(&out.mutex);
  return due;
}

static int go_on(void) {
  int left;
  pthread_mutex_lock(&out.mutex);
  pump();
  left = out.start < out.bytes.size;
  pthread_mutex_unlock(&out.mutex);
  mb_ready_tell(STDOUT_FILENO);
  return left;
}

const struct mb_ready_stream mb_stdout_stream = {STDOUT_FILENO, go_on, is_due};

int mb_stdout_await(uint64_t ticket) {
  struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};
  int state;
  while ((state = mb_stdout_state(ticket)) == 0) (void)poll(&p, 1, -1);
  return state;
}

void mb_stdout_prompt(void) {
  size_t block = __fbufsize(stdin);
  if (!__flbf(stdout) || !__fpending(stdout)) return;
  if (block == 1 || (block ? __flbf(stdin) : isatty(STDIN_FILENO)))
    if (mb_stdout_is_slow(stdout)) (void)mb_stdout_flush();
}

void mb_stdout_finish(void) {
  struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};
  pthread_mutex_lock(&out.mutex);
  while (out.opened && out.start < out.bytes.size) {
    pump();
    if (out.start < out.bytes.size && poll(&p, 1, out.done < out.owed ? -1 : STALL_MS) == 0) forget();
  }
  pthread_mutex_unlock(&out.mutex);
}
