/* The functions of the log by which entries become events of a handler's: whose process gets them, and what waits for
 * them. What is between these is log/log_handler.c. */
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "codec/codec.h"
#include "heap/arguments.h"
#include "heap/closing.h"
#include "heap/errors.h"
#include "log/log.h"
#include "process/current.h"

/* An entry with the encoded value at stack index `at`, and the place of a report. Raises when it cannot travel. */
static struct mb_record *encode_entry(struct mb_heap *h, lua_State *L, int at, enum mb_event_kind kind,
                                     const char *doing, const char *place) {
  const struct mb_buffer *out;
  struct mb_record *e;
  mb_encode(h, L, at, 1, doing, &out);
  e = mb_record_report(kind, out->size, place, place ? strlen(place) : 0);
  if (!e) mb_no_memory(L);
  memcpy(e->bytes, out->bytes, out->size);
  if (kind == MB_EVENT_ENTRY) mb_encoded_tells((unsigned char *)e->bytes);
  return e;
}

/* log_event(event, place | nil) -> whether there is a handler that gets it. Raises when the event cannot travel. */
static int log_event(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_log *log = h->log;
  struct mb_process *p = h->scheduler->current;
  const char *place = luaL_optstring(L, 2, NULL);
  int taken = 0;
  /* what the handler itself logs does not come back to it */
  if (atomic_load(&log->active) && !(p && mb_pid_of(p) == atomic_load(&log->process))) {
    struct mb_record *e;
    lua_settop(L, 2);
    e = encode_entry(h, L, 1, MB_EVENT_ENTRY, "log", place);
    taken = mb_log_event(h, e);
    if (!taken) free(e);
  }
  lua_pushboolean(L, taken);
  return 1;
}

/* Whether somebody has to see to it that the one before gives way to the handler that has just been set. The caller
 * holds the mutex. */
static int needs_watch(struct mb_log *log) {
  const struct mb_record *first = log->events.head;
  int needs = !log->watched && first && (log->handling || first->kind != MB_EVENT_HANDLER);
  if (needs) log->watched = 1;
  return needs;
}

/* log_handler(fn | nil [, pid]) -> the pid that runs it, or false: nobody does yet, a new process is needed; and
 * whether the caller is to start one that asks log_overdue. With nil the process ends when it has handled what there
 * is. */
static int log_handler(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_log *log = h->log;
  struct mb_record *e = NULL;
  mb_pid process;
  int watch = 0;
  if (!lua_isnil(L, 1)) {
    mb_pid offered = lua_isnoneornil(L, 2) ? 0 : mb_check_pid(h, L, 2, "log_handler", 2);
    lua_settop(L, 1);
    e = encode_entry(h, L, 1, MB_EVENT_HANDLER, "set handler", NULL);
    pthread_mutex_lock(&log->mutex);
    process = atomic_load(&log->process);
    if (!process) atomic_store(&log->process, process = offered);
    if (process) {
      atomic_store(&log->active, 1);
      log->leaving = 0; /* it goes on with this one */
    }
    pthread_mutex_unlock(&log->mutex);
    if (!process || !mb_log_event(h, e)) free(e);
  } else {
    e = mb_record_new(MB_EVENT_HANDLER, 0); /* what follows is not for it */
    if (!e) return mb_no_memory(L);
    if (!mb_log_event(h, e)) free(e);
    pthread_mutex_lock(&log->mutex);
    atomic_store(&log->active, 0);
    process = atomic_load(&log->process);
    pthread_mutex_unlock(&log->mutex);
  }
  if (process) {
    pthread_mutex_lock(&log->mutex);
    watch = needs_watch(log);
    pthread_mutex_unlock(&log->mutex);
    mb_push_id(L, process);
  } else {
    lua_pushboolean(L, 0);
  }
  lua_pushboolean(L, watch);
  return 2;
}

/* log_overdue(turn | nil) -> nil: no handler waits any more, the caller's watch is over; or the number of the turn that
 * the one before it has, and the pid to be ended when that has been asked for before. */
static int log_overdue(lua_State *L) {
  struct mb_log *log = mb_heap_of(L)->log;
  int known = !lua_isnoneornil(L, 1);
  unsigned turn = (unsigned)luaL_optinteger(L, 1, 0);
  mb_pid overdue = 0;
  pthread_mutex_lock(&log->mutex);
  if (!mb_log_successors(log, MB_HANDLERS_ALL)) {
    log->watched = 0;
    pthread_mutex_unlock(&log->mutex);
    return 0;
  }
  if (known && log->handling && log->turns == turn) log->cut = overdue = atomic_load(&log->process);
  turn = log->turns;
  pthread_mutex_unlock(&log->mutex);
  lua_pushinteger(L, turn);
  if (!overdue) return 1;
  mb_push_id(L, overdue);
  return 2;
}

/* The next event for its process; NULL: there is none. *kind as log_take returns it, then. */
static struct mb_record *take(struct mb_heap *h, struct mb_process *p, const char **kind, uint64_t *missing) {
  struct mb_log *log = h->log;
  struct mb_record *done, *e = NULL;
  *missing = 0;
  *kind = NULL;
  pthread_mutex_lock(&log->mutex);
  done = log->taken;
  log->taken = NULL;
  if (mb_pid_of(p) != atomic_load(&log->process)) {
    log->taken = done;
    done = NULL;
    *kind = "end";
  } else if (mb_backlog_any(&log->events)) {
    log->handling = 1;
    log->turns++;
    struct mb_record *first = log->events.head;
    if (first && first->missing) { /* told of first, and taken by the next call */
      *missing = first->missing;
      first->missing = 0;
    } else {
      e = mb_backlog_take(&log->events, missing);
      if (e && e->kind != MB_EVENT_MARK && !e->alike) log->taken = e;
      if (e && e->kind == MB_EVENT_HANDLER && e->size) log->leaving = 0; /* the one before it is over */
    }
  } else {
    log->told = log->handling = 0;
    if (!atomic_load(&log->active) || log->leaving) {
      log->leaving = 0;
      atomic_store(&log->active, 0);
      atomic_store(&log->process, 0);
      *kind = "end";
    }
    if (atomic_load(&log->ending)) mb_scheduler_stop(&h->runtime->schedulers[0]); /* partner: mb_log_settle */
  }
  pthread_mutex_unlock(&log->mutex);
  free(done);
  return e;
}

/* (heap, bytes) -> value */
static int decode(lua_State *L) { return mb_decode(lua_touserdata(L, 1), L, lua_touserdata(L, 2)); }

/* Push the value of an entry that has been taken, and is the log's until the next call, and the place of a report: how
 * many values that are. 0, and an entry about it, when it cannot be made: a handler of which something cannot be
 * loaded, or memory is out. */
static int push_value(struct mb_heap *h, lua_State *L, const struct mb_record *e) {
  lua_pushlstring(L, mb_record_place(e), e->place_size); /* first: what is run now may take the next one */
  if (mb_decode_loaded(h, L, (const unsigned char *)e->bytes) < 0) {
    lua_pushcfunction(L, decode);
    lua_pushlightuserdata(L, h);
    memcpy(lua_newuserdatauv(L, e->size, 0), e->bytes, e->size);
    if (mb_pcall(h, L, 2, 1) != LUA_OK) {
      mb_log_failure(h, L);
      return 0;
    }
  }
  lua_insert(L, -2);
  if (lua_rawlen(L, -1) > 0) return 2;
  lua_pop(L, 1);
  return 1;
}

/* Push the event of a text that stands for what was dropped. */
static void push_dropped(lua_State *L, uint64_t dropped, const struct mb_record *summary) {
  char text[512];
  lua_createtable(L, 0, 5);
  lua_pushstring(L, mb_log_levels[summary ? MB_LOG_ERROR : MB_LOG_WARNING]);
  lua_setfield(L, -2, "level");
  lua_pushlstring(L, text, mb_log_dropped(text, sizeof text, dropped, summary, "the handler"));
  lua_setfield(L, -2, "message");
  lua_createtable(L, 0, 1);
  lua_pushinteger(L, (lua_Integer)dropped);
  lua_setfield(L, -2, "dropped");
  lua_setfield(L, -2, "metadata");
  lua_pushinteger(L, mb_system_time());
  lua_setfield(L, -2, "time");
}

static int push_summary(lua_State *L) {
  const struct mb_record *e = lua_touserdata(L, 1);
  push_dropped(L, e->alike, e);
  return 1;
}

/* log_take() -> "event", event [, place] | "dropped", event | "handler", fn | "end" | nil: nothing yet, a message will
 * tell. What has been taken counts as handled at the next call. */
static int log_take(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  for (;;) {
    const char *kind;
    uint64_t missing;
    struct mb_record *e = take(h, p, &kind, &missing);
    int values;
    if (missing) {
      lua_pushliteral(L, "dropped");
      push_dropped(L, missing, NULL);
      return 2;
    }
    if (!e) {
      lua_pushstring(L, kind);
      return 1;
    }
    if (e->alike) {
      int status;
      lua_pushliteral(L, "dropped");
      lua_pushcfunction(L, push_summary);
      lua_pushlightuserdata(L, e);
      status = lua_pcall(L, 1, 1, 0);
      free(e);
      if (status != LUA_OK) return lua_error(L);
      return 2;
    }
    if (e->kind == MB_EVENT_MARK) {
      mb_writer_reach(e);
    } else if (e->size) {
      lua_pushstring(L, e->kind == MB_EVENT_ENTRY ? "event" : "handler");
      values = push_value(h, L, e);
      if (values) return 1 + values;
      lua_settop(L, 0); /* it is told of */
    }
  }
}

/* log_release() -> whether another handler waits: the caller's has failed; its process writes what there is, up to that
 * one, or ends then */
static int log_release(lua_State *L) {
  struct mb_log *log = mb_heap_of(L)->log;
  pthread_mutex_lock(&log->mutex);
  log->leaving = 1;
  lua_pushboolean(L, mb_log_successors(log, MB_HANDLERS_FUNCTIONS) != 0);
  pthread_mutex_unlock(&log->mutex);
  return 1;
}

/* Flushing */

struct flush {
  struct mb_runtime *runtime;
  struct mb_log *log;
  mb_pid pid;
  struct mb_signal *answer;
};

static void on_reached(void *data) {
  struct flush *f = data;
  atomic_fetch_sub_explicit(&f->log->marks, 1, memory_order_relaxed);
  mb_signal_post(f->runtime, f->pid, f->answer);
  free(f);
}

/* log_flush() -> a reference whose reply tells that all entries so far have been handled or written; nil: too many wait
 * for such replies */
static int log_flush(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_log *log = h->log;
  struct mb_process *p = mb_current(h, L);
  struct mb_writer_mark mark;
  struct mb_signal *answer;
  struct mb_record *e;
  struct flush *f;
  mb_ref ref = 0;
  if (atomic_load_explicit(&log->marks, memory_order_relaxed) >= MB_LOG_MOST_MARKS) return 0;
  f = malloc(sizeof *f);
  answer = mb_signal_new(MB_REPLY, log->wake->size);
  mark = (struct mb_writer_mark){on_reached, f};
  e = mb_record_new(MB_EVENT_MARK, sizeof mark);
  if (!f || !answer || !e || mb_alias(h->scheduler, p, &ref) != 0) {
    free(f);
    if (answer) mb_signal_free(answer);
    free(e);
    return mb_no_memory(L);
  }
  answer->ref = ref;
  memcpy(answer->data, log->wake->data, log->wake->size);
  *f = (struct flush){h->runtime, log, mb_pid_of(p), answer};
  atomic_fetch_add_explicit(&log->marks, 1, memory_order_relaxed);
  memcpy(e->bytes, &mark, sizeof mark);
  if (!mb_log_event(h, e)) mb_log_pass_mark(log, e);
  mb_push_id(L, ref);
  return 1;
}

void mb_open_log_handler(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"log_event", log_event},
                                       {"log_handler", log_handler},
                                       {"log_take", log_take},
                                       {"log_release", log_release},
                                       {"log_overdue", log_overdue},
                                       {"log_flush", log_flush},
                                       {NULL, NULL}};
  mb_set_functions(h, L, functions);
}
