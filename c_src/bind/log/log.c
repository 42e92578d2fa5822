#include "log/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/screen.h"
#include "heap/closing.h"
#include "heap/heap.h"
#include "heap/inspect.h"
#include "log/crash_report.h"

enum {
  LIMIT = 4 * 1024 * 1024, /* bytes that wait for the writer, and for the handler */
  HEAD_SIZE = 64
};

const char *const mb_log_levels[] = {"all",   "debug",    "info",  "notice",    "warning",
                                     "error", "critical", "alert", "emergency", "none", NULL};

int64_t mb_system_time(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The colours of levels, as logger/text.lua has them at first; NULL: as the terminal has it. */
static const char *const colors[] = {
    [MB_LOG_DEBUG] = "\33[36m", [MB_LOG_WARNING] = "\33[33m", [MB_LOG_ERROR] = "\33[31m", [MB_LOG_CRITICAL] = "\33[31m",
    [MB_LOG_ALERT] = "\33[31m", [MB_LOG_EMERGENCY] = "\33[31m", [MB_LOG_NONE] = NULL};
static const char color_end[] = "\33[0m";

static const char *color_of(const struct mb_log *log, enum mb_log_level level) {
  return atomic_load_explicit(&log->colors, memory_order_relaxed) ? colors[level] : NULL;
}

/* Whether stderr shows colours, and its user has not said that none are wanted: see no-color.org. */
static int shows_colors(void) {
  const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
  return isatty(STDERR_FILENO) && !(no && *no) && term && *term && strcmp(term, "dumb") != 0;
}

static size_t head(char *text, enum mb_log_level level, int64_t time) {
  time_t seconds = (time_t)(time / 1000);
  struct tm tm;
  localtime_r(&seconds, &tm);
  return (size_t)snprintf(text, HEAD_SIZE, "%02d:%02d:%02d.%03d [%s] ", tm.tm_hour, tm.tm_min, tm.tm_sec,
                          (int)(time % 1000), mb_log_levels[level]);
}

size_t mb_log_dropped(char *text, size_t size, uint64_t dropped, const struct mb_record *summary, const char *who) {
  unsigned long long n = dropped;
  int length;
  if (!summary)
    length = snprintf(text, size, "Logger dropped %llu entries: %s did not take them fast enough", n, who);
  else if (summary->size)
    length = snprintf(text, size, "%llu more like this: %.*s (%s did not take them fast enough)", n, (int)summary->size,
                      summary->bytes, who);
  else
    length = snprintf(text, size, "%llu more reports of crashes elsewhere (%s did not take them fast enough)", n, who);
  return (size_t)length < size ? (size_t)length : size - 1;
}

/* See mb_writer_notice. */
static size_t notice(char *text, size_t size, uint64_t dropped, const struct mb_record *summary) {
  size_t n = head(text, summary ? MB_LOG_ERROR : MB_LOG_WARNING, mb_system_time());
  n += mb_log_dropped(text + n, size - n - 1, dropped, summary, "stderr");
  text[n++] = '\n';
  return n;
}

/* Each entry is written beside a line editor. */
static int is_screen(void) { return atomic_load_explicit(&mb_screen, memory_order_relaxed) != NULL; }
static const void *begin_on_screen(void) { return mb_screen_begin(stderr); }
static void end_on_screen(const void *screen) { mb_screen_end(screen, MB_WRITTEN_LINE); }

int mb_log_init(struct mb_log *log) {
  static const struct mb_writer_frame frame = {is_screen, begin_on_screen, end_on_screen};
  memset(log, 0, sizeof *log);
  log->lowest = MB_LOG_NONE;
  log->handlers[MB_LOG_DEFAULT].used = 1;
  for (int i = 0; i < MB_LOG_MOST_HANDLERS; i++) log->handlers[i].events.limit = LIMIT;
  atomic_init(&log->level, MB_LOG_INFO);
  atomic_init(&log->gate, MB_LOG_INFO);
  atomic_init(&log->handler_count, 1);
  log->shows_colors = shows_colors();
  atomic_init(&log->colors, log->shows_colors);
  log->writer = mb_writer_new(STDERR_FILENO, LIMIT, notice, &frame);
  if (!log->writer) return -1;
  pthread_mutex_init(&log->mutex, NULL);
  return 0;
}

/* Levels */

/* The mutex is held. */
static void set_gate(struct mb_log *log) {
  int gate = atomic_load_explicit(&log->level, memory_order_relaxed);
  if (gate > log->lowest) gate = log->lowest;
  if (gate < log->floor) gate = log->floor;
  atomic_store_explicit(&log->gate, gate, memory_order_relaxed);
}

void mb_log_set_level(struct mb_log *log, enum mb_log_level level) {
  pthread_mutex_lock(&log->mutex);
  atomic_store_explicit(&log->level, (int)level, memory_order_relaxed);
  set_gate(log);
  pthread_mutex_unlock(&log->mutex);
}

void mb_log_override(struct mb_log *log, enum mb_log_overrides whose, enum mb_log_level level) {
  atomic_fetch_or_explicit(&log->overrides, (int)whose, memory_order_relaxed);
  if ((int)level < log->lowest) log->lowest = (int)level;
  set_gate(log);
}

void mb_log_set_floor(struct mb_log *log, enum mb_log_level floor) {
  log->floor = (int)floor;
  set_gate(log);
}

/* To the writer */

void mb_log_pass_mark(struct mb_log *log, struct mb_record *e) {
  e->kind = MB_WRITE_MARK;
  mb_writer_put(log->writer, e);
}

/* Nobody handles events any more; who waits for those before a mark is told when the rest is written. */
static void drop_events(struct mb_log *log, struct mb_log_handler *to) {
  free(to->taken);
  for (uint64_t missing; mb_backlog_any(&to->events);) {
    struct mb_record *e = mb_backlog_take(&to->events, &missing);
    if (e && e->kind == MB_EVENT_MARK)
      mb_log_pass_mark(log, e);
    else
      free(e);
  }
}

void mb_log_deinit(struct mb_log *log) {
  if (!log->writer) return;
  for (int i = 0; i < MB_LOG_MOST_HANDLERS; i++) drop_events(log, &log->handlers[i]);
  mb_writer_free(log->writer);
  mb_reason_release(log->settings);
  mb_reason_release(log->wake);
  pthread_mutex_destroy(&log->mutex);
  log->writer = NULL;
}

static char *append(char *at, const char *text, size_t size) {
  memcpy(at, text, size);
  return at + size;
}

/* color: NULL: none. It ends before the end of the line. */
static void put(struct mb_log *log, const char *first, size_t first_size, const char *text, size_t size,
                const char *place, const char *color) {
  size_t color_size = color ? strlen(color) : 0, end_size = color ? sizeof color_end - 1 : 0;
  int whole = size > 0 && text[size - 1] == '\n';
  struct mb_record *e;
  char *at;
  size -= (size_t)whole;
  e = mb_record_report(MB_WRITE_TEXT, color_size + first_size + size + end_size + 1, place, place ? strlen(place) : 0);
  if (!e) return; /* memory is out */
  at = append(e->bytes, color ? color : "", color_size);
  at = append(at, first, first_size);
  at = append(at, text, size);
  at = append(at, color_end, end_size);
  *at = '\n';
  mb_writer_put(log->writer, e);
}

void mb_log_write(struct mb_log *log, enum mb_log_level level, int64_t time, const char *text, size_t size,
                  const char *place) {
  char first[HEAD_SIZE];
  put(log, first, head(first, level, time), text, size, place, color_of(log, level));
}

void mb_log_write_raw(struct mb_log *log, const char *text, size_t size, const char *place) {
  put(log, "", 0, text, size, place, NULL);
}

/* Entries of Lua and C */

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

/* Push the kind of the report at `index`; nil: it is none. */
static void push_kind(lua_State *L, int index) {
  if (lua_istable(L, index)) {
    lua_pushliteral(L, "kind");
    lua_rawget(L, index);
  } else {
    lua_pushnil(L);
  }
}

/* Whether a text is written as it is: nobody has asked for another format or set a handler. */
static int is_plain(struct mb_log *log) {
  return !atomic_load_explicit(&log->handlers[MB_LOG_DEFAULT].active, memory_order_relaxed) &&
         !atomic_load_explicit(&log->styled, memory_order_relaxed);
}

static void write_text(struct mb_log *log, lua_State *L, int at, enum mb_log_level level, const char *place) {
  size_t size;
  const char *text = lua_tolstring(L, at, &size);
  mb_log_write(log, level, mb_system_time(), text, size, place);
}

int mb_log_make_entry(struct mb_heap *h, lua_State *L, enum mb_log_level level, enum mb_log_source by) {
  enum { VALUE = 1, METADATA, EMIT, KIND = EMIT + 4, TEXT, PLACE };
  struct mb_log *log = h->log;
  lua_settop(L, METADATA);
  if (lua_type(L, VALUE) == LUA_TSTRING && is_plain(log)) {
    write_text(log, L, VALUE, level, NULL);
    return 0;
  }
  if (!mb_log_push_function(h, L, "emit")) {
    mb_push_inspect(h, L, VALUE);
    write_text(log, L, lua_type(L, VALUE) == LUA_TSTRING ? VALUE : EMIT, level, "the runtime");
    return 0;
  }
  lua_pushstring(L, mb_log_levels[level]);
  lua_pushvalue(L, VALUE);
  lua_pushvalue(L, METADATA);
  if (by == MB_LOG_BY_RUNTIME) push_kind(L, VALUE);
  lua_settop(L, PLACE);
  if (lua_type(L, KIND) != LUA_TSTRING || strcmp(lua_tostring(L, KIND), "crash") != 0) return 1;
  mb_log_push_function(h, L, "short");
  mb_log_push_function(h, L, "reason");
  mb_push_crash_text(h, L, VALUE, PLACE + 1, PLACE + 2);
  lua_replace(L, TEXT);
  mb_push_crash_place(L, VALUE);
  lua_replace(L, PLACE);
  lua_settop(L, PLACE);
  if (!is_plain(log)) return 1;
  write_text(log, L, TEXT, level, lua_tostring(L, PLACE));
  return 0;
}

void mb_log_failure(struct mb_heap *h, lua_State *L) {
  struct mb_process *p = h->scheduler->current;
  const char *why = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "its error is no text";
  char text[256], pid[MB_ID_TEXT] = "the runtime";
  int n;
  if (!mb_log_wants(h->log, MB_LOG_ERROR)) return;
  if (p) mb_pid_text(mb_pid_of(p), pid);
  n = snprintf(text, sizeof text, "an entry of %s could not be made: %s", pid, why);
  mb_log_write(h->log, MB_LOG_ERROR, mb_system_time(), text, n < (int)sizeof text ? (size_t)n : sizeof text - 1,
               "an entry that could not be made");
}

/* (heap, level, value) -> what make_entry leaves to be called, or nothing */
static int prepare(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  enum mb_log_level level = (enum mb_log_level)lua_tointeger(L, 2);
  lua_replace(L, 1);
  lua_settop(L, 1);
  return mb_log_make_entry(h, L, level, MB_LOG_BY_RUNTIME) ? 1 + MB_EMIT_ARGUMENTS : 0;
}

/* Call what stands at `function` with the arguments above it: a status as lua_pcall's, the error on the top of the
 * stack. With a text that is made, the user's values are not asked any more. What is left needs little time, but may
 * have to share it with others: it gets a second chance. */
static int emit(struct mb_heap *h, lua_State *L, int function) {
  int status = LUA_OK;
  for (int tries = 0; tries < 2; tries++) {
    if (h->closing) mb_closing_renew(h);
    lua_settop(L, function + MB_EMIT_ARGUMENTS);
    for (int i = 0; i <= MB_EMIT_ARGUMENTS; i++) lua_pushvalue(L, function + i);
    status = lua_pcall(L, MB_EMIT_ARGUMENTS, 0, 0);
    if (status == LUA_OK) break;
  }
  return status;
}

void mb_log(struct mb_heap *h, lua_State *L, enum mb_log_level level) {
  struct mb_log *log = h->log;
  int top = lua_gettop(L);
  if (mb_log_wants(log, level) && lua_checkstack(L, 16)) {
    lua_pushcfunction(L, prepare);
    lua_pushlightuserdata(L, h);
    lua_pushinteger(L, level);
    lua_pushvalue(L, top);
    if (lua_pcall(L, 3, LUA_MULTRET, 0) != LUA_OK) {
      mb_log_failure(h, L);
    } else if (lua_gettop(L) > top && emit(h, L, top + 1) != LUA_OK) {
      int text = top + 1 + MB_EMIT_TEXT, place = top + 1 + MB_EMIT_PLACE;
      mb_log_failure(h, L);
      if (lua_type(L, text) == LUA_TSTRING) write_text(log, L, text, level, lua_tostring(L, place));
    }
  }
  lua_settop(L, top - 1);
}
