/* The functions of the log by which entries become events of handlers: whose processes get them, and what waits for
 * them. What is between these is log/log_handler.c. Handlers have numbers; the default one's is 0. */
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "codec/codec.h"
#include "heap/arguments.h"
#include "heap/closing.h"
#include "heap/errors.h"
#include "log/log.h"
#include "process/current.h"

static struct mb_log_handler *check_handler(lua_State *L, struct mb_log *log, int at) {
  lua_Integer i = luaL_checkinteger(L, at);
  luaL_argcheck(L, i >= 0 && i < MB_LOG_MOST_HANDLERS, at, "no handler has this number");
  return &log->handlers[i];
}

/* An entry with the encoded value at stack index `at`, and the place of a report. Raises when it cannot travel. */
static struct mb_record *encode_entry(struct mb_heap *h, lua_State *L, int at, enum mb_event_kind kind,
                                     const char *doing, const char *place) {
  const struct mb_buffer *out;
  struct mb_record *e;
  if (kind == MB_EVENT_HANDLER)
    mb_encode(h, L, at, 1, doing, &out);
  else
    mb_encode_told(h, L, at, 1, doing, &out);
  e = mb_record_report(kind, out->size, place, place ? strlen(place) : 0);
  if (!e) mb_no_memory(L);
  memcpy(e->bytes, out->bytes, out->size);
  if (kind != MB_EVENT_HANDLER) mb_encoded_tells((unsigned char *)e->bytes);
  return e;
}

/* Whether a process runs a handler: what it logs goes to none of them, or two could keep each other busy for ever. */
static int runs_handler(struct mb_log *log, const struct mb_process *p) {
  if (!p) return 0;
  for (int i = 0; i < mb_log_handler_count(log); i++)
    if (mb_pid_of(p) == atomic_load(&log->handlers[i].process)) return 1;
  return 0;
}

/* log_event(number, event, place | nil [, copy]) -> whether the handler of this number gets it; copy: it is shown
 * elsewhere, too. Raises when the event cannot travel. */
static int log_event(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_log *log = h->log;
  struct mb_log_handler *to = check_handler(L, log, 1);
  const char *place = luaL_optstring(L, 3, NULL);
  enum mb_event_kind kind = lua_toboolean(L, 4) ? MB_EVENT_COPY : MB_EVENT_ENTRY;
  int taken = 0;
  if (atomic_load(&to->active) && !runs_handler(log, h->scheduler->current)) {
    struct mb_record *e;
    lua_settop(L, 3);
    e = encode_entry(h, L, 2, kind, "log", place);
    taken = mb_log_event(h, to, e);
    if (!taken) free(e);
  }
  lua_pushboolean(L, taken);
  return 1;
}

/* log_reserve(name) -> the number of a handler that nobody has, for this name; nil: there are too many */
static int log_reserve(lua_State *L) {
  struct mb_log *log = mb_heap_of(L)->log;
  size_t size;
  const char *name = luaL_checklstring(L, 1, &size);
  int found = -1;
  if (size >= MB_LOG_NAME) size = MB_LOG_NAME - 1;
  pthread_mutex_lock(&log->mutex);
  for (int i = MB_LOG_DEFAULT + 1; i < MB_LOG_MOST_HANDLERS && found < 0; i++) {
    struct mb_log_handler *to = &log->handlers[i];
    if (!to->used && !atomic_load(&to->process)) found = i; /* one that is over may still have something to write */
  }
  if (found > 0) {
    log->handlers[found].used = 1;
    memcpy(log->handlers[found].name, name, size);
    log->handlers[found].name[size] = 0;
    if (found >= mb_log_handler_count(log)) /* release: partner of mb_log_handler_count */
      atomic_store_explicit(&log->handler_count, found + 1, memory_order_release);
  }
  pthread_mutex_unlock(&log->mutex);
  if (found < 0) return 0;
  lua_pushinteger(L, found);
  return 1;
}

/* log_give_back(number): after log_handler(number, nil) */
static int log_give_back(lua_State *L) {
  struct mb_log *log = mb_heap_of(L)->log;
  struct mb_log_handler *to = check_handler(L, log, 1);
  pthread_mutex_lock(&log->mutex);
  to->used = 0;
  pthread_mutex_unlock(&log->mutex);
  return 0;
}

/* log_handles(number) -> whether somebody handles what goes there */
static int log_handles(lua_State *L) {
  lua_pushboolean(L, atomic_load(&check_handler(L, mb_heap_of(L)->log, 1)->active));
  return 1;
}

/* Whether somebody has to see to it that the one before gives way to the handler that has just been set. The caller
 * holds the mutex. */
static int needs_watch(struct mb_log_handler *to) {
  const struct mb_record *first = to->events.head;
  int needs = !to->watched && first && (to->handling || first->kind != MB_EVENT_HANDLER);
  if (needs) to->watched = 1;
  return needs;
}

/* log_handler(number, value | nil [, pid]) -> the pid that runs it, or false: nobody does yet, a new process is needed;
 * and whether the caller is to start one that asks log_overdue. With nil the process ends when it has handled what
 * there is. */
static int log_handler(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_log *log = h->log;
  struct mb_log_handler *to = check_handler(L, log, 1);
  struct mb_record *e = NULL;
  mb_pid process;
  int watch = 0;
  if (!lua_isnil(L, 2)) {
    mb_pid offered = lua_isnoneornil(L, 3) ? 0 : mb_check_pid(h, L, 3, "log_handler", 3);
    lua_settop(L, 2);
    e = encode_entry(h, L, 2, MB_EVENT_HANDLER, "set handler", NULL);
    pthread_mutex_lock(&log->mutex);
    process = atomic_load(&to->process);
    if (!process) atomic_store(&to->process, process = offered);
    if (process) {
      atomic_store(&to->active, 1);
      to->leaving = 0; /* it goes on with this one */
    }
    pthread_mutex_unlock(&log->mutex);
    if (!process || !mb_log_event(h, to, e)) free(e);
  } else {
    e = mb_record_new(MB_EVENT_HANDLER, 0); /* what follows is not for it */
    if (!e) return mb_no_memory(L);
    if (!mb_log_event(h, to, e)) free(e);
    pthread_mutex_lock(&log->mutex);
    atomic_store(&to->active, 0);
    process = atomic_load(&to->process);
    pthread_mutex_unlock(&log->mutex);
  }
  if (process) {
    pthread_mutex_lock(&log->mutex);
    watch = needs_watch(to);
    pthread_mutex_unlock(&log->mutex);
    mb_push_id(L, process);
  } else {
    lua_pushboolean(L, 0);
  }
  lua_pushboolean(L, watch);
  return 2;
}

/* log_overdue(number, turn | nil) -> nil: no handler waits any more, the caller's watch is over; or the number of the
 * turn that the one before it has, and the pid to be ended when that has been asked for before. */
static int log_overdue(lua_State *L) {
  struct mb_log *log = mb_heap_of(L)->log;
  struct mb_log_handler *to = check_handler(L, log, 1);
  int known = !lua_isnoneornil(L, 2);
  unsigned turn = (unsigned)luaL_optinteger(L, 2, 0);
  mb_pid overdue = 0;
  pthread_mutex_lock(&log->mutex);
  if (!mb_log_successors(to, MB_HANDLERS_ALL)) {
    to->watched = 0;
    pthread_mutex_unlock(&log->mutex);
    return 0;
  }
  if (known && to->handling && to->turns == turn) to->cut = overdue = atomic_load(&to->process);
  turn = to->turns;
  pthread_mutex_unlock(&log->mutex);
  lua_pushinteger(L, turn);
  if (!overdue) return 1;
  mb_push_id(L, overdue);
  return 2;
}

/* The next event for its process; NULL: there is none. *kind as log_take returns it, then. */
static struct mb_record *take(struct mb_heap *h, struct mb_log_handler *to, struct mb_process *p, const char **kind,
                              uint64_t *missing) {
  struct mb_log *log = h->log;
  struct mb_record *done, *e = NULL;
  *missing = 0;
  *kind = NULL;
  pthread_mutex_lock(&log->mutex);
  done = to->taken;
  to->taken = NULL;
  if (mb_pid_of(p) != atomic_load(&to->process)) {
    to->taken = done;
    done = NULL;
    *kind = "end";
  } else if (mb_backlog_any(&to->events)) {
    to->handling = 1;
    to->turns++;
    struct mb_record *first = to->events.head;
    if (first && first->missing) { /* told of first, and taken by the next call */
      *missing = first->missing;
      first->missing = 0;
    } else {
      e = mb_backlog_take(&to->events, missing);
      if (e && e->kind != MB_EVENT_MARK && !e->alike) to->taken = e;
      if (e && e->kind == MB_EVENT_HANDLER && e->size) to->leaving = 0; /* the one before it is over */
    }
  } else {
    to->told = to->handling = 0;
    if (!atomic_load(&to->active) || to->leaving) {
      to->leaving = 0;
      atomic_store(&to->active, 0);
      atomic_store(&to->process, 0);
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

/* log_take(number) -> "event" | "copy", event [, place] | "dropped", event | "handler", value | "end" | nil: nothing
 * yet, a message will tell. What has been taken counts as handled at the next call. */
static int log_take(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  struct mb_log_handler *to = check_handler(L, h->log, 1);
  for (;;) {
    const char *kind;
    uint64_t missing;
    struct mb_record *e = take(h, to, p, &kind, &missing);
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
      static const char *const kinds[] = {
          [MB_EVENT_ENTRY] = "event", [MB_EVENT_COPY] = "copy", [MB_EVENT_HANDLER] = "handler"};
      lua_pushstring(L, kinds[e->kind]);
      values = push_value(h, L, e);
      if (values) return 1 + values;
      lua_settop(L, 1); /* it is told of */
    }
  }
}

/* log_release(number) -> whether another handler waits: the caller's has failed; its process writes what there is, up
 * to that one, or ends then */
static int log_release(lua_State *L) {
  struct mb_log *log = mb_heap_of(L)->log;
  struct mb_log_handler *to = check_handler(L, log, 1);
  pthread_mutex_lock(&log->mutex);
  to->leaving = 1;
  lua_pushboolean(L, mb_log_successors(to, MB_HANDLERS_FUNCTIONS) != 0);
  pthread_mutex_unlock(&log->mutex);
  return 1;
}

/* Flushing */

struct flush {
  struct mb_runtime *runtime;
  struct mb_log *log;
  mb_pid pid;
  struct mb_signal *answer;
  atomic_int marks; /* that have not been reached, and 1 while they are set */
};

/* A mark has been reached, on whatever thread, or is not set. */
static void on_reached(void *data) {
  struct flush *f = data;
  if (atomic_fetch_sub(&f->marks, 1) > 1) return;
  atomic_fetch_sub_explicit(&f->log->marks, 1, memory_order_relaxed);
  mb_signal_post(f->runtime, f->pid, f->answer);
  free(f);
}

/* Make a mark; NULL: memory is out. */
static struct mb_record *mark_new(struct flush *f) {
  struct mb_writer_mark mark = {on_reached, f};
  struct mb_record *e = mb_record_new(MB_EVENT_MARK, sizeof mark);
  if (e) memcpy(e->bytes, &mark, sizeof mark);
  return e;
}

/* Let a mark stand behind all that has been logged: with the handlers of the user's, and with the writer, which takes
 * over the default handler's when that one is none of these. Memory that is out for one is as if it had nothing. */
static void set_marks(struct mb_heap *h, struct flush *f) {
  struct mb_log *log = h->log;
  for (int i = 0; i < mb_log_handler_count(log); i++) {
    struct mb_record *e;
    if (i != MB_LOG_DEFAULT && !atomic_load(&log->handlers[i].process)) continue;
    e = mark_new(f);
    if (!e) continue;
    atomic_fetch_add(&f->marks, 1);
    if (mb_log_event(h, &log->handlers[i], e)) continue;
    mb_log_pass_mark(log, e);
  }
}

/* log_flush() -> a reference whose reply tells that all entries so far have been handled or written; nil: too many wait
 * for such replies */
static int log_flush(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_log *log = h->log;
  struct mb_process *p = mb_current(h, L);
  struct mb_signal *answer;
  struct flush *f;
  mb_ref ref = 0;
  if (atomic_load_explicit(&log->marks, memory_order_relaxed) >= MB_LOG_MOST_MARKS) return 0;
  f = malloc(sizeof *f);
  answer = mb_signal_new(MB_REPLY, log->wake->size);
  if (!f || !answer || mb_alias(h->scheduler, p, &ref) != 0) {
    free(f);
    if (answer) mb_signal_free(answer);
    return mb_no_memory(L);
  }
  answer->ref = ref;
  memcpy(answer->data, log->wake->data, log->wake->size);
  *f = (struct flush){h->runtime, log, mb_pid_of(p), answer, 1};
  atomic_fetch_add_explicit(&log->marks, 1, memory_order_relaxed);
  set_marks(h, f);
  on_reached(f);
  mb_push_id(L, ref);
  return 1;
}

void mb_open_log_handler(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"log_event", log_event},
                                       {"log_reserve", log_reserve},
                                       {"log_give_back", log_give_back},
                                       {"log_handles", log_handles},
                                       {"log_handler", log_handler},
                                       {"log_take", log_take},
                                       {"log_release", log_release},
                                       {"log_overdue", log_overdue},
                                       {"log_flush", log_flush},
                                       {NULL, NULL}};
  mb_set_functions(h, L, functions);
}
