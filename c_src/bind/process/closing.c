#include "process/closing.h"

#include <stdlib.h>

#include "log/crash.h"
#include "log/log.h"
#include "process/entry.h"
#include "process/preempt.h"

enum { CLEANUP_MS = 50 };

void mb_closing_begin_for(struct mb_heap *h, uint64_t ns) {
  if (h->closing++) return;
  if (atomic_load_explicit(&h->runtime->ticker.state, memory_order_relaxed) == MB_TICKER_READY) mb_ticker_start(h->runtime);
  mb_preempt_attend(h);
  h->closing_ns = ns;
  mb_closing_renew(h);
}

void mb_closing_begin(struct mb_heap *h) {
  mb_closing_begin_for(h, atomic_load_explicit(&h->node->cleanup_ns, memory_order_relaxed));
}

void mb_closing_end(struct mb_heap *h) {
  if (--h->closing == 0) mb_preempt_attend(h);
}

void mb_closing_renew(struct mb_heap *h) {
  mb_slice_renew(h->scheduler);
  h->cut = 0;
}

void mb_closing_leave(struct mb_heap *h) {
  const struct mb_process *p = h->scheduler->current;
  if (h->leaving || (p->flags & MB_IN_PLACE)) return;
  h->leaving = 1;
  mb_closing_begin(h);
}

void mb_closing_left(struct mb_heap *h) {
  if (!h->leaving) return;
  h->leaving = 0;
  mb_closing_end(h);
}

int mb_closing_raise(lua_State *L) {
  lua_pushliteral(L, "not enough memory");
  return lua_error(L);
}

int mb_pass_on(struct mb_heap *h, lua_State *L) { return h->leaving ? mb_closing_raise(L) : lua_error(L); }

int mb_pcall(struct mb_heap *h, lua_State *L, int arguments, int results) {
  int then = mb_unwinding(h), status = lua_pcall(L, arguments, results, 0);
  if (status != LUA_OK && mb_unwinding_since(h, then)) {
    h->uninterruptible = 0; /* all guards of the process's are left */
    mb_pass_on(h, L);
  }
  return status;
}

/* (heap): log that what runs below this function is cut off. */
static int report(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  struct mb_process *p = h->scheduler->current;
  int ms = (int)(h->closing_ns / 1000000);
  char pid[MB_ID_TEXT];
  const char *text;
  if (p) {
    int named = mb_push_name(h, L, p);
    mb_pid_text(mb_pid_of(p), pid);
    text = lua_pushfstring(L, "Process %s%s%s%s has ended, and its clean-up code is cut off after %d ms", pid,
                           named ? " (" : "", named ? lua_tostring(L, -1) : "", named ? ")" : "", ms);
  } else {
    text = lua_pushfstring(L, "The program ends, and what shows a value is cut off after %d ms", ms);
  }
  mb_push_traceback(L, p, L, text, 1);
  mb_log(h, L, MB_LOG_WARNING);
  return 0;
}

int mb_closing_is_over(struct mb_heap *h, lua_State *L) {
  if (h->cut) return 1;
  if (mb_slice_age(h->scheduler) <= h->closing_ns) return 0;
  if (mb_log_wants(&h->node->log, MB_LOG_WARNING) && lua_checkstack(L, 4)) {
    lua_pushcfunction(L, report);
    lua_pushlightuserdata(L, h);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_pop(L, 1);
  }
  h->cut = 1; /* the log has renewed the time for itself */
  return 1;
}

void mb_closing_open(struct mb_heap *h) {
  const char *set = getenv("MOONBEAM_CLEANUP_TIMEOUT");
  unsigned long ms = set && *set ? strtoul(set, NULL, 10) : CLEANUP_MS;
  if (h->owner) atomic_store_explicit(&h->node->cleanup_ns, (uint64_t)ms * 1000000u, memory_order_relaxed);
}

lua_Integer mb_cleanup_timeout(struct mb_heap *h, lua_Integer ms) {
  lua_Integer old = (lua_Integer)(atomic_load_explicit(&h->node->cleanup_ns, memory_order_relaxed) / 1000000);
  if (ms >= 0) atomic_store_explicit(&h->node->cleanup_ns, (uint64_t)ms * 1000000u, memory_order_relaxed);
  return old;
}
