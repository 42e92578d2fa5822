#include "process/ending.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "api/api.h"
#include "bind/open.h"
#include "code/library.h"
#include "codec/codec.h"
#include "heap/errors.h"
#include "process/preempt.h"
#include "process/run.h"

enum {
  SHUTDOWN_MS = 10000,
#if defined(__SANITIZE_THREAD__)
  PATIENCE_MS = 10000 /* all is slower */
#else
  PATIENCE_MS = 1000 /* with what does not end by itself */
#endif
};

void mb_ending_init(struct mb_ending *e) {
  const char *set = getenv("MOONBEAM_SHUTDOWN_TIMEOUT");
  unsigned long ms = set && *set ? strtoul(set, NULL, 10) : SHUTDOWN_MS;
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
  struct mb_ending *e = &h->node->ending;
  lua_Integer old = (lua_Integer)(atomic_load_explicit(&e->timeout_ns, memory_order_relaxed) / 1000000);
  if (ms >= 0) atomic_store_explicit(&e->timeout_ns, (uint64_t)ms * 1000000u, memory_order_relaxed);
  return old;
}

static void *give_up(void *status) {
  struct timespec patience = {PATIENCE_MS / 1000, 0};
  nanosleep(&patience, NULL);
  _exit((int)(intptr_t)status);
}

void mb_keep_loaded(void) {
  static const char here;
  Dl_info info;
  if (dladdr(&here, &info) && info.dli_fname) (void)dlopen(info.dli_fname, RTLD_NOW | RTLD_NODELETE);
}

static int start_thread(void *(*run)(void *), void *data) {
  pthread_t thread;
  mb_keep_loaded(); /* stock Lua unloads the library when its state closes; the thread may still be there */
  if (pthread_create(&thread, NULL, run, data) != 0) return -1;
  pthread_detach(thread);
  return 0;
}

void mb_claim_exit(void) {
  static atomic_flag claimed = ATOMIC_FLAG_INIT;
  if (atomic_flag_test_and_set(&claimed))
    for (;;) pause();
}

_Noreturn void mb_exit_now(int status) {
  mb_claim_exit();
  (void)start_thread(give_up, (void *)(intptr_t)status);
  exit(status); /* with threads that may hold a stream: glibc writes out what they have buffered all the same */
}

struct mb_end_watch {
  unsigned ms;
  int status;
  atomic_int parted; /* of its thread and who has started it, one is done with it: the other frees it. acq_rel */
};

static int is_parted(struct mb_end_watch *w) { return atomic_exchange_explicit(&w->parted, 1, memory_order_acq_rel); }

static atomic_uint granted; /* ms. Partners: mb_ending_grant, watch */

void mb_ending_grant(unsigned ms) { atomic_fetch_add_explicit(&granted, ms, memory_order_relaxed); }

static void *watch(void *data) {
  struct mb_end_watch *w = data;
  unsigned slept = 0, all;
  while (slept < (all = w->ms + atomic_load_explicit(&granted, memory_order_relaxed))) {
    struct timespec left = {(all - slept) / 1000, (long)((all - slept) % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0) continue;
    slept = all;
  }
  if (is_parted(w)) {
    free(w);
    return NULL;
  }
  fprintf(stderr, "moonbeam: the end of the program is cut off: something has kept it up for %u ms (a C function that does "
                  "not return, or a finalizer)\n", w->ms);
  mb_exit_now(w->status);
}

struct mb_end_watch *mb_ending_watch(unsigned ms, int status) {
  struct mb_end_watch *w = malloc(sizeof *w);
  if (!w) return NULL;
  w->ms = ms;
  w->status = status;
  atomic_init(&w->parted, 0);
  if (start_thread(watch, w) == 0) return w;
  free(w);
  return NULL;
}

void mb_ending_unwatch(struct mb_end_watch *w) {
  if (w && is_parted(w)) free(w);
}

/* What is to be done first */

/* Whether there is something. Any thread; async-signal-safe. */
static int has_functions(const struct mb_ending *e) { return atomic_load(&e->functions) != NULL; }
static int has_roots(const struct mb_ending *e) { return atomic_load(&e->count) != 0; }

/* How long that may take, in ms, the stopping of supervisors and the functions each. */
static unsigned most_ms(const struct mb_ending *e, int roots) {
  unsigned ms = (unsigned)(atomic_load_explicit(&e->timeout_ns, memory_order_relaxed) / 1000000);
  return (roots && has_roots(e) ? ms : 0) + (has_functions(e) ? ms : 0);
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
  if (mb_spawn(h->scheduler, NULL, start, 0, 0, NULL, &p) != 0) return luaL_error(L, "system_limit");
  p->flags |= MB_PINNED;
  atomic_store_explicit(&h->node->ending.process, mb_pid_of(p), memory_order_relaxed);
  return 0;
}

static int begin(struct mb_heap *h, int status, int supervisors) {
  lua_State *L = h->runner;
  int ok = lua_checkstack(L, 8);
  if (!ok) return 0;
  lua_pushcfunction(L, spawn);
  lua_pushlightuserdata(L, h);
  if (status == MB_STATUS_UNKNOWN)
    lua_pushnil(L);
  else
    lua_pushinteger(L, status);
  lua_pushboolean(L, supervisors);
  ok = lua_pcall(L, 3, 0, 0) == LUA_OK;
  if (!ok) {
    mb_log_failure(h, L);
    lua_pop(L, 1);
  }
  return ok;
}

void mb_ending_noticed(struct mb_scheduler *s) {
  struct mb_heap *h = s->heap;
  struct mb_ending *e = &h->node->ending;
  int signal = atomic_load(&e->signal), exits = atomic_load(&e->how) != MB_NODE_RUNS, status;
  if (s->id != 0 || e->begun || (!signal && !exits && !(h->script_ended && !s->stay))) return;
  e->begun = 1;
  if (exits)
    status = atomic_load(&e->status);
  else if (signal)
    status = 128 + signal;
  else
    status = h->main_reason->kind == MB_REASON_NORMAL ? EXIT_SUCCESS : EXIT_FAILURE;
  signal = signal && !exits;
  if (has_functions(e) || (signal && has_roots(e))) {
    if (!exits) (void)mb_ending_watch(most_ms(e, signal) + PATIENCE_MS, status);
    if (begin(h, status, signal)) return;
  }
  mb_scheduler_stop(s);
}

void mb_ending_run(struct mb_heap *h, int status) {
  struct mb_ending *e = &h->node->ending;
  struct mb_end_watch *w;
  if (e->begun || !has_functions(e)) return;
  e->begun = 1;
  w = mb_ending_watch(most_ms(e, 0) + PATIENCE_MS, status == MB_STATUS_UNKNOWN ? EXIT_FAILURE : status);
  if (begin(h, status, 0)) (void)mb_scheduler_run(h->scheduler, NULL);
  mb_ending_unwatch(w); /* the program may live on when a state has been closed */
}

void mb_ending_script(struct mb_heap *h) {
  struct mb_ending *e = &h->node->ending;
  if (e->begun) return; /* by a signal, or by os.exit: it is not the script's end that is awaited */
  if (has_functions(e))
    mb_scheduler_notice(h->scheduler);
  else
    mb_scheduler_stop(h->scheduler);
}

void mb_ending_on_exit(struct mb_heap *h, const struct mb_process *p) {
  struct mb_ending *e = &h->node->ending;
  if (h->scheduler->id != 0 || !e->process || e->process != mb_pid_of(p)) return; /* it lives there, and is that one's */
  e->process = 0;
  mb_scheduler_stop(h->scheduler);
}

/* By a signal and by os.exit */

/* What is to be done first is done between two processes; otherwise nothing waits for those that cannot be interrupted. */
static void tell_first(struct mb_node *n, int something) {
  struct mb_scheduler *s = &n->runtime.schedulers[0];
  if (something)
    mb_scheduler_notice(s);
  else
    mb_scheduler_stop(s);
}

unsigned mb_ending_signal(struct mb_node *n, int number) {
  struct mb_ending *e = &n->ending;
  unsigned ms = most_ms(e, 1);
  atomic_store(&e->signal, number);
  tell_first(n, ms > 0);
  return (ms + 2 * PATIENCE_MS - 1) / 1000;
}

int mb_ending_calls(const struct mb_node *n, const struct mb_process *p) {
  return p && p->parent && p->parent == atomic_load_explicit(&n->ending.process, memory_order_relaxed);
}

void mb_node_exit(struct mb_node *n, int status, enum mb_node_end how, int at_once) {
  struct mb_ending *e = &n->ending;
  int not_yet = MB_NODE_RUNS, first = !e->begun;
  if (!atomic_compare_exchange_strong(&e->how, &not_yet, (int)how)) {
    if (!at_once) return;
    atomic_store(&e->status, status);
    tell_first(n, 0);
    return;
  }
  atomic_store(&e->status, status);
  (void)mb_ending_watch((first ? most_ms(e, 0) : 0) + PATIENCE_MS, status);
  tell_first(n, first && has_functions(e));
}

/* p, whose frames are in the way, is dead to everybody, and stays where it is. */
static void leave_frames(struct mb_scheduler *s, struct mb_process *p) {
  if (p && p->state != MB_EXITING) {
    mb_process_exit(s, p, s->runtime->killed);
    mb_queue_remove(&s->dying, p);
    s->closing++;
  }
}

_Noreturn void mb_node_leave(struct mb_node *n, struct mb_scheduler *s, int status) {
  struct mb_heap *h = s->heap;
  int something;
  while (h->configuring) mb_configure_end(h);
  something = has_functions(&n->ending) && !n->ending.begun && !mb_outside(h, h->L);
  mb_node_exit(n, status, MB_NODE_LEAVES, mb_ending_calls(n, s->current));
  if (something) { /* which may be done by processes of this scheduler's: they run on top of this one's frames */
    mb_preempt_leave(h);
    leave_frames(s, s->current);
    leave_frames(s, s->suspended_below);
    s->suspended_below = s->current = NULL;
    h->closing = h->leaving = h->unyieldable = h->resetting = h->uninterruptible = h->encoding = 0;
    (void)mb_scheduler_run(s, NULL);
  }
  if (s->id != 0) mb_node_retire(n, s); /* the first scheduler, which has been told, ends the program */
  (void)mb_node_stop(n);
  mb_exit_now(status);
}

/* For Lua */

/* at_exit(fn) */
static int at_exit(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_ending *e = &h->node->ending;
  struct mb_signal *s;
  (void)mb_current(h, L);
  if (!lua_isfunction(L, 1)) return mb_bad_type(h, L, "at_exit", 1, "function", 1);
  lua_settop(L, 1);
  s = mb_encode_signal(h, L, 1, 1, "at_exit", MB_MESSAGE);
  pthread_mutex_lock(&e->mutex);
  s->next = e->functions;
  atomic_store(&e->functions, s);
  pthread_mutex_unlock(&e->mutex);
  mb_ticker_start(h->runtime); /* by it the script is left that computes where Lua cannot yield */
  lua_pushboolean(L, 1);
  return 1;
}

static int decode(lua_State *L) {
  const struct mb_signal *s = lua_touserdata(L, 2);
  return mb_decode(lua_touserdata(L, 1), L, s->data);
}

/* take_exit_function() -> the last one that was given and has not been taken: true, fn | false, message; nil: none is left */
static int take_exit_function(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_ending *e = &h->node->ending;
  struct mb_signal *s;
  int status;
  pthread_mutex_lock(&e->mutex);
  s = e->functions;
  if (s) atomic_store(&e->functions, s->next);
  pthread_mutex_unlock(&e->mutex);
  if (!s) return 0;
  lua_settop(L, 0);
  lua_pushcfunction(L, decode);
  lua_pushlightuserdata(L, h);
  lua_pushlightuserdata(L, s);
  status = lua_pcall(L, 2, 1, 0);
  mb_signal_free(s);
  lua_pushboolean(L, status == LUA_OK);
  lua_insert(L, 1);
  return 2;
}

/* Forget the roots that have ended. Under the mutex. */
static void sweep_roots(struct mb_runtime *rt, struct mb_ending *e) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < e->count; i++)
    if (mb_process_table_lookup(&rt->table, e->roots[i])) e->roots[kept++] = e->roots[i];
  e->count = kept;
}

/* enter_supervisor(): the calling process is one. What it starts is supervised. */
static int enter_supervisor(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  struct mb_ending *e = &h->node->ending;
  int ok = 1;
  p->private_flags |= MB_PRIVATE_SUPERVISOR;
  if (p->private_flags & MB_PRIVATE_SUPERVISED) return 0;
  pthread_mutex_lock(&e->mutex);
  if (e->count == e->capacity) sweep_roots(h->runtime, e);
  if (e->count * 2 >= e->capacity) {
    uint32_t capacity = e->capacity ? e->capacity * 2 : 8;
    mb_pid *roots = realloc(e->roots, capacity * sizeof *roots);
    ok = roots != NULL;
    if (ok) {
      e->roots = roots;
      e->capacity = capacity;
    }
  }
  if (ok) e->roots[e->count++] = mb_pid_of(p);
  pthread_mutex_unlock(&e->mutex);
  return ok ? 0 : luaL_error(L, "not enough memory");
}

/* root_supervisors() -> those that no supervisor supervises, in the order of their start */
static int root_supervisors(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_ending *e = &h->node->ending;
  uint32_t room = atomic_load(&e->count), count;
  mb_pid *roots = lua_newuserdatauv(L, room * sizeof *roots, 0);
  pthread_mutex_lock(&e->mutex);
  sweep_roots(h->runtime, e);
  count = e->count < room ? e->count : room;
  if (count) memcpy(roots, e->roots, count * sizeof *roots);
  pthread_mutex_unlock(&e->mutex);
  lua_createtable(L, (int)count, 0);
  for (uint32_t i = 0; i < count; i++) {
    mb_push_id(L, roots[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

void mb_open_ending(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"at_exit", at_exit},
                                       {"take_exit_function", take_exit_function},
                                       {"enter_supervisor", enter_supervisor},
                                       {"root_supervisors", root_supervisors},
                                       {NULL, NULL}};
  mb_set_functions(h, L, functions);
}
