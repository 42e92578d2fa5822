#include "process/wait.h"

#include <math.h>
#include <string.h>

#include "heap/errors.h"
#include "heap/hook.h"
#include "process/interrupt.h"
#include "process/long_slice.h"
#include "process/read_message.h"
#include "replica/replica.h"

static void block_in_place(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  struct mb_scheduler *s = h->scheduler;
  lua_State *runner = h->runner, *running = h->running;
  mb_pid pid = mb_pid_of(p);
  int unyieldable = h->unyieldable, resetting = h->resetting, err;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  mb_hook_leave(h);
  h->runner = L;
  h->unyieldable = h->resetting = 0;
  err = mb_scheduler_run(s, p);
  h->runner = runner;
  h->unyieldable = unyieldable;
  h->resetting = resetting;
  if (atomic_load_explicit(&p->pid, memory_order_relaxed) != pid) {
    s->current = NULL;
    mb_raise_main_exit(h, L);
  }
  s->current = p;
  p->state = MB_RUNNING;
  mb_heaps_note_ran(h);
  mb_replicate_owed(h);
  mb_hook_enter(h, running ? running : L);
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
    mb_raise(
        h, L,
        "cannot wait: Lua closes this coroutine at once (coroutine.close), and nothing may wait in the to-be-closed "
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
  if (p->flags & MB_BROKEN || h->interrupt->asked) mb_interrupt_waiting(h, L, p, asked);
}

static void wait(struct mb_heap *h, lua_State *L, struct mb_process *p, uint64_t deadline) {
  if (!mb_can_wait(h, L) || p->flags & MB_BROKEN || h->interrupt->asked) refuse_wait(h, L, p);
  h->asked = 0;
  if (mb_wait(h->scheduler, p, deadline) != 0) mb_no_memory(L);
}

/* Let p, which has begun to wait, run another one nested: see mb_run_nested. 1: p goes on. */
static int run_nested(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  int goes_on;
  if (!mb_can_run_nested(h->scheduler)) return 0;
  mb_hook_leave(h);
  if (mb_slice_is_overdue(h->scheduler)) mb_long_slice_ended(h, L);
  goes_on = mb_run_nested(h->scheduler, p);
  if (!h->ran) mb_heaps_note_ran(h);
  mb_replicate_owed(h);
  mb_main_pass_hook(h, L);
  mb_hook_enter(h, L);
  if (goes_on) mb_interrupt_resumed(h, p, L);
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

int mb_expired(const struct mb_process *p, uint64_t deadline) {
  return deadline == MB_NO_TIME || (deadline != 0 && (p->flags & MB_TIMED_OUT));
}

/* Timeouts */

void mb_check_takes(struct mb_heap *h, lua_State *L) {
  if (!h->uninterruptible) return;
  if (mb_outside(h, L)) mb_refuse_outside(h, L);
  mb_raise(h, L, "a guard or predicate cannot wait or take messages");
}

#define MOST_MS 9000000000000 /* about 290 years: beyond is as good as never, and no overflow */

int mb_read_deadline(struct mb_heap *h, lua_State *L, int at, enum mb_timeout needed, uint64_t *deadline) {
  lua_Number ms;
  mb_check_takes(h, L);
  mb_current(h, L)->flags &= (uint8_t)~MB_TIMED_OUT;
  *deadline = 0;
  if (lua_isinteger(L, at)) { /* as most are: what follows is true of them, too */
    lua_Integer i = lua_tointeger(L, at);
    if (i < 0) return 0;
    if (i <= MOST_MS) *deadline = i ? mb_now(h->runtime) + (uint64_t)i * 1000000u : MB_NO_TIME;
    return 1;
  }
  if (lua_isnoneornil(L, at)) return needed == MB_TIMEOUT_OPTIONAL;
  if (lua_type(L, at) == LUA_TSTRING) return strcmp(lua_tostring(L, at), "infinity") == 0;
  if (lua_type(L, at) != LUA_TNUMBER) return 0;
  ms = lua_tonumber(L, at);
  if (ms == (lua_Number)HUGE_VAL) return 1;
  if (!(ms >= 0) || floor(ms) != ms) return 0;
  if (ms == 0)
    *deadline = MB_NO_TIME;
  else if (ms <= MOST_MS)
    *deadline = mb_now(h->runtime) + (uint64_t)ms * 1000000u;
  return 1;
}

int mb_bad_timeout(struct mb_heap *h, lua_State *L, int at, const char *function, int index, const char *field) {
  const char *got = lua_isnone(L, at) ? "no value" : mb_type_name(h, L, at), *instead = "";
  if (lua_type(L, at) == LUA_TNUMBER) {
    lua_Number ms = lua_tonumber(L, at);
    if (floor(ms) != ms && ms == ms) instead = ": math.ceil(ms), or time_left(deadline)";
    if (ms < 0) instead = ": math.max(0, ms), or time_left(deadline)";
    got = luaL_tolstring(L, at, NULL);
  }
  return mb_bad_argument(h, L, function, index,
                         "timeout_value: %sa timeout is an integer >= 0 in ms or \"infinity\", got %s%s", field, got,
                         instead);
}

uint64_t mb_check_deadline(struct mb_heap *h, lua_State *L, int at, const char *function, int index,
                           enum mb_timeout needed) {
  uint64_t deadline;
  if (!mb_read_deadline(h, L, at, needed, &deadline)) mb_bad_timeout(h, L, at, function, index, "");
  return deadline;
}
