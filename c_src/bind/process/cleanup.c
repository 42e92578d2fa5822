#include "process/cleanup.h"

#include "core/thread_state.h"
#include "heap/bounds.h"
#include "heap/inspect.h"
#include "heap/settings.h"
#include "log/log.h"
#include "process/entry.h"

enum { CLEANUP_MS = 50 };

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
  mb_push_traceback(h, L, p, L, text, 1);
  mb_log(h, L, MB_LOG_WARNING);
  return 0;
}

/* How long it has lasted since it was first found to, but for the time in which others had the processor. Of what was
 * before that nobody knows who had it; it is a tick where others do not. */
static uint64_t age(struct mb_heap *h) {
  uint64_t lasted = mb_slice_age(h->scheduler), delayed;
  if (h->closing_delay == UINT64_MAX) {
    h->closing_delay = mb_thread_own_delay();
    h->closing_before = lasted;
  }
  lasted = lasted > h->closing_before ? lasted - h->closing_before : 0;
  if (lasted <= h->closing_ns) return lasted;
  delayed = mb_thread_own_delay() - h->closing_delay;
  return lasted > delayed ? lasted - delayed : 0;
}

int mb_closing_is_over(struct mb_heap *h, lua_State *L) {
  if (h->cut) return 1;
  if (age(h) <= h->closing_ns) return 0;
  if (mb_log_wants(h->log, MB_LOG_WARNING) && lua_checkstack(L, 4)) {
    lua_pushcfunction(L, report);
    lua_pushlightuserdata(L, h);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_pop(L, 1);
  }
  h->cut = 1; /* the log has renewed the time for itself */
  return 1;
}

void mb_closing_open(struct mb_heap *h) {
  int64_t ms = mb_setting(MB_SET_CLEANUP_TIMEOUT, CLEANUP_MS);
  if (h->owner) atomic_store_explicit(&h->bounds->cleanup_ns, (uint64_t)ms * 1000000u, memory_order_relaxed);
}

lua_Integer mb_cleanup_timeout(struct mb_heap *h, lua_Integer ms) {
  lua_Integer old = (lua_Integer)(atomic_load_explicit(&h->bounds->cleanup_ns, memory_order_relaxed) / 1000000);
  if (ms >= 0) atomic_store_explicit(&h->bounds->cleanup_ns, (uint64_t)ms * 1000000u, memory_order_relaxed);
  return old;
}
