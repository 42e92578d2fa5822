/* The events of a handler of the user's, and their fate when its process ends or the program does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "closing.h"
#include "codec.h"
#include "crash.h"
#include "heap.h"
#include "message.h"
#include "preempt.h"

enum { SETTLE_MS = 1000 };

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

/* The end of the handler */

/* (heap, entry) */
static int write_event(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  const struct mb_record *e = lua_touserdata(L, 2);
  if (!mb_log_push_function(h, L, "write")) return 0;
  mb_decode(h, L, (const unsigned char *)e->bytes);
  lua_call(L, 1, 0);
  return 0;
}

static void write_left(struct mb_heap *h, lua_State *L, struct mb_record *e, uint64_t missing) {
  int top = lua_gettop(L);
  if (missing) {
    char text[128];
    int n = snprintf(text, sizeof text, "Logger dropped %llu entries: the handler did not take them fast enough",
                     (unsigned long long)missing);
    mb_log_write(&h->node->log, MB_LOG_WARNING, mb_system_time(), text, (size_t)n, 1);
  }
  if (e && e->kind == MB_EVENT_ENTRY) {
    lua_pushcfunction(L, write_event);
    lua_pushlightuserdata(L, h);
    lua_pushlightuserdata(L, e);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK) mb_log_failure(h, L);
    lua_settop(L, top);
  } else if (e && e->kind == MB_EVENT_MARK) {
    mb_log_pass_mark(&h->node->log, e);
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
  log->events = (struct mb_backlog){.limit = left.limit};
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
  mb_closing_begin(h);
  mb_preempt_enter(h, L);
  if (atomic_load(&log->active) && !atomic_load(&log->ending)) {
    lua_pushcfunction(L, report_end);
    lua_pushlightuserdata(L, h);
    lua_pushlightuserdata(L, p);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK) mb_log_failure(h, L);
  }
  mb_log_abandon(h, L);
  mb_preempt_leave(h);
  mb_closing_end(h);
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
