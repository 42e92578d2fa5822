/* The functions of the log, for moonbeam.logger.log and Logger: making entries, settings, reports of crashes. */
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "api/log_level.h"
#include "codec/codec.h"
#include "heap/arguments.h"
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

/* The pressure of all backlogs: one from which nobody takes does not keep those who log from waiting for another one.
 * *rush: the number of the rush. */
static enum mb_pressure pressure_of(struct mb_log *log, unsigned *rush) {
  enum mb_pressure all;
  *rush = 0;
  all = mb_writer_pressure(log->writer, rush);
  for (int i = 0; i < mb_log_handler_count(log); i++) {
    struct mb_log_handler *to = &log->handlers[i];
    enum mb_pressure pressure;
    if (!atomic_load_explicit(&to->active, memory_order_relaxed)) continue;
    pthread_mutex_lock(&log->mutex);
    pressure = mb_backlog_pressure(&to->events, rush);
    pthread_mutex_unlock(&log->mutex);
    if (pressure == MB_PRESSED || all == MB_NO_PRESSURE) all = pressure;
  }
  return all;
}

/* A handler's process, and those that it has spawned: what waits for them to go on is the backlog itself. */
static int is_waited_for(struct mb_log *log, struct mb_process *p) {
  for (int i = 0; i < mb_log_handler_count(log); i++) {
    mb_pid handler = atomic_load_explicit(&log->handlers[i].process, memory_order_relaxed);
    if (handler && (mb_pid_of(p) == handler || p->parent == handler)) return 1;
  }
  return 0;
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
  if (!mb_log_wants(log_of(h), level)) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_remove(L, 1);
  return log_value(h, L, level, MB_LOG_BY_RUNTIME);
}

/* Raise what is wrong with the arguments of Logger.FUNCTION, whose message is at stack index `message`: it is missing,
 * or what follows is no metadata, which who knows other libraries means to be filled in. */
static int bad_entry(struct mb_heap *h, lua_State *L, const char *function, int message) {
  const char *got, *text = "...";
  char name[MB_FUNCTION_NAME];
  snprintf(name, sizeof name, "Logger.%s", function);
  if (lua_isnone(L, message)) return mb_bad_argument(h, L, name, message, "message expected, got no value");
  got = mb_type_name(h, L, message + 1);
  if (lua_type(L, message) == LUA_TSTRING) text = mb_push_short(L, lua_tostring(L, message));
  return mb_bad_argument(h, L, name, message + 1,
                         "table of metadata expected, got %s; no values are filled in: log (\"%s\"):format(...), or "
                         "a function that makes the text, which is called when the level is on",
                         got, text);
}

/* An entry of a user's by Logger.FUNCTION that has passed the gate, with the message at stack index `message`. */
static int log_by_user(struct mb_heap *h, lua_State *L, enum mb_log_level level, const char *function, int message) {
  if (mb_log_is_wanted(h, L, level)) {
    if (lua_isnone(L, message) || !(lua_isnoneornil(L, message + 1) || lua_istable(L, message + 1)))
      return bad_entry(h, L, function, message);
    if (message == 2) lua_remove(L, 1);
    return log_value(h, L, level, MB_LOG_BY_USER);
  }
  lua_pushboolean(L, 1);
  return 1;
}

/* Logger.debug and the others; upvalue 2: the level */
static int log_at(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  enum mb_log_level level = (enum mb_log_level)lua_tointeger(L, lua_upvalueindex(2));
  if (mb_log_passes(log_of(h), level)) return log_by_user(h, L, level, mb_log_levels[level], 1);
  lua_pushboolean(L, 1);
  return 1;
}

/* Logger.log(level, message [, metadata]) -> true */
static int log_named(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  int level = mb_log_level_of(L, 1, MB_LOG_DEBUG, MB_LOG_EMERGENCY);
  if (level < 0) return mb_log_check_level(h, L, "Logger.log", 1, MB_LOG_DEBUG, MB_LOG_EMERGENCY);
  if (mb_log_passes(log_of(h), (enum mb_log_level)level))
    return log_by_user(h, L, (enum mb_log_level)level, "log", 2);
  lua_pushboolean(L, 1);
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

/* log_colors([on | "terminal"]) -> whether texts for stderr had the colours of their levels before; from now on: always,
 * never, or as at first */
static int log_colors(lua_State *L) {
  struct mb_log *log = log_of(mb_heap_of(L));
  int old = atomic_load_explicit(&log->colors, memory_order_relaxed);
  if (!lua_isnoneornil(L, 1)) {
    int on = lua_isboolean(L, 1) ? lua_toboolean(L, 1) : log->shows_colors;
    atomic_store_explicit(&log->colors, on, memory_order_relaxed);
  }
  lua_pushboolean(L, old);
  return 1;
}

/* log_place() -> chunk name, line, name of the function or nil: the user's code that logs; nothing: there is none */
static int log_place(lua_State *L) {
  lua_Debug ar;
  if (!mb_user_line(mb_heap_of(L), L, 1, &ar)) return 0;
  lua_getinfo(L, "n", &ar);
  lua_pushstring(L, ar.source);
  lua_pushinteger(L, ar.currentline);
  lua_pushstring(L, *ar.what == 'm' ? "main chunk" : ar.name);
  return 3;
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

/* Settings */

/* log_configure(value | nil, version | nil, styled, floor [, lowest]) -> whether that was done: how texts are made and
 * who gets events, for all heaps; nil: as at first. styled: whether a text is not written as it is; floor: the level
 * below which no handler takes anything; lowest: the lowest of modules' levels. Nothing is done when there have been
 * others than those of this version. Raises when it cannot travel. */
static int log_configure(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_log *log = log_of(h);
  struct mb_reason *settings = NULL, *old;
  int always = lua_isnoneornil(L, 2), styled = lua_toboolean(L, 3), done;
  unsigned expected = (unsigned)luaL_optinteger(L, 2, 0), version;
  enum mb_log_level floor = (enum mb_log_level)luaL_checkoption(L, 4, NULL, mb_log_levels);
  int lowest = lua_isnoneornil(L, 5) ? -1 : luaL_checkoption(L, 5, NULL, mb_log_levels);
  if (!lua_isnil(L, 1)) {
    const struct mb_buffer *out;
    mb_encode(h, L, 1, 1, "configure Logger", &out);
    settings = mb_reason_new(MB_REASON_OTHER, out->bytes, (uint32_t)out->size);
    if (!settings) return mb_no_memory(L);
  }
  pthread_mutex_lock(&log->mutex);
  version = atomic_load_explicit(&log->version, memory_order_relaxed);
  done = always || version == expected;
  old = done ? log->settings : settings;
  if (done) {
    log->settings = settings;
    /* release: partner of the acquire in log_settings */
    atomic_store_explicit(&log->version, version + 1 ? version + 1 : 1, memory_order_release);
    atomic_store_explicit(&log->styled, styled, memory_order_relaxed);
    mb_log_set_floor(log, floor);
    if (lowest >= 0) mb_log_override(log, MB_LOG_OF_MODULES, (enum mb_log_level)lowest);
  }
  pthread_mutex_unlock(&log->mutex);
  mb_reason_release(old);
  lua_pushboolean(L, done);
  return 1;
}

static int push_settings(lua_State *L) {
  return mb_decode(lua_touserdata(L, 1), L, ((const struct mb_reason *)lua_touserdata(L, 2))->data);
}

/* log_settings() -> what log_configure has set, or nil or false, and its version; the same value until it is set again */
static int log_settings(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_log *log = log_of(h);
  unsigned version = atomic_load_explicit(&log->version, memory_order_acquire);
  if (version != h->lua_log->version) {
    struct mb_reason *settings;
    int status = LUA_OK;
    pthread_mutex_lock(&log->mutex);
    settings = log->settings ? mb_reason_retain(log->settings) : NULL;
    version = atomic_load_explicit(&log->version, memory_order_relaxed);
    pthread_mutex_unlock(&log->mutex);
    if (settings) {
      lua_pushcfunction(L, push_settings);
      lua_pushlightuserdata(L, h);
      lua_pushlightuserdata(L, settings);
      status = lua_pcall(L, 2, 1, 0);
      mb_reason_release(settings);
    } else {
      lua_pushboolean(L, 0); /* not nil: references must not have holes */
    }
    if (status == LUA_ERRMEM) return lua_error(L);
    if (status != LUA_OK) { /* entries are made as at first here, until there are others */
      mb_log_failure(h, L);
      lua_pop(L, 1);
      lua_pushboolean(L, 0);
    }
    lua_rawseti(L, LUA_REGISTRYINDEX, h->ref[MB_REF_LOG_SETTINGS]);
    h->lua_log->version = version;
  }
  if (version)
    mb_push_ref(h, L, MB_REF_LOG_SETTINGS);
  else
    lua_pushnil(L);
  lua_pushinteger(L, version);
  return 2;
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
                                       {"log_named", log_named},
                                       {"log_write", log_write},
                                       {"log_colors", log_colors},
                                       {"log_place", log_place},
                                       {"log_enter", log_enter},
                                       {"log_leave", log_leave},
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
  for (int level = MB_LOG_DEBUG; level <= MB_LOG_EMERGENCY; level++) { /* log_debug and so on */
    const char *name = lua_pushfstring(L, "log_%s", mb_log_levels[level]);
    lua_pushlightuserdata(L, h);
    lua_pushinteger(L, level);
    lua_pushcclosure(L, log_at, 2);
    lua_setfield(L, -3, name);
    lua_pop(L, 1);
  }
}
