#include "process/run.h"

#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "codec/codec.h"
#include "codec/message.h"
#include "core/hash.h"
#include "heap/errors.h"
#include "heap/main_thread.h"
#include "log/crash.h"
#include "process/closing.h"
#include "process/entry.h"
#include "process/long_slice.h"
#include "process/preempt.h"
#include "replica/replica.h"

enum { KEEP_COROUTINES = 1024 }; /* of the dead, in free slots, for the next tenants */

/* Start */

static int new_thread(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  struct mb_process *p = lua_touserdata(L, 2);
  lua_State *co;
  mb_push_ref(h, L, MB_REF_THREADS);
  co = lua_newthread(L);
  mb_preempt_adopt(h, co);
  lua_rawseti(L, -2, p->index);
  p->context = co;
  return 0;
}

/* Give the process a coroutine: the slot's last one, or a new one. 0 when memory is out. */
static int prepare_coroutine(struct mb_heap *h, struct mb_process *p) {
  lua_State *L = h->runner;
  int ok;
  if (p->context) {
    h->idle_coroutines--;
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
  mb_preempt_enter(h, L); /* decoding may load modules */
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
  mb_signal_free(first);
  if (p->state == MB_EXITING) return 0;
  if (status == LUA_OK) return 1;
  mb_crash(h, p, co);
  return 0;
}

static void resume(struct mb_scheduler *s, struct mb_process *p) {
  struct mb_heap *h = s->heap;
  lua_State *co;
  int status, results;
  if (p->start && !start(h, p)) {
    mb_preempt_leave(h);
    mb_closing_left(h); /* it may have been killed while a module of its function's was loaded */
    return;
  }
  co = mb_coroutine(p);
  p->offered = NULL;
  if (!h->main) h->encoding = 0; /* else a finalizer of the main chunk's may wait in the middle of one */
  mb_main_pass_hook(h, co);
  mb_preempt_enter(h, co);
  mb_break_resumed(h, p, co);
  status = lua_resume(co, h->runner, lua_status(co) == LUA_OK ? lua_gettop(co) - 1 : 0, &results);
  mb_preempt_leave(h);
  if (mb_slice_is_overdue(h->scheduler)) mb_long_slice_ended(h, co);
  mb_closing_left(h);
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

static void forget(struct mb_heap *h, enum mb_heap_ref table, struct mb_process *p) {
  mb_push_ref(h, h->runner, table);
  lua_pushnil(h->runner);
  lua_rawseti(h->runner, -2, p->index); /* an existing key: allocates nothing */
  lua_pop(h->runner, 1);
}

/* Run the pending to-be-closed variables of what has not come to its end; their errors are dropped. The coroutine is not used
 * again: Lua would keep the message handler of a call that was going on. */
static void close_coroutine(struct mb_heap *h, lua_State *co) {
  mb_closing_begin(h);
  mb_close_nested(h, co);
  mb_preempt_enter(h, co);
  (void)lua_resetthread(co);
  mb_preempt_leave(h);
  mb_closing_end(h);
}

static void destroy(struct mb_scheduler *s, struct mb_process *p) {
  struct mb_heap *h = s->heap;
  lua_State *co = mb_coroutine(p);
  p->offered = NULL;
  p->handed = 0;
  if (p->flags & MB_IN_PLACE) {
    mb_reason_release(h->main_reason);
    h->main_reason = mb_reason_retain(p->reason);
    if (h->main == p) h->main = NULL;
  }
  if (p == h->script) {
    h->script_ended = 1;
    h->script = NULL; /* others may get its slot */
    mb_reason_release(h->main_reason);
    h->main_reason = mb_reason_retain(p->reason);
    if (!s->stay) mb_ending_script(h);
  }
  mb_ending_on_exit(h, p);
  mb_log_on_exit(h, p);
  if (p->private_flags & MB_PRIVATE_LEFT) {
    p->context = NULL; /* what keeps the coroutine stays: nothing of it may be closed, nor collected */
  } else if (co && !p->start) {
    lua_Debug ar;
    int ended = lua_status(co), interrupted = lua_getstack(co, 0, &ar);
    if (interrupted) close_coroutine(h, co);
    lua_settop(co, 0);
    if (p->private_flags & MB_PRIVATE_ESCAPED) mb_map_remove(&h->held, (uintptr_t)co, NULL);
    if (interrupted || p->private_flags & (MB_PRIVATE_ESCAPED | MB_PRIVATE_HOOKED) || mb_preempt_is_hooked(co) ||
        h->idle_coroutines >= KEEP_COROUTINES) {
      forget(h, MB_REF_THREADS, p);
      p->context = NULL;
    } else {
      h->idle_coroutines++;
    }
    /* What filled the memory is garbage now; whoever asks malloc next would find nothing left. */
    if (ended == LUA_ERRMEM || p->private_flags & MB_PRIVATE_FULL) (void)lua_gc(h->runner, LUA_GCCOLLECT);
  }
  if (p->private_flags & MB_PRIVATE_VALUES) forget(h, MB_REF_PRIVATE, p);
  p->private_flags = 0;
}

static void abandon(struct mb_scheduler *s, struct mb_process *p) {
  struct mb_heap *h = s->heap;
  forget(h, MB_REF_THREADS, p);
  p->context = NULL;
  h->idle_coroutines--;
}

static void notice(struct mb_scheduler *s) {
  mb_break_noticed(s);
  mb_ending_noticed(s);
}

const struct mb_upcalls mb_heap_upcalls = {.resume = resume, .destroy = destroy, .abandon = abandon,
                                           .share = mb_replica_share, .answer = mb_answer, .start = mb_node_start,
                                           .preempt = mb_preempt_overdue, .notice = notice,
                                           .stuck = mb_long_slice_stuck};

/* Waiting and leaving */

void mb_push_exit(struct mb_heap *h, lua_State *L) {
  lua_createtable(L, 0, 1);
  lua_insert(L, -2);
  lua_setfield(L, -2, "reason");
  mb_push_ref(h, L, MB_REF_EXIT_MT);
  lua_setmetatable(L, -2);
}

int mb_is_exit(struct mb_heap *h, lua_State *L, int index) {
  int is;
  if (!lua_istable(L, index) || !lua_getmetatable(L, index)) return 0;
  mb_push_ref(h, L, MB_REF_EXIT_MT);
  is = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return is;
}

/* The main chunk has been ended by a signal: it is told the only way there is. */
static void raise_main_exit(struct mb_heap *h, lua_State *L) {
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
    raise_main_exit(h, L);
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
  mb_preempt_enter(h, L);
  return p;
}

static void block_in_place(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  struct mb_scheduler *s = h->scheduler;
  lua_State *runner = h->runner, *running = h->running;
  mb_pid pid = mb_pid_of(p);
  int unyieldable = h->unyieldable, resetting = h->resetting, err;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  mb_preempt_leave(h);
  h->runner = L;
  h->unyieldable = h->resetting = 0;
  err = mb_scheduler_run(s, p);
  h->runner = runner;
  h->unyieldable = unyieldable;
  h->resetting = resetting;
  if (atomic_load_explicit(&p->pid, memory_order_relaxed) != pid) {
    s->current = NULL;
    raise_main_exit(h, L);
  }
  s->current = p;
  p->state = MB_RUNNING;
  mb_preempt_enter(h, running ? running : L);
  if (err)
    mb_raise(h, L, "deadlock: the main process waits for a message and nothing is left that could "
                   "send one (no runnable process, timer or handle); use a timeout");
}

void mb_run_others(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  mb_give_way_in_place(h->scheduler, p);
  block_in_place(h, L, p);
}

static int pass_results(lua_State *L, int status, lua_KContext results) {
  (void)L;
  (void)status;
  return (int)results;
}

int mb_give_way(struct mb_heap *h, lua_State *L, struct mb_process *p, int results) {
  if (h->closing || p->state != MB_RUNNING || !mb_can_yield(h, L)) return results;
  if (p->flags & MB_IN_PLACE) {
    mb_run_others(h, L, p);
    return results;
  }
  h->preempted = 1;
  return lua_yieldk(L, 0, results, pass_results);
}

void mb_cannot_wait(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  mb_leave_if_exiting(h, L, p);
  if (h->closing)
    mb_raise(h, L, "cannot wait: process is exiting (a to-be-closed variable may not block)");
  if (mb_can_yield(h, L)) return;
  if (lua_isyieldable(L) && h->running != L)
    mb_raise(h, L, "cannot wait: this coroutine was resumed past the runtime (by a C library, or by a function of the "
                   "coroutine library that was kept from before moonbeam was loaded: load it first)");
  if (h->resetting)
    mb_raise(h, L, "cannot wait: Lua closes this coroutine at once (coroutine.close), and nothing may wait in the to-be-closed "
                   "variables of it: let the coroutine come to its end, or let a process that is spawned there wait");
  mb_raise(h, L, "attempt to yield across a C-call boundary (a process cannot wait inside sort, "
                 "gsub, a metamethod called from C and the like)");
}

/* p may not wait, or a line of a prompt's has been interrupted: raise if so. A function of its own: that costs wait no
 * registers. */
static __attribute__((noinline)) void refuse_wait(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  mb_ref asked = h->asked;
  h->asked = 0;
  if (!mb_can_wait(h, L)) {
    if (asked && p->state != MB_EXITING) mb_flush_ref(h, p, asked);
    mb_cannot_wait(h, L, p);
  }
  if (p->flags & MB_BROKEN || h->breaking.asked) mb_break_waiting(h, L, p, asked);
}

static void wait(struct mb_heap *h, lua_State *L, struct mb_process *p, uint64_t deadline) {
  if (!mb_can_wait(h, L) || p->flags & MB_BROKEN || h->breaking.asked) refuse_wait(h, L, p);
  h->asked = 0;
  if (mb_wait(h->scheduler, p, deadline) != 0) luaL_error(L, "not enough memory");
}

/* Let p, which has begun to wait, run another one nested: see mb_run_nested. 1: p goes on. */
static int run_nested(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  int goes_on;
  if (!mb_can_run_nested(h->scheduler)) return 0;
  mb_preempt_leave(h);
  if (mb_slice_is_overdue(h->scheduler)) mb_long_slice_ended(h, L);
  goes_on = mb_run_nested(h->scheduler, p);
  mb_main_pass_hook(h, L);
  mb_preempt_enter(h, L);
  if (goes_on) mb_break_resumed(h, p, L);
  return goes_on;
}

void mb_block(struct mb_heap *h, lua_State *L, struct mb_process *p, uint64_t deadline,
              lua_KContext ctx, lua_KFunction k) {
  wait(h, L, p, deadline);
  if (p->flags & MB_IN_PLACE)
    block_in_place(h, L, p);
  else if (!run_nested(h, L, p))
    lua_yieldk(L, 0, ctx, k);
}

void mb_block_offering(struct mb_heap *h, lua_State *L, struct mb_process *p, uint64_t deadline,
                       lua_KContext ctx, lua_KFunction k, int offer, mb_ref awaited) {
  if (p->flags & MB_IN_PLACE) { /* others run on its stack meanwhile */
    mb_block(h, L, p, deadline, ctx, k);
    return;
  }
  wait(h, L, p, deadline);
  p->offered = L;
  p->offer = (uint8_t)offer;
  p->awaited = awaited;
  if (!run_nested(h, L, p)) lua_yieldk(L, 0, ctx, k);
  p->offered = NULL;
}

/* Spawn sites */

struct mb_sites {
  struct mb_map known; /* hash of file and line -> text */
};

enum { MOST_SITES = 20000 };

const char *mb_site(struct mb_heap *h, lua_State *L) {
  lua_Debug ar;
  for (int level = 0; lua_getstack(L, level, &ar); level++) {
    uint64_t key, *known;
    char *text;
    size_t size;
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline <= 0) continue;
    if (mb_is_own(h, ar.source)) continue;
    key = mb_hash_bytes(ar.short_src, strlen(ar.short_src)) + mb_hash_u64((uint64_t)ar.currentline);
    if (key == 0) key = 1;
    known = mb_map_get(&h->sites->known, key);
    if (known) return (const char *)(uintptr_t)*known;
    if (h->sites->known.count >= MOST_SITES) return NULL;
    size = strlen(ar.short_src) + 16;
    text = malloc(size);
    if (!text) return NULL;
    snprintf(text, size, "%s:%d", ar.short_src, ar.currentline);
    if (mb_map_put(&h->sites->known, key, (uint64_t)(uintptr_t)text) != 0) {
      free(text);
      return NULL;
    }
    return text;
  }
  return NULL;
}

struct mb_sites *mb_sites_new(void) { return calloc(1, sizeof(struct mb_sites)); }

void mb_sites_free(struct mb_heap *h) {
  uint32_t cursor = 0;
  if (!h->sites) return;
  for (const struct mb_entry *e; (e = mb_map_next(&h->sites->known, &cursor));)
    free((void *)(uintptr_t)e->value);
  mb_map_deinit(&h->sites->known);
  free(h->sites);
}
