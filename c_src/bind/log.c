#include "log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "codec.h"
#include "crash.h"
#include "heap.h"
#include "preempt.h"
#include "run.h"
#include "screen.h"

enum {
  LIMIT = 4 * 1024 * 1024, /* bytes that wait for the writer, and for the handler */
  HEAD_SIZE = 64,
  SETTLE_MS = 1000,
  NAP_NS = 1000000,
  PATIENCE_NS = 1000000000
};

const char *const mb_log_levels[] = {"debug", "info", "warning", "error", "none", NULL};

int64_t mb_system_time(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static size_t head(char *text, enum mb_log_level level, int64_t time) {
  time_t seconds = (time_t)(time / 1000);
  struct tm tm;
  localtime_r(&seconds, &tm);
  return (size_t)snprintf(text, HEAD_SIZE, "%02d:%02d:%02d.%03d [%s] ", tm.tm_hour, tm.tm_min, tm.tm_sec,
                          (int)(time % 1000), mb_log_levels[level]);
}

static size_t notice(char *text, size_t size, uint64_t dropped) {
  size_t n = head(text, MB_LOG_WARNING, mb_system_time());
  return n + (size_t)snprintf(text + n, size - n, "Logger dropped %llu entries: stderr did not take them fast enough\n",
                              (unsigned long long)dropped);
}

/* Each entry is written beside a line editor. */
static int is_screen(void) { return atomic_load_explicit(&mb_screen, memory_order_relaxed) != NULL; }
static const void *begin_on_screen(void) { return mb_screen_begin(stderr); }
static void end_on_screen(const void *screen) { mb_screen_end(screen, 1); }

int mb_log_init(struct mb_log *log) {
  static const struct mb_writer_frame frame = {is_screen, begin_on_screen, end_on_screen};
  *log = (struct mb_log){.level = MB_LOG_INFO, .events = {.limit = LIMIT}};
  log->writer = mb_writer_new(STDERR_FILENO, LIMIT, notice, &frame);
  if (!log->writer) return -1;
  pthread_mutex_init(&log->mutex, NULL);
  return 0;
}

/* To the writer */

/* A mark among the events is reached when what was before it is written. */
static void pass_mark(struct mb_log *log, struct mb_record *e) {
  e->kind = MB_WRITE_MARK;
  mb_writer_put(log->writer, e, 1);
}

void mb_log_deinit(struct mb_log *log) {
  if (!log->writer) return;
  free(log->taken);
  for (uint64_t missing; mb_backlog_any(&log->events);) {
    struct mb_record *e = mb_backlog_take(&log->events, &missing);
    if (e && e->kind == MB_EVENT_MARK)
      pass_mark(log, e);
    else
      free(e);
  }
  mb_writer_free(log->writer);
  mb_reason_release(log->settings);
  mb_reason_release(log->wake);
  pthread_mutex_destroy(&log->mutex);
  log->writer = NULL;
}

static void put(struct mb_log *log, const char *first, size_t first_size, const char *text, size_t size, int keep) {
  int whole = first_size + size > 0 && (size ? text[size - 1] : first[first_size - 1]) == '\n';
  struct mb_record *e = mb_record_new(MB_WRITE_TEXT, first_size + size + !whole);
  if (!e) return; /* memory is out */
  memcpy(e->bytes, first, first_size);
  memcpy(e->bytes + first_size, text, size);
  if (!whole) e->bytes[e->size - 1] = '\n';
  mb_writer_put(log->writer, e, keep);
}

void mb_log_write(struct mb_log *log, enum mb_log_level level, int64_t time, const char *text, size_t size, int keep) {
  char first[HEAD_SIZE];
  put(log, first, head(first, level, time), text, size, keep);
}

void mb_log_write_raw(struct mb_log *log, const char *text, size_t size, int keep) { put(log, "", 0, text, size, keep); }

/* To the handler's process */

int mb_log_event(struct mb_heap *h, struct mb_record *e, int keep) {
  struct mb_log *log = &h->node->log;
  struct mb_signal *wake = mb_signal_take(h->scheduler, MB_MESSAGE, log->wake->size);
  int active, dropped = 0, rouse = 0;
  mb_pid to;
  if (wake) memcpy(wake->data, log->wake->data, log->wake->size);
  pthread_mutex_lock(&log->mutex);
  active = atomic_load_explicit(&log->active, memory_order_relaxed);
  to = atomic_load_explicit(&log->process, memory_order_relaxed);
  if (active) {
    dropped = !mb_backlog_put(&log->events, e, keep);
    rouse = wake && !log->roused;
    if (rouse) log->roused = 1;
  }
  pthread_mutex_unlock(&log->mutex);
  if (dropped) free(e);
  if (rouse)
    mb_signal_send(h->scheduler, to, wake);
  else if (wake)
    mb_signal_give(h->scheduler, wake);
  return active;
}

/* Entries of Lua and C */

static int is_pressed(struct mb_log *log) {
  int pressed = mb_writer_pressed(log->writer);
  if (!pressed && atomic_load_explicit(&log->active, memory_order_relaxed)) {
    pthread_mutex_lock(&log->mutex);
    pressed = mb_backlog_pressed(&log->events);
    pthread_mutex_unlock(&log->mutex);
  }
  return pressed;
}

/* An entry has been made: true. Who logs faster than entries are taken waits for a while, where it may, so that a burst
 * is not dropped; k: until when (ns), 0: not yet decided. */
static int logged(lua_State *L, int status, lua_KContext k) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_log *log = &h->node->log;
  (void)status;
  while (is_pressed(log) && mb_can_wait(h, L)) {
    struct mb_process *p = h->scheduler->current;
    uint64_t now = uv_hrtime();
    if (mb_pid_of(p) == atomic_load_explicit(&log->process, memory_order_relaxed)) break; /* others wait for it */
    if (!k) k = (lua_KContext)(now + PATIENCE_NS);
    if (now >= (uint64_t)k) break;
    mb_block(h, L, p, now + NAP_NS, k, logged);
  }
  lua_pushboolean(L, 1);
  return 1;
}

/* Push a function of moonbeam.log; 0 and nothing pushed when that is not loaded yet. */
static int push_function(struct mb_heap *h, lua_State *L, const char *name) {
  mb_push_ref(h, L, MB_REF_LOG);
  if (!lua_istable(L, -1)) {
    lua_pop(L, 1);
    return 0;
  }
  lua_getfield(L, -1, name);
  lua_remove(L, -2);
  return 1;
}

/* Whether the value at `index` is the report of a crash. */
static int is_crash(lua_State *L, int index) {
  int is;
  if (!lua_istable(L, index)) return 0;
  lua_pushliteral(L, "kind");
  lua_rawget(L, index);
  is = lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), "crash") == 0;
  lua_pop(L, 1);
  return is;
}

/* An entry of the value at index 1 and the metadata at 2; with `trusted`, the value may be a report of a crash. Returns
 * whether `emit` is left to be called, with its four arguments on the top of the stack, the last of which is the text of
 * such a report. */
static int make_entry(struct mb_heap *h, lua_State *L, enum mb_log_level level, int trusted) {
  struct mb_log *log = &h->node->log;
  int lua_side, crash = trusted && is_crash(L, 1);
  lua_settop(L, 2);
  lua_side = push_function(h, L, "emit");
  if (crash && lua_side) {
    push_function(h, L, "short");
    mb_push_crash_text(L, 1, 4);
    lua_replace(L, 4);
  } else {
    lua_pushvalue(L, 1);
  }
  /* 3: emit, if there; top: the value or the text */
  if (lua_type(L, -1) == LUA_TSTRING && !atomic_load_explicit(&log->active, memory_order_relaxed) &&
      !atomic_load_explicit(&log->version, memory_order_relaxed)) {
    size_t size;
    const char *text = lua_tolstring(L, -1, &size);
    mb_log_write(log, level, mb_system_time(), text, size, crash);
    return 0;
  }
  if (!lua_side) {
    size_t size;
    const char *text;
    mb_push_inspect(h, L, 1);
    text = lua_tolstring(L, -1, &size);
    mb_log_write(log, level, mb_system_time(), text, size, 1);
    return 0;
  }
  lua_settop(L, 4);
  lua_pushstring(L, mb_log_levels[level]);
  lua_insert(L, 4);
  lua_pushvalue(L, 1);
  lua_insert(L, 5);
  lua_pushvalue(L, 2);
  lua_insert(L, 6);
  if (!crash) {
    lua_pop(L, 1);
    lua_pushnil(L);
  }
  return 1;
}

int mb_log_value(struct mb_heap *h, lua_State *L, enum mb_log_level level, int trusted) {
  if (make_entry(h, L, level, trusted)) lua_callk(L, 4, 0, 0, logged);
  return logged(L, LUA_OK, 0);
}

void mb_log_failure(struct mb_heap *h, lua_State *L) {
  struct mb_process *p = h->scheduler->current;
  const char *why = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "its error is no text";
  char text[256], pid[MB_ID_TEXT] = "the runtime";
  int n;
  if (!mb_log_wants(&h->node->log, MB_LOG_ERROR)) return;
  if (p) mb_pid_text(mb_pid_of(p), pid);
  n = snprintf(text, sizeof text, "an entry of %s could not be made: %s", pid, why);
  mb_log_write(&h->node->log, MB_LOG_ERROR, mb_system_time(), text, n < (int)sizeof text ? (size_t)n : sizeof text - 1,
               1);
}

/* (heap, level, value) -> emit and its arguments, or nothing */
static int prepare(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  enum mb_log_level level = (enum mb_log_level)lua_tointeger(L, 2);
  lua_replace(L, 1);
  lua_settop(L, 1);
  return make_entry(h, L, level, 1) ? 5 : 0;
}

void mb_log(struct mb_heap *h, lua_State *L, enum mb_log_level level) {
  int top = lua_gettop(L), status, tries = 2;
  if (!mb_log_wants(&h->node->log, level) || !lua_checkstack(L, 16)) goto out;
  lua_pushcfunction(L, prepare);
  lua_pushlightuserdata(L, h);
  lua_pushinteger(L, level);
  lua_pushvalue(L, top);
  status = lua_pcall(L, 3, LUA_MULTRET, 0);
  if (status != LUA_OK) {
    mb_log_failure(h, L);
    goto out;
  }
  if (lua_gettop(L) == top) goto out; /* it has been written */
  /* With a text that is made, the user's values are not asked any more. What is left needs little time, but may have to
   * share it with others: it gets a second chance. */
  do {
    if (h->closing) mb_slice_renew(h->scheduler);
    for (int i = 1; i <= 5; i++) lua_pushvalue(L, top + i);
    status = lua_pcall(L, 4, 0, 0);
  } while (status != LUA_OK && --tries && (lua_pop(L, 1), 1));
  if (status != LUA_OK) {
    size_t size;
    const char *text = lua_tolstring(L, top + 5, &size);
    mb_log_failure(h, L);
    if (text) mb_log_write(&h->node->log, level, mb_system_time(), text, size, 1);
  }
out:
  lua_settop(L, top - 1);
}

/* The end of the handler */

/* (heap, entry) */
static int write_event(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  const struct mb_record *e = lua_touserdata(L, 2);
  if (!push_function(h, L, "write")) return 0;
  mb_decode(h, L, (const unsigned char *)e->bytes, e->size);
  lua_call(L, 1, 0);
  return 0;
}

static void write_left(struct mb_heap *h, lua_State *L, struct mb_record *e, uint64_t missing) {
  int top = lua_gettop(L);
  if (missing) {
    char text[256];
    mb_log_write_raw(&h->node->log, text, notice(text, sizeof text, missing), 1);
  }
  if (e && e->kind == MB_EVENT_ENTRY) {
    lua_pushcfunction(L, write_event);
    lua_pushlightuserdata(L, h);
    lua_pushlightuserdata(L, e);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK) mb_log_failure(h, L);
    lua_settop(L, top);
  } else if (e && e->kind == MB_EVENT_MARK) {
    pass_mark(&h->node->log, e);
    return;
  }
  free(e);
}

void mb_log_abandon(struct mb_heap *h, lua_State *L) {
  struct mb_log *log = &h->node->log;
  struct mb_backlog left;
  struct mb_record *e;
  uint64_t missing;
  pthread_mutex_lock(&log->mutex);
  atomic_store(&log->active, 0);
  atomic_store(&log->process, 0);
  e = log->taken;
  left = log->events;
  log->taken = NULL;
  log->events = (struct mb_backlog){.limit = LIMIT};
  log->roused = 0;
  pthread_mutex_unlock(&log->mutex);
  if (e) write_left(h, L, e, 0);
  while (mb_backlog_any(&left)) {
    e = mb_backlog_take(&left, &missing);
    write_left(h, L, e, missing);
  }
}

/* (heap, process): the report that the handler's process has ended. */
static int report_end(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  struct mb_process *p = lua_touserdata(L, 2);
  char pid[MB_ID_TEXT];
  const char *text;
  size_t size;
  mb_pid_text(mb_pid_of(p), pid);
  mb_push_reason(h, L, p->reason);
  mb_push_inspect(h, L, -1);
  lua_pushfstring(L, "Logger's handler, process %s, has ended: %s; the default handler takes over", pid,
                  lua_tostring(L, -1));
  text = lua_tolstring(L, -1, &size);
  mb_log_write(&h->node->log, MB_LOG_ERROR, mb_system_time(), text, size, 1);
  return 0;
}

void mb_log_bury(struct mb_heap *h, struct mb_process *p) {
  struct mb_log *log = &h->node->log;
  lua_State *L = h->reporter;
  int top = lua_gettop(L);
  if (mb_pid_of(p) != atomic_load_explicit(&log->process, memory_order_relaxed) || !lua_checkstack(L, 8)) return;
  h->closing++;
  mb_preempt_enter(h, L);
  if (atomic_load(&log->active) && !atomic_load(&log->ending)) {
    lua_pushcfunction(L, report_end);
    lua_pushlightuserdata(L, h);
    lua_pushlightuserdata(L, p);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK) mb_log_failure(h, L);
  }
  mb_log_abandon(h, L);
  mb_preempt_leave(h);
  h->closing--;
  lua_settop(L, top);
}

/* The end of the program */

static int has_events(struct mb_log *log) {
  int any;
  pthread_mutex_lock(&log->mutex);
  any = atomic_load(&log->process) && (log->taken || mb_backlog_any(&log->events));
  pthread_mutex_unlock(&log->mutex);
  return any;
}

static void on_late(uv_timer_t *t) { mb_scheduler_stop(t->data); }
static void on_closed(uv_handle_t *t) { free(t); }

void mb_log_settle(struct mb_heap *h) {
  struct mb_log *log = &h->node->log;
  struct mb_scheduler *s = h->scheduler;
  uv_timer_t *late = malloc(sizeof *late);
  if (late && uv_timer_init(s->loop, late) == 0) {
    late->data = s;
    atomic_store(&log->ending, 1);
    uv_update_time(s->loop);
    uv_timer_start(late, on_late, SETTLE_MS, 0);
    while (has_events(log) && uv_is_active((uv_handle_t *)late)) { /* who finds no more of them stops the scheduler */
      atomic_store(&s->stop, 0);
      if (mb_scheduler_run(s, NULL) != 0) break;
    }
    uv_close((uv_handle_t *)late, on_closed);
  } else {
    free(late);
  }
  (void)mb_writer_drain(log->writer);
}
