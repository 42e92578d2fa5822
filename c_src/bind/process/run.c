#include "process/run.h"

#include <stdio.h>
#include <string.h>

#include "codec/codec.h"
#include "heap/closing.h"
#include "heap/hook.h"
#include "log/log.h"
#include "process/crash.h"
#include "process/ending.h"
#include "process/entry.h"
#include "process/home.h"
#include "process/interrupt.h"
#include "process/long_slice.h"
#include "process/lua_coroutine.h"
#include "replica/replica.h"

enum {
  KEEP_COROUTINES = 1024,
  COUNT_NS = 100000000 /* what heaps take is counted so often */
};

/* Coroutines of the dead, for those who start next. */
struct mb_kept {
  unsigned count;
  lua_State *list[KEEP_COROUTINES];
};

/* Start */

static int new_thread(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  struct mb_process *p = lua_touserdata(L, 2);
  lua_State *co;
  mb_push_ref(h, L, MB_REF_THREADS);
  co = lua_newthread(L);
  mb_hook_adopt(h, co);
  lua_rawsetp(L, -2, co);
  p->context = co;
  return 0;
}

/* Give the process a coroutine: the one of who has died last, or a new one. 0 when memory is out. */
static int prepare_coroutine(struct mb_heap *h, struct mb_process *p) {
  lua_State *L = h->runner;
  int ok;
  if (h->kept->count) {
    p->context = h->kept->list[--h->kept->count];
    return 1;
  }
  if (!lua_checkstack(L, 8)) return 0;
  lua_pushcfunction(L, new_thread);
  lua_pushlightuserdata(L, h);
  lua_pushlightuserdata(L, p);
  ok = lua_pcall(L, 2, 0, 0) == LUA_OK;
  if (!ok) lua_pop(L, 1);
  return ok;
}

static int decode_start(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  const struct mb_signal *start = lua_touserdata(L, 2);
  lua_settop(L, 0);
  return mb_decode(h, L, start->data);
}

/* Put function and arguments on the coroutine's stack. 0 when the process died instead. They are decoded by the runner:
 * of its last tenant's life the coroutine remembers how deep C calls were nested, until it is resumed. */
static int start(struct mb_heap *h, struct mb_process *p) {
  lua_State *co, *L = h->runner;
  struct mb_signal *first = p->start;
  int status, top = lua_gettop(L), count;
  if (!lua_checkstack(L, 4) || !prepare_coroutine(h, p)) {
    mb_process_exit(h->scheduler, p, h->no_memory);
    return 0;
  }
  co = mb_coroutine(p);
  mb_hook_enter(h, L); /* decoding may load modules */
  lua_pushcfunction(L, decode_start);
  lua_pushlightuserdata(L, h);
  lua_pushlightuserdata(L, first);
  status = lua_pcall(L, 2, LUA_MULTRET, 0);
  count = lua_gettop(L) - top;
  if (lua_checkstack(co, count + MB_ENTRY_SLOTS)) {
    mb_entry_push(co);
    lua_xmove(L, co, count);
  } else {
    lua_settop(L, top);
    mb_process_exit(h->scheduler, p, h->no_memory);
  }
  p->start = NULL;
  mb_signal_give(h->scheduler, first);
  if (p->state == MB_EXITING) return 0;
  if (status == LUA_OK) return 1;
  mb_crash(h, p, co);
  return 0;
}

void mb_run_resume(struct mb_scheduler *s, struct mb_process *p) {
  struct mb_heap *h = p->start ? mb_home_choose(s, p) : mb_process_heap(s, p);
  lua_State *co;
  int status, results;
  if (!h->ran) mb_heaps_note_ran(h);
  mb_replicate_owed(h);
  if (p->start && !start(h, p)) {
    mb_hook_leave(h);
    mb_closing_left(h); /* it may have been killed while a module of its function's was loaded */
    return;
  }
  co = mb_coroutine(p);
  p->offered = NULL;
  if (!h->main) h->encoding = 0; /* else a finalizer of the main chunk's may wait in the middle of one */
  mb_main_pass_hook(h, co);
  mb_hook_enter(h, co);
  mb_interrupt_resumed(h, p, co);
  status = lua_resume(co, h->runner, lua_status(co) == LUA_OK ? lua_gettop(co) - 1 : 0, &results);
  mb_hook_leave(h);
  if (mb_slice_is_overdue(h->scheduler)) mb_long_slice_ended(h, co);
  mb_closing_left(h);
  if (s->checked - h->heaps->counted > COUNT_NS) mb_heaps_count(s);
  h->preempted = 0;
  if (p->state == MB_EXITING) return;
  if (status == LUA_YIELD) {
    if (results) lua_pop(co, results);
  } else if (status == LUA_OK && !results) {
    mb_process_exit(s, p, h->runtime->normal);
  } else {
    mb_crash(h, p, co);
  }
}

/* End */

/* Existing keys: this allocates nothing. */
static void forget_coroutine(struct mb_heap *h, lua_State *co) {
  mb_push_ref(h, h->runner, MB_REF_THREADS);
  lua_pushnil(h->runner);
  lua_rawsetp(h->runner, -2, co);
  lua_pop(h->runner, 1);
}

static void forget_values(struct mb_heap *h, const struct mb_process *p) {
  mb_push_ref(h, h->runner, MB_REF_PRIVATE);
  lua_pushnil(h->runner);
  lua_rawseti(h->runner, -2, p->index);
  lua_pop(h->runner, 1);
}

/* Run the pending to-be-closed variables of what has not come to its end; their errors are dropped. The coroutine is
 * not used again: Lua would keep the message handler of a call that was going on. */
static void close_coroutine(struct mb_heap *h, lua_State *co) {
  mb_closing_begin(h);
  mb_close_nested(h, co);
  mb_hook_enter(h, co);
  (void)lua_resetthread(co);
  mb_hook_leave(h);
  mb_closing_end(h);
}

void mb_run_destroy(struct mb_scheduler *s, struct mb_process *p) {
  struct mb_heap *h = mb_process_heap(s, p), *first = mb_scheduler_heap(s);
  lua_State *co = mb_coroutine(p);
  p->offered = NULL;
  p->got_direct = 0;
  if (p->flags & MB_IN_PLACE) {
    mb_reason_release(h->main_reason);
    h->main_reason = mb_reason_retain(p->reason);
    if (h->main == p) h->main = NULL;
  }
  if (p == h->script->process) {
    h->script->ended = 1;
    h->script->process = NULL; /* others may get its slot */
    mb_reason_release(first->main_reason);
    first->main_reason = mb_reason_retain(p->reason);
    if (!s->stay) mb_ending_script(h);
  }
  mb_ending_on_exit(h, p);
  mb_log_on_exit(h, p);
  if (p->private_flags & MB_PRIVATE_LEFT) {
    /* what keeps the coroutine stays: nothing of it may be closed, nor collected */
  } else if (co && !p->start) {
    lua_Debug ar;
    /* One whose first call has found no memory has no frames, and is dead all the same. */
    int ended = lua_status(co), interrupted = ended > LUA_YIELD || lua_getstack(co, 0, &ar);
    if (interrupted) close_coroutine(h, co);
    lua_settop(co, 0);
    if (p->private_flags & MB_PRIVATE_ESCAPED) mb_map_remove(&h->held, (uintptr_t)co, NULL);
    if (interrupted || p->private_flags & (MB_PRIVATE_ESCAPED | MB_PRIVATE_HOOKED) || mb_hook_has_user(co) ||
        h->kept->count >= KEEP_COROUTINES)
      forget_coroutine(h, co);
    else
      h->kept->list[h->kept->count++] = co;
    /* What filled the memory is garbage now; whoever asks malloc next would find nothing left. */
    if (ended == LUA_ERRMEM || p->private_flags & MB_PRIVATE_FULL) (void)lua_gc(h->runner, LUA_GCCOLLECT);
  }
  p->context = NULL;
  if (p->private_flags & MB_PRIVATE_VALUES) forget_values(h, p);
  p->private_flags = 0;
  mb_home_leave(s, p);
}

void mb_run_open(struct mb_heap *h, lua_State *L) {
  h->kept = lua_newuserdatauv(L, sizeof *h->kept, 0);
  h->kept->count = 0;
  (void)luaL_ref(L, LUA_REGISTRYINDEX); /* keeps it as long as the state */
}
