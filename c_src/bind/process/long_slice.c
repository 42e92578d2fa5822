#include "process/long_slice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "heap/bounds.h"
#include "heap/hook.h"
#include "heap/inspect.h"
#include "log/log.h"
#include "process/entry.h"

#define MS_NS 1000000ull

enum {
  TEXT_SIZE = 640,
  MOST_PLACES = 1000, /* reported at most */
  PLACE_DEPTH = 32 /* levels examined: lua_getstack counts from the top, so a deep stack would cost its square */
};

static uint64_t slice_number(const struct mb_scheduler *s) {
  return atomic_load_explicit(&s->slice.number, memory_order_relaxed);
}

static uint64_t long_ns(const struct mb_bounds *b) { return atomic_load_explicit(&b->long_ns, memory_order_relaxed); }

/* The place to blame: where Lua called the innermost C function, else the line that runs. 0: there is none. */
static uint64_t place(lua_State *L) {
  lua_Debug ar;
  uint64_t key = 0;
  int found = 0, after_c = 0;
  for (int level = 0; level < PLACE_DEPTH && lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline <= 0) {
      after_c = 1;
    } else if (!found || after_c) {
      key = mb_hash_bytes(ar.short_src, strlen(ar.short_src)) + mb_hash_u64((uint64_t)ar.currentline);
      found = 1;
      if (after_c) break;
    }
  }
  return key;
}

/* (heap, thread, stretch) */
static int report(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  lua_State *of = lua_touserdata(L, 2);
  const struct mb_stretch *stretch = lua_touserdata(L, 3);
  struct mb_process *p = h->scheduler->current;
  const char *text;
  lua_Debug ar;
  char pid[MB_ID_TEXT];
  int named;
  mb_pid_text(mb_pid_of(p), pid);
  named = mb_push_name(h, L, p);
  text = lua_pushfstring(L, "Process %s%s%s%s has held scheduler %d for %d ms %s", pid, named ? " (" : "",
                         named ? lua_tostring(L, 4) : "", named ? ")" : "", (int)h->scheduler->id + 1, (int)stretch->ms,
                         stretch->signalled ? "without giving way" : "while it waited inside a C function (what blocks "
                                                                     "stops nobody in mb.blocking(fn, ...))");
  if (p->site) text = lua_pushfstring(L, "%s\nspawned at %s", text, p->site);
  if (place(of) && lua_getstack(of, of == L, &ar)) { /* without this function */
    if (!stretch->signalled) text = lua_pushfstring(L, "%s; afterwards it was here", text);
    mb_push_traceback(h, L, p, of, text, of == L);
  }
  mb_log(h, L, MB_LOG_WARNING);
  return 0;
}

void mb_long_slice_check(struct mb_heap *h, lua_State *L, lua_State *of) {
  struct mb_long_slice *t = h->long_slice;
  struct mb_scheduler *s = h->scheduler;
  struct mb_stretch stretch;
  uint64_t limit = long_ns(h->bounds), key;
  if (!limit || t->reported == slice_number(s) || !s->current) return;
  stretch = mb_slice_stretch(s);
  /* what is deep is asked later */
  if (stretch.ms * MS_NS < limit + mb_hook_patience(h, s->current) || !lua_checkstack(L, 4)) return;
  t->reported = slice_number(s);
  key = place(of);
  if (!key && s->current->private_flags & MB_PRIVATE_FAILED) return; /* a report with its frames will come */
  if (!key) key = mb_hash_u64((uintptr_t)s->current->site) | 1; /* it has ended */
  if (t->places.count >= MOST_PLACES || mb_map_get(&t->places, key) || mb_map_put(&t->places, key, 1) != 0)
    return;
  lua_pushcfunction(L, report);
  lua_pushlightuserdata(L, h);
  lua_pushlightuserdata(L, of);
  lua_pushlightuserdata(L, &stretch);
  if (lua_pcall(L, 3, 0, 0) != LUA_OK) lua_pop(L, 1);
}

void mb_long_slice_ended(struct mb_heap *h, lua_State *L) {
  const struct mb_process *p = h->scheduler->current;
  if (p && p->private_flags & MB_PRIVATE_FAILED) return; /* its frames are gone, and there will be a report with them */
  mb_long_slice_check(h, h->runner, L);
}

int mb_long_slice_stuck(struct mb_log *log, const struct mb_bounds *b, struct mb_scheduler *s, struct mb_process *p,
                        mb_pid pid, const char *site, unsigned ms) {
  uint64_t limit = atomic_load_explicit(&b->stuck_ns, memory_order_relaxed);
  char id[MB_ID_TEXT], text[TEXT_SIZE], *name;
  uint32_t size;
  int written;
  if (!limit || ms * MS_NS < limit) return 0;
  if (!mb_log_wants(log, MB_LOG_WARNING)) return 1;
  mb_pid_text(pid, id);
  name = mb_names_of(&s->runtime->names, p, &size);
  written = snprintf(text, sizeof text,
                     "Process %s%s%.100s%s%s%.200s%s has held scheduler %d for %u ms in a call that does not "
                     "return, and others wait for it. Let what blocks run on a thread of its own: mb.blocking(fn, ...)",
                     id, name ? " (" : "", name ? name : "", name ? ")" : "", site ? ", spawned at " : "",
                     site ? site : "", site ? "," : "", (int)s->id + 1, ms);
  free(name);
  mb_log_write(log, MB_LOG_WARNING, mb_system_time(), text, (size_t)written, 0);
  return 1;
}

lua_Integer mb_long_schedule(struct mb_heap *h, lua_Integer ms) {
  lua_Integer old = (lua_Integer)(long_ns(h->bounds) / MS_NS);
  if (ms < 0) return old;
  atomic_store_explicit(&h->bounds->long_ns, (uint64_t)ms * MS_NS, memory_order_relaxed);
  atomic_store_explicit(&h->bounds->stuck_ns, (uint64_t)ms * MS_NS, memory_order_relaxed);
  return old;
}
