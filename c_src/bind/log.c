#include "log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "closing.h"
#include "codec.h"
#include "crash.h"
#include "heap.h"
#include "preempt.h"
#include "run.h"
#include "screen.h"

enum {
  LIMIT = 4 * 1024 * 1024, /* bytes that wait for the writer, and for the handler */
  HEAD_SIZE = 64,
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

/* See mb_writer_notice. */
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

void mb_log_pass_mark(struct mb_log *log, struct mb_record *e) {
  e->kind = MB_WRITE_MARK;
  mb_writer_put(log->writer, e, 1);
}

void mb_log_deinit(struct mb_log *log) {
  if (!log->writer) return;
  free(log->taken);
  for (uint64_t missing; mb_backlog_any(&log->events);) {
    struct mb_record *e = mb_backlog_take(&log->events, &missing);
    if (e && e->kind == MB_EVENT_MARK)
      mb_log_pass_mark(log, e);
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

int mb_log_push_function(struct mb_heap *h, lua_State *L, const char *name) {
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

/* Whether a text is written as it is: nobody has asked for another format or set a handler. */
static int is_plain(struct mb_log *log) {
  return !atomic_load_explicit(&log->active, memory_order_relaxed) &&
         !atomic_load_explicit(&log->version, memory_order_relaxed);
}

static void write_text(struct mb_log *log, lua_State *L, int at, enum mb_log_level level, int keep) {
  size_t size;
  const char *text = lua_tolstring(L, at, &size);
  mb_log_write(log, level, mb_system_time(), text, size, keep);
}

/* An entry of the value at index 1 and the metadata at 2; with `trusted`, the value may be a report of a crash. It has been
 * written when this returns 0; at 1 a function is left to be called, with EMIT_ARGUMENTS on the top of the stack, the last
 * of which is the text of such a report. */
enum { EMIT_ARGUMENTS = 4 };

static int make_entry(struct mb_heap *h, lua_State *L, enum mb_log_level level, int trusted) {
  enum { VALUE = 1, METADATA, EMIT, LEVEL, TEXT = 7 };
  struct mb_log *log = &h->node->log;
  int crash = trusted && is_crash(L, VALUE);
  lua_settop(L, METADATA);
  if (lua_type(L, VALUE) == LUA_TSTRING && is_plain(log)) {
    write_text(log, L, VALUE, level, 0);
    return 0;
  }
  if (!mb_log_push_function(h, L, "emit")) {
    mb_push_inspect(h, L, VALUE);
    write_text(log, L, lua_type(L, VALUE) == LUA_TSTRING ? VALUE : EMIT, level, 1);
    return 0;
  }
  lua_pushstring(L, mb_log_levels[level]);
  lua_pushvalue(L, VALUE);
  lua_pushvalue(L, METADATA);
  if (!crash) {
    lua_pushnil(L);
    return 1;
  }
  mb_log_push_function(h, L, "short");
  mb_push_crash_text(L, VALUE, TEXT);
  lua_replace(L, TEXT);
  if (!is_plain(log)) return 1;
  write_text(log, L, TEXT, level, 1);
  return 0;
}

int mb_log_value(struct mb_heap *h, lua_State *L, enum mb_log_level level, int trusted) {
  if (make_entry(h, L, level, trusted)) lua_callk(L, EMIT_ARGUMENTS, 0, 0, logged);
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

/* (heap, level, value) -> what make_entry leaves to be called, or nothing */
static int prepare(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  enum mb_log_level level = (enum mb_log_level)lua_tointeger(L, 2);
  lua_replace(L, 1);
  lua_settop(L, 1);
  return make_entry(h, L, level, 1) ? 1 + EMIT_ARGUMENTS : 0;
}

/* Call what stands at `function` with the arguments above it: a status as lua_pcall's, the error on the top of the stack.
 * With a text that is made, the user's values are not asked any more. What is left needs little time, but may have to
 * share it with others: it gets a second chance. */
static int emit(struct mb_heap *h, lua_State *L, int function) {
  int status = LUA_OK;
  for (int tries = 0; tries < 2; tries++) {
    if (h->closing) mb_closing_renew(h);
    lua_settop(L, function + EMIT_ARGUMENTS);
    for (int i = 0; i <= EMIT_ARGUMENTS; i++) lua_pushvalue(L, function + i);
    status = lua_pcall(L, EMIT_ARGUMENTS, 0, 0);
    if (status == LUA_OK) break;
  }
  return status;
}

void mb_log(struct mb_heap *h, lua_State *L, enum mb_log_level level) {
  struct mb_log *log = &h->node->log;
  int top = lua_gettop(L);
  if (mb_log_wants(log, level) && lua_checkstack(L, 16)) {
    lua_pushcfunction(L, prepare);
    lua_pushlightuserdata(L, h);
    lua_pushinteger(L, level);
    lua_pushvalue(L, top);
    if (lua_pcall(L, 3, LUA_MULTRET, 0) != LUA_OK) {
      mb_log_failure(h, L);
    } else if (lua_gettop(L) > top && emit(h, L, top + 1) != LUA_OK) {
      int text = top + 1 + EMIT_ARGUMENTS;
      mb_log_failure(h, L);
      if (lua_type(L, text) == LUA_TSTRING) write_text(log, L, text, level, 1);
    }
  }
  lua_settop(L, top - 1);
}
