#include "process/current.h"

#include <string.h>

#include "code/modules.h"
#include "codec/message.h"
#include "core/hash.h"
#include "heap/closing.h"
#include "heap/errors.h"
#include "heap/exit.h"
#include "heap/hook.h"
#include "heap/outside.h"
#include "log/log.h"

/* Push the name of the function that the user's code has called, and return the line of that code, 0: there is none. */
static int push_called(struct mb_heap *h, lua_State *L, lua_Debug *user) {
  lua_Debug ar;
  int base = lua_gettop(L);
  lua_pushliteral(L, "?");
  for (int level = 0; lua_getstack(L, level, user); level++) {
    lua_getinfo(L, "Sl", user);
    if (user->currentline > 0 && !mb_is_own(h, user->source)) return user->currentline;
    if (level > 0 && user->currentline <= 0) continue; /* pcall and the like */
    lua_settop(L, base);
    ar = *user;
    lua_getinfo(L, "nf", &ar);
    if (ar.name) {
      lua_pushstring(L, ar.name);
    } else if (mb_modules_name(h, L, -1, MB_AS_VALUE)) {
      size_t size;
      const char *name = lua_tolstring(L, -1, &size), *field = name + strlen(name) + 1;
      lua_pushstring(L, field < name + size ? field : name);
    } else {
      lua_pushliteral(L, "?");
    }
    lua_replace(L, base + 1);
    lua_settop(L, base + 1);
  }
  return 0;
}

/* Whether a finalizer is refused at this place for the first time; not when there have been too many places. */
static int is_new(struct mb_refusals *r, uint64_t place) {
  for (int i = 0; i < MB_REFUSED_PLACES; i++) {
    uint64_t there = 0; /* relaxed: nothing else depends on it */
    if (atomic_compare_exchange_strong_explicit(&r->places[i], &there, place, memory_order_relaxed,
                                                memory_order_relaxed))
      return 1;
    if (there == place) return 0;
  }
  return 0;
}

void mb_refuse_outside(struct mb_heap *h, lua_State *L) {
  static const char *const whys[] = {
      [MB_BY_START] =
          "a function of on_scheduler_start is outside of any process, whichever one is running: let it spawn a "
          "process that does this, or send a message to one",
      [MB_BY_CALLBACK] =
          "a callback of the event loop is outside of any process: let it send a message to the process that "
          "shall do it",
      [MB_BY_BLOCKING] =
          "what mb.blocking runs is outside of any process: let it return, or send, what a process shall do"};
  lua_Debug user;
  const char *function;
  uint64_t place;
  int line;
  enum mb_outside_by by = mb_outside_by(h, L);
  luaL_checkstack(L, 12, NULL);
  line = push_called(h, L, &user);
  function = lua_tostring(L, -1);
  if (by != MB_BY_FINALIZER) /* whose error is not lost */
    mb_raise(h, L, "%s: %s", function, whys[by]);
  place = mb_hash_bytes(function, strlen(function));
  mb_push_where(h, L);
  lua_pushfstring(
      L, "%s: a finalizer (__gc) is outside of any process: let it send a message to the process that shall do it",
      function);
  lua_concat(L, 2);
  if (line) place += mb_hash_bytes(user.short_src, strlen(user.short_src)) + 2 * mb_hash_u64((uint64_t)line);
  if (is_new(h->refusals, place | 1)) {
    lua_pushfstring(L, "a finalizer has been refused: %s", lua_tostring(L, -1));
    mb_log(h, L, MB_LOG_ERROR);
  }
  lua_error(L);
}

void mb_raise_main_exit(struct mb_heap *h, lua_State *L) {
  mb_push_reason(h, L, h->main_reason);
  mb_push_exit(h, L);
  lua_error(L);
}

void mb_leave_if_exiting(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  if (p->state != MB_EXITING || h->closing) return;
  if (p->flags & MB_IN_PLACE && !h->uninterruptible) {
    mb_reason_release(h->main_reason);
    h->main_reason = mb_reason_retain(p->reason);
    h->main = NULL;
    h->scheduler->current = NULL;
    mb_raise_main_exit(h, L);
  }
  if (mb_can_yield(h, L)) lua_yield(L, 0); /* never resumed */
  mb_closing_leave(h);
  mb_closing_raise(L);
}

struct mb_process *mb_current_anew(struct mb_heap *h, lua_State *L) {
  struct mb_process *p = h->scheduler->current;
  if (mb_outside(h, L)) mb_refuse_outside(h, L);
  if (p && h->closing) return p;
  if (p) mb_leave_if_exiting(h, L, p);
  if (mb_spawn_in_place(h->scheduler, &p) != 0) mb_raise(h, L, "system_limit: too many processes");
  h->main = p;
  mb_hook_enter(h, L);
  return p;
}
