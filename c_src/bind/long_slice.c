#include "long_slice.h"

#include <string.h>

#include "api.h"
#include "crash.h"
#include "entry.h"
#include "hash.h"
#include "preempt_inside.h"
#include "run.h"

enum {
  MOST_PLACES = 1000, /* reported at most */
  PLACE_DEPTH = 32 /* levels looked at: lua_getstack counts from the top, so a deep stack would cost its square */
};

static uint64_t slice_number(const struct mb_scheduler *s) {
  return atomic_load_explicit(&s->slice.number, memory_order_relaxed);
}

static uint64_t long_ns(const struct mb_heap *h) {
  return atomic_load_explicit(&h->node->long_ns, memory_order_relaxed);
}

/* Whether the present slice is too long and has not been reported. */
static int is_long(const struct mb_heap *h) {
  const struct mb_preempt *t = h->preempt;
  uint64_t limit = long_ns(h);
  return limit && mb_slice_age(h->scheduler) >= limit &&
         t->reported != slice_number(h->scheduler);
}

/* The place to blame: where Lua called the innermost C function, else the line that runs. */
static uint64_t place(lua_State *L) {
  lua_Debug ar;
  uint64_t key = 1;
  int found = 0, after_c = 0;
  for (int level = 0; level < PLACE_DEPTH && lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline <= 0) {
      after_c = level > 0;
    } else if (!found || after_c) {
      key = mb_hash_bytes(ar.short_src, strlen(ar.short_src)) + mb_hash_u64((uint64_t)ar.currentline);
      found = 1;
      if (after_c) break;
    }
  }
  return key ? key : 1;
}

static int report(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  lua_State *of = lua_touserdata(L, 2);
  struct mb_process *p = h->scheduler->current;
  char pid[MB_ID_TEXT];
  const char *text;
  int named;
  mb_pid_text(mb_pid_of(p), pid);
  named = mb_push_name(h, L, p);
  text = lua_pushfstring(L, "Process %s%s%s%s has held scheduler %d for %d ms without giving way", pid,
                         named ? " (" : "", named ? lua_tostring(L, -1) : "", named ? ")" : "",
                         (int)h->scheduler->id + 1, (int)(lua_tointeger(L, 3) / 1000000));
  mb_push_traceback(L, p, of, text, of == L); /* without this function */
  mb_log(h, L, MB_LOG_WARNING);
  return 0;
}

void mb_long_slice_check(struct mb_heap *h, lua_State *L, lua_State *of, int could_yield) {
  struct mb_preempt *t = h->preempt;
  struct mb_scheduler *s = h->scheduler;
  uint64_t key;
  if (!is_long(h) || !s->current || !lua_checkstack(L, 4)) return;
  if (could_yield && (t->asked_in != slice_number(s) || uv_hrtime() - t->asked_at < long_ns(h))) return;
  t->reported = slice_number(s);
  key = place(of);
  if (t->places.count >= MOST_PLACES || mb_map_get(&t->places, key) || mb_map_put(&t->places, key, 1) != 0)
    return;
  lua_pushcfunction(L, report);
  lua_pushlightuserdata(L, h);
  lua_pushlightuserdata(L, of);
  lua_pushinteger(L, (lua_Integer)mb_slice_age(s));
  if (lua_pcall(L, 3, 0, 0) != LUA_OK) lua_pop(L, 1);
}

void mb_long_slice_ended(struct mb_heap *h, lua_State *L) {
  const struct mb_process *p = h->scheduler->current;
  if (p && p->local & MB_LOCAL_FAILED) return; /* its frames are gone, and there will be a report with them */
  if (mb_slice_age(h->scheduler)) mb_long_slice_check(h, h->runner, L, 1);
}

lua_Integer mb_long_schedule(struct mb_heap *h, lua_Integer ms) {
  lua_Integer old = (lua_Integer)(long_ns(h) / 1000000);
  if (ms >= 0) atomic_store_explicit(&h->node->long_ns, (uint64_t)ms * 1000000, memory_order_relaxed);
  return old;
}
