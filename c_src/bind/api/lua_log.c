/* The functions of the log, for moonbeam.logger.log and Logger. */
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "codec/codec.h"
#include "heap/arguments.h"
#include "heap/closing.h"
#include "heap/errors.h"
#include "log/crash_report.h"
#include "log/log.h"
#include "process/current.h"
#include "process/wait.h"

enum {
  MOST_IN_VAIN = 4, /* who wait in vain; the fifth does not wait */
  NAP_NS = 1000000,
  PATIENCE_NS = 1000000000
};

struct mb_lua_log {
  unsigned version;       /* of the settings that are decoded */
  uint32_t outside_flags; /* as p->private_flags, for the finalizer that runs */
};

/* The greater pressure of the two backlogs; *rush: the number of the rush. */
static enum mb_pressure pressure_of(struct mb_log *log, unsigned *rush) {
  enum mb_pressure writer, handler = MB_NO_PRESSURE;
  *rush = 0;
  writer = mb_writer_pressure(log->writer, rush);
  if (atomic_load_explicit(&log->active, memory_order_relaxed)) {
    pthread_mutex_lock(&log->mutex);
    handler = mb_backlog_pressure(&log->events, rush);
    pthread_mutex_unlock(&log->mutex);
  }
  return writer > handler ? writer : handler;
}

/* The handler's process, and those that it has spawned: what waits for them to go on is the backlog itself. */
static int is_waited_for(struct mb_log *log, struct mb_process *p) {
  mb_pid handler = atomic_load_explicit(&log->process, memory_order_relaxed);
  return handler && (mb_pid_of(p) == handler || p->parent == handler);
}

static int is_in_vain(struct mb_log *log, uint16_t rush) {
  unsigned known = atomic_load_explicit(&log->in_vain, memory_order_relaxed);
  return known >> 16 == rush && (known & 0xffff) >= MOST_IN_VAIN;
}

static void note_in_vain(struct mb_log *log, uint16_t rush) {
  unsigned known = atomic_load_explicit(&log->in_vain, memory_order_relaxed);
  if (known >> 16 != rush) known = (unsigned)rush << 16;
  atomic_store_explicit(&log->in_vain, known + 1, memory_order_relaxed);
}

/* An entry has been made: true. Who logs faster than entries are taken waits for a while, where it may, so that a burst
 * is not dropped; k: until when (ns), 0: not yet decided. Who has waited in vain, because nothing was taken any more,
 * may be the one that the handler waits for: it does not wait again in this rush, and when some have, nobody does. */
static int logged(lua_State *L, int status, lua_KContext k) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_log *log = h->log;
  (void)status;
  while (mb_can_wait(h, L)) {
    struct mb_process *p = h->scheduler->current;
    unsigned number;
    enum mb_pressure pressure = pressure_of(log, &number);
    uint16_t rush = (uint16_t)number;
    uint64_t now;
    if (pressure == MB_STALLED && k && p->log_rush != rush) note_in_vain(log, rush);
    if (pressure == MB_STALLED) p->log_rush = rush;
    if (pressure != MB_PRESSED || p->log_rush == rush || is_in_vain(log, rush) || is_waited_for(log, p)) break;
    now = mb_now(h->runtime);
    if (!k) k = (lua_KContext)(now + PATIENCE_NS);
    if (now >= (uint64_t)k) break;
    mb_block(h, L, p, now + NAP_NS, k, logged);
  }
  lua_pushboolean(L, 1);
  return 1;
}

/* As mb_log, from Lua: value at index 1, metadata or nil at 2. Raises what a message's function raises. The function
 * that calls this returns what it returns. */
static int log_value(struct mb_heap *h, lua_State *L, enum mb_log_level level, enum mb_log_source by) {
  if (mb_log_make_entry(h, L, level, by)) lua_callk(L, MB_EMIT_ARGUMENTS, 0, 0, logged);
  return logged(L, LUA_OK, 0);
}

static struct mb_log *log_of(const struct mb_heap *h) { return h->log; }

/* log(level, text | report [, metadata]) -> true: for the runtime's own Lua files */
static int log_entry(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  enum mb_log_level level = (enum mb_log_level)luaL_checkoption(L, 1, NULL, mb_log_levels);
  if (level == MB_LOG_NONE || !mb_log_wants(log_of(h), level)) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_remove(L, 1);
  return log_value(h, L, level, MB_LOG_BY_RUNTIME);
}

/* Logger.debug and the others; upvalue 2: the level */
static int log_at(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  enum mb_log_level level = (enum mb_log_level)lua_tointeger(L, lua_upvalueindex(2));
  if (mb_log_wants(log_of(h), level)) {
    const char *name = lua_pushfstring(L, "Logger.%s", mb_log_levels[level]);
    lua_insert(L, 1);
    if (lua_isnone(L, 2)) return mb_bad_argument(h, L, name, 1, "message expected, got no value");
    if (!lua_isnoneornil(L, 3) && !lua_istable(L, 3)) return mb_bad_type(h, L, name, 2, "table of metadata", 3);
    lua_remove(L, 1);
    return log_value(h, L, level, MB_LOG_BY_USER);
  }
  lua_pushboolean(L, 1);
  return 1;
}

/* log_level([level]) -> the level before */
static int log_level(lua_State *L) {
  struct mb_log *log = log_of(mb_heap_of(L));
  int old = atomic_load_explicit(&log->level, memory_order_relaxed);
  if (!lua_isnoneornil(L, 1))
    atomic_store_explicit(&log->level, luaL_checkoption(L, 1, NULL, mb_log_levels), memory_order_relaxed);
  lua_pushstring(L, mb_log_levels[old]);
  return 1;
}

/* log_write(text, place | nil [, level, time]): with a level, in the default format; a report has a place */
static int log_write(lua_State *L) {
  struct mb_log *log = log_of(mb_heap_of(L));
  size_t size;
  const char *text = luaL_checklstring(L, 1, &size), *place = luaL_optstring(L, 2, NULL);
  if (lua_isnoneornil(L, 3))
    mb_log_write_raw(log, text, size, place);
  else
    mb_log_write(log, (enum mb_log_level)luaL_checkoption(L, 3, NULL, mb_log_levels), (int64_t)luaL_checkinteger(L, 4),
                 text, size, place);
  return 0;
}

/* log_enter() -> whether the calling process, or a finalizer, was not at work on an entry; it is now, until
 * log_leave() */
static int log_enter(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_caller(h, L);
  uint32_t *at = p ? &p->private_flags : &h->lua_log->outside_flags;
  lua_pushboolean(L, !(*at & MB_PRIVATE_LOGGING));
  *at |= MB_PRIVATE_LOGGING;
  return 1;
}

static int log_leave(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_caller(h, L);
  *(p ? &p->private_flags : &h->lua_log->outside_flags) &= ~(uint32_t)MB_PRIVATE_LOGGING;
  return 0;
}

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
  struct mb_log *log = log_of(h);
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
  struct mb_log *log = log_of(h);
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
  struct mb_log *log = log_of(mb_heap_of(L));
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
  struct mb_log *log = log_of(h);
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
  struct mb_log *log = log_of(mb_heap_of(L));
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
  struct mb_log *log = log_of(h);
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

/* Settings */

/* log_configure(value | nil): how texts are made, for all heaps; nil: as at first. Raises when it cannot travel. */
static int log_configure(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_log *log = log_of(h);
  struct mb_reason *settings = NULL, *old;
  lua_settop(L, 1);
  if (!lua_isnil(L, 1)) {
    const struct mb_buffer *out;
    mb_encode(h, L, 1, 1, "configure Logger", &out);
    settings = mb_reason_new(MB_REASON_OTHER, out->bytes, (uint32_t)out->size);
    if (!settings) return mb_no_memory(L);
  }
  pthread_mutex_lock(&log->mutex);
  old = log->settings;
  log->settings = settings;
  if (settings) log->versions++;
  /* release: partner of the acquire in log_settings */
  atomic_store_explicit(&log->version, settings ? log->versions : 0, memory_order_release);
  pthread_mutex_unlock(&log->mutex);
  mb_reason_release(old);
  return 0;
}

static int push_settings(lua_State *L) {
  return mb_decode(lua_touserdata(L, 1), L, ((const struct mb_reason *)lua_touserdata(L, 2))->data);
}

/* log_settings() -> what log_configure has set, or nil; the same value until it is set again */
static int log_settings(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_log *log = log_of(h);
  unsigned version = atomic_load_explicit(&log->version, memory_order_acquire);
  if (version && version != h->lua_log->version) {
    struct mb_reason *settings;
    int status;
    pthread_mutex_lock(&log->mutex);
    settings = mb_reason_retain(log->settings);
    version = atomic_load_explicit(&log->version, memory_order_relaxed);
    pthread_mutex_unlock(&log->mutex);
    if (!settings) return 0;
    lua_pushcfunction(L, push_settings);
    lua_pushlightuserdata(L, h);
    lua_pushlightuserdata(L, settings);
    status = lua_pcall(L, 2, 1, 0);
    mb_reason_release(settings);
    if (status == LUA_ERRMEM) return lua_error(L);
    if (status != LUA_OK) { /* entries are made as at first here, until there are others */
      mb_log_failure(h, L);
      lua_pop(L, 1);
      lua_pushboolean(L, 0);
    }
    lua_rawseti(L, LUA_REGISTRYINDEX, h->ref[MB_REF_LOG_SETTINGS]);
    h->lua_log->version = version;
  }
  if (!version) return 0;
  mb_push_ref(h, L, MB_REF_LOG_SETTINGS);
  return 1;
}

/* crash_report(reason) -> the report of how the running process ends, which it logs; see crash.h */
static int crash_report(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  lua_settop(L, 1);
  mb_push_crash(h, L, p, 1);
  p->private_flags |= MB_PRIVATE_REPORTED;
  return 1;
}

/* end_reported(): the running process has logged why it is about to end */
static int end_reported(lua_State *L) {
  mb_current(mb_heap_of(L), L)->private_flags |= MB_PRIVATE_REPORTED;
  return 0;
}

/* is_reported() -> whether the end whose reason the running process has got last, in an EXIT or a DOWN, has been
 * logged */
static int is_reported(lua_State *L) {
  lua_pushboolean(L, (mb_current(mb_heap_of(L), L)->private_flags & MB_PRIVATE_KNOWN) != 0);
  return 1;
}

/* set_log(functions): emit(level, value, metadata) makes an event and passes it on, write(event) makes its text */
static int set_log(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_rawseti(L, LUA_REGISTRYINDEX, h->ref[MB_REF_LOG]);
  return 0;
}

/* system_time() -> ms since 1970 */
static int system_time(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)mb_system_time());
  return 1;
}

void mb_open_log(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"log", log_entry},
                                       {"log_level", log_level},
                                       {"log_write", log_write},
                                       {"log_enter", log_enter},
                                       {"log_leave", log_leave},
                                       {"log_event", log_event},
                                       {"log_handler", log_handler},
                                       {"log_take", log_take},
                                       {"log_release", log_release},
                                       {"log_overdue", log_overdue},
                                       {"log_flush", log_flush},
                                       {"log_configure", log_configure},
                                       {"log_settings", log_settings},
                                       {"crash_report", crash_report},
                                       {"end_reported", end_reported},
                                       {"is_reported", is_reported},
                                       {"set_log", set_log},
                                       {"system_time", system_time},
                                       {NULL, NULL}};
  h->lua_log = mb_heap_part(L, sizeof *h->lua_log);
  mb_set_functions(h, L, functions);
  for (int level = MB_LOG_DEBUG; level < MB_LOG_NONE; level++) { /* log_debug and so on */
    const char *name = lua_pushfstring(L, "log_%s", mb_log_levels[level]);
    lua_pushlightuserdata(L, h);
    lua_pushinteger(L, level);
    lua_pushcclosure(L, log_at, 2);
    lua_setfield(L, -3, name);
    lua_pop(L, 1);
  }
}
