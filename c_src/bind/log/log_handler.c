/* The events of a handler of the user's, and their fate when its process ends or the program does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"
#include "codec/message.h"
#include "core/end_watch.h"
#include "heap/closing.h"
#include "heap/heap.h"
#include "heap/hook.h"
#include "heap/inspect.h"
#include "log/log.h"

enum { SETTLE_MS = 1000, GRANT_NS = 10000000 };

size_t mb_log_processes(const struct mb_log *log) {
  size_t n = 0;
  for (int i = 0; i < mb_log_handler_count(log); i++) n += atomic_load(&log->handlers[i].process) != 0;
  return n;
}

int mb_log_event(struct mb_heap *h, struct mb_log_handler *to, struct mb_record *e) {
  struct mb_log *log = h->log;
  struct mb_signal *wake = mb_signal_take(h->scheduler, MB_MESSAGE, log->wake->size);
  struct mb_record *replaced = NULL;
  int accepted, dropped = 0, tell = 0;
  mb_pid process;
  if (wake) memcpy(wake->data, log->wake->data, log->wake->size);
  pthread_mutex_lock(&log->mutex);
  process = atomic_load_explicit(&to->process, memory_order_relaxed);
  /* a mark stands behind what is left for a handler that is no more, too */
  accepted = atomic_load_explicit(&to->active, memory_order_relaxed) || (process && e->kind == MB_EVENT_MARK);
  if (accepted && e->kind == MB_EVENT_HANDLER && to->events.tail && to->events.tail->kind == MB_EVENT_HANDLER) {
    /* the one before it has nothing to handle: for however many are set, one waits */
    replaced = mb_backlog_replace(&to->events, e);
  } else if (accepted) {
    int is_entry = e->kind == MB_EVENT_ENTRY || e->kind == MB_EVENT_COPY;
    dropped = !mb_backlog_put(&to->events, e, is_entry ? MB_MAY_DROP : MB_KEEP);
    tell = wake && !to->told;
    if (tell) to->told = 1;
  }
  pthread_mutex_unlock(&log->mutex);
  if (dropped) free(e);
  free(replaced);
  if (tell)
    mb_signal_send(h->scheduler, process, wake);
  else if (wake)
    mb_signal_give(h->scheduler, wake);
  return accepted;
}

unsigned mb_log_successors(const struct mb_log_handler *to, enum mb_log_handlers which) {
  unsigned n = 0;
  for (const struct mb_record *e = to->events.head; e; e = e->next)
    n += e->kind == MB_EVENT_HANDLER && (e->size || which == MB_HANDLERS_ALL);
  return n;
}

/* The end of the handler */

/* (log, entry): writes an event in the default format. */
static int write_event(lua_State *L) {
  struct mb_log *log = lua_touserdata(L, 1);
  struct mb_heap *h = lua_touserdata(L, 2);
  const struct mb_record *e = lua_touserdata(L, 3);
  const char *text, *place = NULL;
  size_t size;
  int64_t time;
  int level = MB_LOG_NONE;
  mb_decode_shown(h, L, (const unsigned char *)e->bytes);
  if (!lua_istable(L, 4)) return 0;
  lua_getfield(L, 4, "time");
  time = (int64_t)lua_tointeger(L, -1);
  lua_getfield(L, 4, "level");
  while (level > 0 && (!lua_isstring(L, -1) || strcmp(mb_log_levels[level], lua_tostring(L, -1)) != 0)) level--;
  lua_getfield(L, 4, "message");
  text = luaL_checklstring(L, -1, &size);
  if (e->place_size) place = lua_pushlstring(L, mb_record_place(e), e->place_size);
  mb_log_write(log, (enum mb_log_level)level, time, text, size, place);
  return 0;
}

static void write_dropped(struct mb_log *log, uint64_t dropped, const struct mb_record *summary) {
  char text[512];
  size_t size = mb_log_dropped(text, sizeof text, dropped, summary, "the handler");
  mb_log_write(log, summary ? MB_LOG_ERROR : MB_LOG_WARNING, mb_system_time(), text, size, "entries that were dropped");
}

static void write_left(struct mb_heap *h, lua_State *L, struct mb_record *e, uint64_t missing) {
  struct mb_log *log = h->log;
  int top = lua_gettop(L);
  if (missing) write_dropped(log, missing, NULL);
  if (!e) return;
  if (e->kind == MB_EVENT_MARK) {
    mb_log_pass_mark(log, e);
    return;
  }
  if (e->alike) {
    write_dropped(log, e->alike, e);
  } else if (e->kind == MB_EVENT_ENTRY) { /* a copy is shown elsewhere */
    lua_pushcfunction(L, write_event);
    lua_pushlightuserdata(L, log);
    lua_pushlightuserdata(L, h);
    lua_pushlightuserdata(L, e);
    if (lua_pcall(L, 3, 0, 0) != LUA_OK) mb_log_failure(h, L);
    lua_settop(L, top);
  }
  free(e);
}

/* Nobody takes the events any more: write what is left in the default format, which runs no code of the user's. */
static void write_all_left(struct mb_heap *h, lua_State *L, struct mb_log_handler *to) {
  struct mb_log *log = h->log;
  struct mb_record *e;
  struct mb_backlog left;
  uint64_t missing, ns = 0;
  pthread_mutex_lock(&log->mutex);
  e = to->taken;
  left = to->events;
  to->taken = NULL;
  to->events = (struct mb_backlog){.limit = left.limit};
  to->told = to->leaving = to->handling = 0;
  atomic_store(&to->active, 0);
  atomic_store(&to->process, 0);
  pthread_mutex_unlock(&log->mutex);
  if (e) write_left(h, L, e, 0);
  while (mb_backlog_any(&left)) {
    uint64_t begun = mb_now(h->runtime);
    e = mb_backlog_take(&left, &missing);
    mb_closing_renew(h);
    write_left(h, L, e, missing);
    ns += mb_now(h->runtime) - begun;
    if (ns < GRANT_NS) continue;
    mb_end_grant((unsigned)(ns / 1000000));
    ns %= 1000000;
  }
}

/* As write_all_left, but only what stands before the next handler. */
static void write_before_successor(struct mb_heap *h, lua_State *L, struct mb_log_handler *to) {
  struct mb_log *log = h->log;
  struct mb_record *e;
  do {
    uint64_t missing = 0;
    pthread_mutex_lock(&log->mutex);
    e = to->taken;
    to->taken = NULL;
    if (!e && (to->events.head->kind != MB_EVENT_HANDLER || !to->events.head->size))
      e = mb_backlog_take(&to->events, &missing);
    pthread_mutex_unlock(&log->mutex);
    mb_closing_renew(h);
    if (e) write_left(h, L, e, missing);
  } while (e);
}

/* (heap, number of the handler) -> the pid of a new process that is to write what is left */
static int start_writing(lua_State *L) {
  if (!mb_log_push_function(lua_touserdata(L, 1), L, "take_over")) return 0;
  lua_pushvalue(L, 2);
  lua_call(L, 1, 1);
  return 1;
}

/* Let a process write what the dead one has not handled, in its own time, and what is logged meanwhile behind it. 0:
 * that could not be. */
static int hand_over(struct mb_heap *h, lua_State *L, struct mb_log_handler *to) {
  struct mb_log *log = h->log;
  mb_pid pid = 0;
  lua_pushcfunction(L, start_writing);
  lua_pushlightuserdata(L, h);
  lua_pushinteger(L, to - log->handlers);
  if (lua_pcall(L, 2, 1, 0) == LUA_OK) pid = mb_to_pid(L, -1);
  if (!pid) return 0;
  pthread_mutex_lock(&log->mutex);
  if (to->taken) mb_backlog_return(&to->events, to->taken);
  to->taken = NULL;
  to->handling = 0;
  atomic_store(&to->process, pid);
  to->leaving = 1;
  to->told = 1; /* it asks without being told */
  pthread_mutex_unlock(&log->mutex);
  return 1;
}

/* (heap, process, what comes after it, whether it was cut off, name) -> the text of the report that the handler's
 * process has ended */
static int report_end(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  struct mb_process *p = lua_touserdata(L, 2);
  const char *next = lua_touserdata(L, 3), *name = lua_touserdata(L, 5);
  char pid[MB_ID_TEXT];
  mb_pid_text(mb_pid_of(p), pid);
  name = *name ? lua_pushfstring(L, " \"%s\"", name) : "";
  if (lua_toboolean(L, 4)) {
    lua_pushfstring(
        L,
        "Logger's handler%s, process %s, is cut off: it has been at one entry for %d ms, while another handler "
        "is to take its place; %s",
        name, pid, MB_LOG_PATIENCE_MS, next);
  } else {
    mb_push_reason(h, L, p->reason);
    mb_push_inspect(h, L, -1);
    lua_pushfstring(L, "Logger's handler%s, process %s, has ended: %s; %s", name, pid, lua_tostring(L, -1), next);
  }
  return 1;
}

static void tell_end(struct mb_heap *h, lua_State *L, struct mb_process *p, const char *name, int succeeded, int cut) {
  static const char plain[] = "Logger's handler has ended; the default handler takes over";
  const char *text = plain, *next = "the default handler takes over";
  size_t size = sizeof plain - 1;
  if (succeeded) next = "the default handler takes what is left for it";
  lua_pushcfunction(L, report_end);
  lua_pushlightuserdata(L, h);
  lua_pushlightuserdata(L, p);
  lua_pushlightuserdata(L, (void *)next);
  lua_pushboolean(L, cut);
  lua_pushlightuserdata(L, (void *)name);
  if (lua_pcall(L, 5, 1, 0) == LUA_OK) text = lua_tolstring(L, -1, &size);
  mb_log_write(h->log, MB_LOG_ERROR, mb_system_time(), text, size, "Logger's handler");
}

/* The same when p is the process of this handler. */
static void handler_exit(struct mb_heap *h, struct mb_process *p, struct mb_log_handler *to) {
  struct mb_log *log = h->log;
  lua_State *L = h->reporter;
  int top, ending, active, leaving, cut, succeeded;
  char name[MB_LOG_NAME];
  if (!lua_checkstack(L, 8)) return;
  top = lua_gettop(L);
  ending = atomic_load(&log->ending);
  pthread_mutex_lock(&log->mutex);
  active = atomic_load(&to->active);
  leaving = to->leaving;
  cut = to->cut == mb_pid_of(p);
  succeeded = mb_log_successors(to, MB_HANDLERS_FUNCTIONS) != 0;
  memcpy(name, to->name, sizeof name);
  pthread_mutex_unlock(&log->mutex);
  mb_closing_begin(h);
  mb_hook_enter(h, L);
  if (cut || (active && !leaving && !ending)) tell_end(h, L, p, name, succeeded, cut);
  /* what one that writes what is left has died of (a format function, say) would end another one, too */
  if (leaving && succeeded && !ending) write_before_successor(h, L, to);
  if (ending || (leaving && !succeeded) || !hand_over(h, L, to)) write_all_left(h, L, to);
  mb_hook_leave(h);
  mb_closing_end(h);
  lua_settop(L, top);
}

void mb_log_on_exit(struct mb_heap *h, struct mb_process *p) {
  struct mb_log *log = h->log;
  for (int i = 0; i < mb_log_handler_count(log); i++)
    if (mb_pid_of(p) == atomic_load_explicit(&log->handlers[i].process, memory_order_relaxed))
      handler_exit(h, p, &log->handlers[i]);
}

/* The end of the program */

static int has_events(struct mb_log *log) {
  int any = 0;
  pthread_mutex_lock(&log->mutex);
  for (int i = 0; i < mb_log_handler_count(log); i++) {
    const struct mb_log_handler *to = &log->handlers[i];
    any |= atomic_load(&to->process) && (to->taken || mb_backlog_any(&to->events));
  }
  pthread_mutex_unlock(&log->mutex);
  return any;
}

static void on_late(uv_timer_t *t) { mb_scheduler_stop(t->data); }
static void on_closed(uv_handle_t *t) { free(t); }

void mb_log_settle(struct mb_heap *h) {
  struct mb_log *log = h->log;
  struct mb_scheduler *s = h->scheduler;
  uv_timer_t *late = malloc(sizeof *late);
  if (late && uv_timer_init(mb_loop(s), late) == 0) {
    late->data = s;
    atomic_store(&log->ending, 1);
    uv_update_time(mb_loop(s));
    uv_timer_start(late, on_late, SETTLE_MS, 0);
    atomic_store_explicit(&s->handles, 1, memory_order_relaxed); /* a handler that computes is interrupted for it */
    if (has_events(log)) mb_end_grant(SETTLE_MS);
    while (has_events(log) && uv_is_active((uv_handle_t *)late)) { /* who finds no more of them stops the scheduler */
      atomic_store(&s->stop, MB_STOP_NOT);
      if (mb_scheduler_run(s, NULL) != 0) break;
    }
    uv_close((uv_handle_t *)late, on_closed);
  } else {
    free(late);
  }
  (void)mb_writer_drain(log->writer);
}
