#include "bind/node.h"

#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bind/open.h"
#include "core/error.h"
#include "heap/heap.h"
#include "process/run.h"

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
  pthread_mutex_t mutex; /* recursive: a C module may require another. Partner: every heap's thread */
  uv_mutex_t ending;     /* guards `running` and `left`; partner: a thread's last act */
  uv_cond_t ended;
  unsigned running;
  uint32_t count;
  struct worker *list;
};

/* Settings */

uint32_t mb_node_schedulers(uint32_t otherwise) {
  const char *asked = getenv("MOONBEAM_SCHEDULERS");
  long n = asked ? strtol(asked, NULL, 10) : 0;
  if (n < 1) n = (long)otherwise;
  if (n < 1) n = (long)uv_available_parallelism();
  return n > MB_MAX_SCHEDULERS ? MB_MAX_SCHEDULERS : (uint32_t)n;
}

/* Without a host: states as luaL_newstate makes them. */

static lua_State *plain_new_state(void **data) {
  *data = NULL;
  return luaL_newstate();
}

static void plain_close_state(lua_State *L, void *data) {
  (void)data;
  lua_close(L);
}

static int plain_prepare(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, luaopen_moonbeam_core);
  lua_setfield(L, -2, "moonbeam.core");
  lua_getglobal(L, "require");
  lua_pushliteral(L, "moonbeam");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "import");
  lua_call(L, 0, 0);
  return 0;
}

/* Workers */

static const char *const package_paths[] = {"path", "cpath"};

/* Push the table `package`; 0 and nothing pushed when there is no such table. */
static int push_package(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushliteral(L, "package");
  lua_rawget(L, -2);
  lua_remove(L, -2);
  if (lua_istable(L, -1)) return 1;
  lua_pop(L, 1);
  return 0;
}

void mb_node_note_paths(struct mb_node *n, lua_State *L) {
  if (!push_package(L)) return;
  for (int i = 0; i < 2; i++) {
    lua_pushstring(L, package_paths[i]);
    lua_rawget(L, -2);
    if (lua_type(L, -1) == LUA_TSTRING) n->paths[i] = strdup(lua_tostring(L, -1));
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

/* The library is found there, too; what the program has changed comes with replica.h. */
static void use_paths(const struct mb_node *n, lua_State *L) {
  if (!push_package(L)) return;
  for (int i = 0; i < 2; i++) {
    if (!n->paths[i]) continue;
    lua_pushstring(L, n->paths[i]);
    lua_setfield(L, -2, package_paths[i]);
  }
  lua_pop(L, 1);
}

static int prepare(lua_State *L) {
  struct worker *w = lua_touserdata(L, 1);
  luaL_openlibs(L);
  (void)mb_heap_attach(L, w->node, w->scheduler);
  use_paths(w->node, L);
  lua_pushcfunction(L, w->node->setup.prepare);
  lua_call(L, 0, 0);
  return 0;
}

static void retire(struct mb_workers *all, struct mb_scheduler *s) {
  mb_scheduler_kill_all(s);
  mb_ticker_detach(s);
  uv_mutex_lock(&all->ending);
  all->running--;
  uv_cond_signal(&all->ended);
  uv_mutex_unlock(&all->ending);
}

_Noreturn void mb_node_retire(struct mb_node *n, struct mb_scheduler *s) {
  retire(n->workers, s);
  pthread_exit(NULL);
}

static void work(void *data) {
  struct worker *w = data;
  struct mb_workers *all = w->node->workers;
  int ok = 0;
  w->L = w->node->setup.new_state(&w->data);
  if (w->L) {
    lua_pushcfunction(w->L, prepare);
    lua_pushlightuserdata(w->L, w);
    ok = lua_pcall(w->L, 1, 0, 0) == LUA_OK;
  }
  if (!ok) {
    fprintf(stderr, "moonbeam: scheduler %d cannot start: %s\n", (int)w->scheduler->id + 1,
            w->L ? lua_tostring(w->L, -1) : "not enough memory");
    abort(); /* it may have been given processes */
  }
  (void)mb_unparked(w->scheduler);
  (void)mb_scheduler_run(w->scheduler, NULL);
  retire(all, w->scheduler);
}

void mb_node_start(struct mb_scheduler *s) {
  struct mb_node *n = ((struct mb_heap *)s->heap)->node;
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

struct mb_node *mb_node_new(uint32_t limit, uint32_t schedulers) {
  struct mb_node *n = calloc(1, sizeof *n);
  struct mb_workers *all = calloc(1, sizeof *all);
  pthread_mutexattr_t recursive;
  if (!n || !all || mb_log_init(&n->log) != 0 ||
      mb_runtime_init(&n->runtime, &mb_heap_upcalls, limit, schedulers) != 0) {
    if (n) mb_log_deinit(&n->log);
    free(all);
    free(n);
    return NULL;
  }
  mb_ending_init(&n->ending);
  n->workers = all;
  mb_publications_init(&n->publications);
  n->setup = (struct mb_node_setup){plain_new_state, plain_close_state, plain_prepare};
  pthread_mutexattr_init(&recursive);
  pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
  pthread_mutex_init(&all->mutex, &recursive);
  pthread_mutexattr_destroy(&recursive);
  uv_mutex_init(&all->ending);
  uv_cond_init(&all->ended);
  return n;
}

int mb_node_stop(struct mb_node *n) {
  struct mb_workers *all = n->workers;
  uint64_t until = uv_hrtime() + PATIENCE_MS * 1000000ull, now;
  unsigned running;
  atomic_store(&n->log.ending, 1);
  for (uint32_t i = 0; i < all->count; i++) mb_scheduler_stop(all->list[i].scheduler);
  mb_scheduler_kill_all(&n->runtime.schedulers[0]);
  uv_mutex_lock(&all->ending);
  while (all->running && (now = uv_hrtime()) < until) uv_cond_timedwait(&all->ended, &all->ending, until - now);
  running = all->running;
  uv_mutex_unlock(&all->ending);
  if (running) {
    (void)mb_writer_drain(n->log.writer);
    return -1;
  }
  for (uint32_t i = 0; i < all->count; i++) uv_thread_join(&all->list[i].thread);
  for (uint32_t i = 0; i <= all->count; i++) /* what was on its way to a scheduler that had ended */
    mb_scheduler_kill_all(&n->runtime.schedulers[i]);
  if (atomic_load(&n->ending.how) == MB_NODE_LEAVES) return 0;
  for (uint32_t i = 0; i < all->count; i++) {
    ((struct mb_heap *)all->list[i].scheduler->heap)->state_closes = 1;
    n->setup.close_state(all->list[i].L, all->list[i].data);
  }
  return 0;
}

void mb_node_free(struct mb_node *n) {
  struct mb_workers *all = n->workers;
  mb_log_deinit(&n->log);
  mb_publications_deinit(&n->publications);
  mb_ending_deinit(&n->ending);
  mb_runtime_deinit(&n->runtime);
  pthread_mutex_destroy(&all->mutex);
  uv_mutex_destroy(&all->ending);
  uv_cond_destroy(&all->ended);
  free(all->list);
  free(all);
  free(n->paths[0]);
  free(n->paths[1]);
  free(n);
}

void mb_node_lock_modules(struct mb_node *n) { pthread_mutex_lock(&n->workers->mutex); }

void mb_node_unlock_modules(struct mb_node *n) { pthread_mutex_unlock(&n->workers->mutex); }
