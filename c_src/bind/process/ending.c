#include "process/ending.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "code/library.h"
#include "codec/codec.h"
#include "core/end_watch.h"
#include "heap/settings.h"
#include "log/log.h"

enum {
  SHUTDOWN_MS = 10000
};

void mb_ending_init(struct mb_ending *e, struct mb_runtime *rt) {
  int64_t ms = mb_setting(MB_SET_SHUTDOWN_TIMEOUT, SHUTDOWN_MS);
  e->runtime = rt;
  pthread_mutex_init(&e->mutex, NULL);
  atomic_store(&e->timeout_ns, (uint64_t)ms * 1000000u);
}

void mb_ending_deinit(struct mb_ending *e) {
  while (e->functions) {
    struct mb_signal *s = e->functions;
    e->functions = s->next;
    mb_signal_free(s);
  }
  free(e->roots);
  pthread_mutex_destroy(&e->mutex);
}

/* The bound */

lua_Integer mb_shutdown_timeout(struct mb_heap *h, lua_Integer ms) {
  struct mb_ending *e = h->ending;
  lua_Integer old = (lua_Integer)(atomic_load_explicit(&e->timeout_ns, memory_order_relaxed) / 1000000);
  if (ms >= 0) atomic_store_explicit(&e->timeout_ns, (uint64_t)ms * 1000000u, memory_order_relaxed);
  return old;
}

/* What is to be done first */

/* Whether there is something. Any thread; async-signal-safe. */
int mb_ending_has_functions(const struct mb_ending *e) { return atomic_load(&e->functions) != NULL; }
static int has_roots(const struct mb_ending *e) { return atomic_load(&e->count) != 0; }

/* What is done first: the functions, and, when a signal ends the program, supervisors stop before. */
enum scope { FUNCTIONS, SUPERVISORS_TOO };

/* How long that may take, in ms, the stopping of supervisors and the functions each. */
static unsigned most_ms(const struct mb_ending *e, enum scope scope) {
  unsigned ms = (unsigned)(atomic_load_explicit(&e->timeout_ns, memory_order_relaxed) / 1000000);
  return (scope == SUPERVISORS_TOO && has_roots(e) ? ms : 0) + (mb_ending_has_functions(e) ? ms : 0);
}

/* (heap, status, whether supervisors stop): spawn the process that does it. */
static int spawn(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  struct mb_signal *start;
  struct mb_process *p;
  if (!mb_library_push(h, L, "moonbeam.internal.ending")) return luaL_error(L, "the library's files are gone");
  lua_getfield(L, -1, "run");
  lua_replace(L, 1);
  lua_settop(L, 3);
  start = mb_encode_signal(h, L, 1, 3, "spawn", MB_MESSAGE);
  if (mb_spawn(h->scheduler, NULL, start, MB_SPAWN_UNTIED, 0, &p) != 0) return luaL_error(L, "system_limit");
  p->flags |= MB_PINNED;
  atomic_store_explicit(&h->ending->process, mb_pid_of(p), memory_order_relaxed);
  return 0;
}

static int begin(struct mb_heap *h, int status, enum scope scope) {
  lua_State *L = h->runner;
  int ok = lua_checkstack(L, 8);
  if (!ok) return 0;
  lua_pushcfunction(L, spawn);
  lua_pushlightuserdata(L, h);
  if (status == MB_STATUS_UNKNOWN)
    lua_pushnil(L);
  else
    lua_pushinteger(L, status);
  lua_pushboolean(L, scope == SUPERVISORS_TOO);
  ok = lua_pcall(L, 3, 0, 0) == LUA_OK;
  if (!ok) {
    mb_log_failure(h, L);
    lua_pop(L, 1);
  }
  return ok;
}

void mb_ending_noticed(struct mb_scheduler *s) {
  struct mb_heap *h = mb_scheduler_heap(s);
  struct mb_ending *e = h->ending;
  int signal = atomic_load(&e->signal), exits = atomic_load(&e->how) != MB_NODE_RUNS, status;
  enum scope scope;
  if (s->id != 0 || e->begun || (!signal && !exits && !(h->script->ended && !s->stay))) return;
  e->begun = 1;
  if (exits)
    status = atomic_load(&e->status);
  else if (signal)
    status = 128 + signal;
  else
    status = h->main_reason->kind == MB_REASON_NORMAL ? EXIT_SUCCESS : EXIT_FAILURE;
  scope = signal && !exits ? SUPERVISORS_TOO : FUNCTIONS;
  if (mb_ending_has_functions(e) || (scope == SUPERVISORS_TOO && has_roots(e))) {
    if (!exits) (void)mb_end_watch(most_ms(e, scope) + MB_END_PATIENCE_MS, status);
    if (begin(h, status, scope)) return;
  }
  mb_scheduler_stop(s);
}

void mb_ending_run(struct mb_heap *h, int status) {
  struct mb_ending *e = h->ending;
  struct mb_end_watch *w;
  if (e->begun || !mb_ending_has_functions(e)) return;
  e->begun = 1;
  w = mb_end_watch(most_ms(e, FUNCTIONS) + MB_END_PATIENCE_MS, status == MB_STATUS_UNKNOWN ? EXIT_FAILURE : status);
  if (begin(h, status, FUNCTIONS)) (void)mb_scheduler_run(h->scheduler, NULL);
  mb_end_unwatch(w); /* the program may live on when a state has been closed */
}

void mb_ending_script(struct mb_heap *h) {
  struct mb_ending *e = h->ending;
  if (e->begun) return; /* by a signal, or by os.exit: it is not the script's end that is awaited */
  if (mb_ending_has_functions(e))
    mb_scheduler_notice(h->scheduler);
  else
    mb_scheduler_stop(h->scheduler);
}

void mb_ending_on_exit(struct mb_heap *h, const struct mb_process *p) {
  struct mb_ending *e = h->ending;
  /* it lives on the first scheduler, and is that one's */
  if (h->scheduler->id != 0 || !e->process || e->process != mb_pid_of(p)) return;
  e->process = 0;
  mb_scheduler_stop(h->scheduler);
}

/* By a signal and by os.exit */

/* What is to be done first is done between two processes; otherwise nothing waits for those that cannot be
 * interrupted. */
enum when { AT_ONCE, BETWEEN_PROCESSES };

static void tell_first(struct mb_ending *e, enum when when) {
  struct mb_scheduler *s = &e->runtime->schedulers[0];
  if (when == AT_ONCE)
    mb_scheduler_stop(s);
  else
    mb_scheduler_notice(s);
}

unsigned mb_ending_signal(struct mb_ending *e, int number) {
  unsigned ms = most_ms(e, SUPERVISORS_TOO);
  atomic_store(&e->signal, number);
  mb_ticker_release(&e->runtime->ticker);
  tell_first(e, ms > 0 ? BETWEEN_PROCESSES : AT_ONCE);
  return (ms + 2 * MB_END_PATIENCE_MS - 1) / 1000;
}

int mb_ending_calls(const struct mb_ending *e, const struct mb_process *p) {
  return p && p->parent && p->parent == atomic_load_explicit(&e->process, memory_order_relaxed);
}

void mb_ending_exit(struct mb_ending *e, int status, enum mb_node_end how, int at_once) {
  int not_yet = MB_NODE_RUNS, first = !e->begun;
  if (!atomic_compare_exchange_strong(&e->how, &not_yet, (int)how)) {
    if (!at_once) return;
    atomic_store(&e->status, status);
    tell_first(e, AT_ONCE);
    return;
  }
  atomic_store(&e->status, status);
  mb_ticker_release(&e->runtime->ticker);
  (void)mb_end_watch((first ? most_ms(e, FUNCTIONS) : 0) + MB_END_PATIENCE_MS, status);
  tell_first(e, first && mb_ending_has_functions(e) ? BETWEEN_PROCESSES : AT_ONCE);
}

