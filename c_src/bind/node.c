#include "bind/node.h"

#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "code/c_modules.h"
#include "code/paths.h"
#include "core/end_watch.h"
#include "core/error.h"
#include "core/status_line.h"
#include "heap/heap.h"
#include "heap/hook.h"
#include "heap/outside.h"
#include "heap/settings.h"
#include "io/blocking.h"
#include "replica/replica.h"

enum {
  PATIENCE_MS = 1000, /* for threads that are to end */
  STACK_SIZE = 8 * 1024 * 1024 /* of a thread: Lua's C functions may nest 200 deep */
};

struct worker {
  struct mb_node *node;
  struct mb_scheduler *scheduler;
  uv_thread_t thread;
  lua_State *L;
  void *data; /* of the setup's */
};

struct mb_workers {
  uv_mutex_t ending;     /* guards `running` and `left`; partner: a thread's last act */
  uv_cond_t ended;
  unsigned running;
  uint32_t count;
  struct worker *list;
};

/* Settings */

uint32_t mb_node_schedulers(uint32_t otherwise) {
  int64_t n = mb_setting(MB_SET_SCHEDULERS, otherwise);
  if (n < 1) n = (int64_t)uv_available_parallelism();
  return n > MB_MAX_SCHEDULERS ? MB_MAX_SCHEDULERS : (uint32_t)n;
}

/* Workers */

/* (node, scheduler) */
static int prepare(lua_State *L) {
  struct mb_node *n = lua_touserdata(L, 1);
  struct mb_heap *h;
  luaL_openlibs(L);
  n->setup.attach(L, n, lua_touserdata(L, 2));
  mb_paths_use(&n->paths, L);
  lua_pushcfunction(L, n->setup.prepare);
  lua_call(L, 0, 0);
  h = mb_heap_find(L);
  h->has_c_modules = 0; /* the runtime's own is none of those that may keep the state */
  mb_hook_attend(h);
  mb_replica_begin(h, L);
  return 0;
}

/* A Lua state with a heap of its own, on s, and with the library; what close_state needs besides is in *data. NULL when
 * it cannot be made, which is said: `what` of the scheduler that is. The thread whose the state is from now on. */
static lua_State *make_state(struct mb_scheduler *s, void **data, const char *what) {
  struct mb_node *n = mb_node_of(s);
  lua_State *L = n->setup.new_state(data);
  if (L) {
    lua_pushcfunction(L, prepare);
    lua_pushlightuserdata(L, n);
    lua_pushlightuserdata(L, s);
    if (lua_pcall(L, 2, 0, 0) == LUA_OK) return L;
  }
  if (what)
    fprintf(stderr, "moonbeam: scheduler %d cannot %s: %s\n", (int)s->id + 1, what,
            L ? lua_tostring(L, -1) : "not enough memory");
  if (L) n->setup.close_state(L, *data);
  return NULL;
}

static lua_State *new_state(struct mb_scheduler *s, void **data) { return make_state(s, data, "start"); }

/* The loop of a scheduler that runs nothing any more is emptied of what its heaps have there: luv's handles and
 * requests are the states'. */
static void settle(struct mb_scheduler *s) {
  for (struct mb_heap *h = mb_scheduler_heap(s); h; h = h->next) {
    h->state_closes = 1;
    mb_io_settle(h->io);
  }
  mb_scheduler_empty_loop(s);
}

/* Close all heaps of a settled scheduler but the first. */
static void close_others(struct mb_scheduler *s) {
  struct mb_heap *h, *first = mb_scheduler_heap(s);
  while ((h = first->next)) mb_node_of(s)->setup.close_state(h->L, h->state_data);
}

static void close_state(struct mb_scheduler *s, lua_State *L, void *data) {
  settle(s);
  close_others(s);
  mb_node_of(s)->setup.close_state(L, data);
}

/* Further heaps */

struct mb_heap *mb_node_open_heap(struct mb_scheduler *s) {
  struct mb_heaps *all = s->above;
  struct mb_process *current = s->current;
  void *data;
  lua_State *L;
  s->current = NULL; /* it is none of theirs */
  L = make_state(s, &data, all->told ? NULL : "have another Lua state for processes");
  s->current = current;
  if (!L) {
    all->told = 1;
    return NULL;
  }
  all->newest->state_data = data;
  return all->newest;
}

/* Whether nothing is left of a heap but its state. C libraries may keep that. */
static int may_close(struct mb_heap *h) {
  if (h->processes || h == h->heaps->first || h->has_c_modules || h->configuring) return 0;
  if (mb_io_is_used(h->io)) (void)lua_gc(h->L, LUA_GCCOLLECT); /* userdata of what has been closed */
  return !mb_io_is_used(h->io);
}

void mb_node_close_heaps(struct mb_scheduler *s, struct mb_posted *posted) {
  struct mb_heaps *all = s->above;
  struct mb_process *current = s->current;
  struct mb_heap *h = all->first;
  all->closes = 0;
  if (all->empty <= MB_HEAPS_SPARE) return;
  s->current = NULL; /* finalizers are run for nobody */
  while (h && !may_close(h)) h = h->next;
  if (h) {
    if (h->ran) mb_replicate(h, h->L, MB_REPLICATE_CONTENTS);
    all->empty--;
    mb_node_of(s)->setup.close_state(h->L, h->state_data);
    if (all->empty > MB_HEAPS_SPARE) {
      all->closes = 1; /* one at a time: others wait */
      mb_post(s, posted);
    }
  }
  s->current = current;
}

static void retire(struct mb_workers *all, struct mb_scheduler *s) {
  mb_scheduler_kill_all(s);
  mb_ticker_detach(s);
  uv_mutex_lock(&all->ending);
  all->running--;
  uv_cond_signal(&all->ended);
  uv_mutex_unlock(&all->ending);
}

_Noreturn void mb_node_retire(struct mb_heap *h) {
  if (h->blocking) mb_pool_retire(h);
  retire(h->node->workers, h->scheduler);
  pthread_exit(NULL);
}

static void work(void *data) {
  struct worker *w = data;
  struct mb_workers *all = w->node->workers;
  w->L = new_state(w->scheduler, &w->data);
  if (!w->L) abort(); /* it may have been given processes */
  (void)mb_unparked(w->scheduler);
  (void)mb_scheduler_run(w->scheduler, NULL);
  retire(all, w->scheduler);
}

void mb_node_start(struct mb_scheduler *s) {
  struct mb_node *n = mb_node_of(s);
  struct mb_workers *all = n->workers;
  uint32_t count = n->runtime.scheduler_count - 1, made = 0;
  uv_thread_options_t options = {.flags = UV_THREAD_HAS_STACK_SIZE, .stack_size = STACK_SIZE};
  all->list = calloc(count, sizeof *all->list);
  if (!all->list || mb_runtime_start(&n->runtime) != 0) {
    free(all->list);
    all->list = NULL;
    n->runtime.scheduler_count = 1; /* only this thread reads it so far: the others have not started */
    return;
  }
  atomic_fetch_add_explicit(&n->publications.heaps, 1, memory_order_relaxed); /* before they are open they may be sent
                                                                                 to: see mb_replicate_to */
  all->running = count;
  for (uint32_t i = 0; i < count; i++) {
    all->list[i] = (struct worker){.node = n, .scheduler = &n->runtime.schedulers[i + 1]};
    if (uv_thread_create_ex(&all->list[i].thread, &options, work, &all->list[i]) != 0) break;
    made++;
  }
  all->count = made;
  if (made < count) {
    uv_mutex_lock(&all->ending);
    all->running -= count - made;
    uv_mutex_unlock(&all->ending);
    fprintf(stderr, "moonbeam: only %d of %d schedulers could be started\n", (int)made + 1, (int)count + 1);
    atomic_fetch_sub(&n->runtime.could_wake, (int)(count - made));
  }
}

struct mb_node *mb_node_new(uint32_t limit, uint32_t schedulers, const struct mb_upcalls *upcalls,
                            const struct mb_node_setup *setup) {
  struct mb_node *n = calloc(1, sizeof *n);
  struct mb_workers *all = calloc(1, sizeof *all);
  static const struct mb_pool_states pool_states = {new_state, close_state};
  if (n) n->pool = mb_pool_new(&n->runtime, &pool_states);
  if (!n || !all || !n->pool || mb_log_init(&n->log) != 0 ||
      mb_runtime_init(&n->runtime, upcalls, limit, schedulers) != 0) {
    if (n) mb_log_deinit(&n->log);
    if (n) mb_pool_free(n->pool);
    free(all);
    free(n);
    return NULL;
  }
  mb_ending_init(&n->ending, &n->runtime);
  n->workers = all;
  mb_publications_init(&n->publications);
  n->setup = *setup;
  mb_opening_init(&n->opening);
  uv_mutex_init(&all->ending);
  uv_cond_init(&all->ended);
  return n;
}

int mb_node_stop(struct mb_node *n) {
  struct mb_workers *all = n->workers;
  uint64_t until = mb_clock_system() + PATIENCE_MS * 1000000ull, now;
  unsigned running;
  atomic_store(&n->log.ending, 1);
  (void)mb_pool_stop(n->pool, 0);
  for (uint32_t i = 0; i < all->count; i++) mb_scheduler_stop(all->list[i].scheduler);
  mb_scheduler_kill_all(&n->runtime.schedulers[0]);
  uv_mutex_lock(&all->ending);
  while (all->running && (now = mb_clock_system()) < until) uv_cond_timedwait(&all->ended, &all->ending, until - now);
  running = all->running;
  uv_mutex_unlock(&all->ending);
  if (mb_pool_stop(n->pool, until) != 0 || running) {
    (void)mb_writer_drain(n->log.writer);
    return -1;
  }
  for (uint32_t i = 0; i < all->count; i++) uv_thread_join(&all->list[i].thread);
  for (uint32_t i = 0; i <= all->count; i++) /* what was on its way to a scheduler that had ended */
    mb_scheduler_kill_all(&n->runtime.schedulers[i]);
  if (atomic_load(&n->ending.how) == MB_NODE_LEAVES) return 0;
  for (uint32_t i = 0; i < all->count; i++) close_state(all->list[i].scheduler, all->list[i].L, all->list[i].data);
  if (mb_scheduler_heap(&n->runtime.schedulers[0])->next) {
    settle(&n->runtime.schedulers[0]);
    close_others(&n->runtime.schedulers[0]);
  }
  return 0;
}

void mb_node_free(struct mb_node *n) {
  struct mb_workers *all = n->workers;
  mb_status_line_end(&n->runtime.table);
  mb_log_deinit(&n->log);
  mb_publications_deinit(&n->publications);
  mb_ending_deinit(&n->ending);
  mb_pool_free(n->pool);
  mb_runtime_deinit(&n->runtime);
  mb_opening_deinit(&n->opening);
  uv_mutex_destroy(&all->ending);
  uv_cond_destroy(&all->ended);
  free(all->list);
  free(all);
  mb_paths_deinit(&n->paths);
  free(n);
}

/* The end from inside of a process */

/* p, whose frames are in the way, is dead to everybody, and stays where it is. */
static void leave_frames(struct mb_scheduler *s, struct mb_process *p) {
  if (p && p->state != MB_EXITING) {
    mb_process_exit(s, p, s->runtime->killed);
    mb_queue_remove(&s->dying, p);
    s->closing++;
  }
}

_Noreturn void mb_node_leave(struct mb_heap *h, int status) {
  struct mb_scheduler *s = h->scheduler;
  struct mb_node *n = h->node;
  int something;
  while (h->configuring) mb_configure_end(h);
  something = mb_ending_has_functions(&n->ending) && !n->ending.begun && !mb_outside(h, h->L);
  mb_ending_exit(&n->ending, status, MB_NODE_LEAVES, mb_ending_calls(&n->ending, s->current));
  if (something) { /* which may be done by processes of this scheduler's: they run on top of this one's frames */
    mb_hook_leave(h);
    leave_frames(s, s->current);
    leave_frames(s, s->suspended_below);
    s->suspended_below = s->current = NULL;
    h->closing = h->leaving = h->unyieldable = h->resetting = h->uninterruptible = h->encoding = 0;
    (void)mb_scheduler_run(s, NULL);
  }
  if (s->id != 0) mb_node_retire(h); /* the first scheduler, which has been told, ends the program */
  (void)mb_node_stop(n);
  mb_exit_now(status);
}
