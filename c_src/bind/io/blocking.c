#include "io/blocking.h"

#include <stdlib.h>

#include "code/adopt.h"
#include "codec/codec.h"
#include "heap/arguments.h"
#include "heap/errors.h"
#include "heap/hook.h"
#include "heap/outside.h"
#include "heap/settings.h"
#include "process/answer.h"
#include "process/read_message.h"
#include "process/wait.h"
#include "replica/replica.h"

enum {
  LEAST_THREADS = 4,
  MOST_THREADS = MB_MOST_BLOCKING_THREADS, /* each has a number of its own among schedulers, for references */
  IDLE_MS = 10000,      /* a thread that has had nothing to do for so long ends */
  STACK_SIZE = 8 * 1024 * 1024
};

struct mb_pool_thread {
  struct mb_pool_thread *next; /* under the mutex */
  struct mb_pool *pool;
  uv_thread_t thread;
  unsigned number;
  int ended; /* under the mutex: to be joined */
  int left;  /* likewise: its state stays as it is, since what it ran has ended the program */
  /* Its own thread's. */
  lua_State *L; /* NULL: it could not be made */
  void *data; /* of the setup's */
  struct mb_heap *heap;
  struct mb_signal *job; /* that it runs */
  struct mb_scheduler scheduler;
  struct mb_process self; /* current there: nobody's pid */
};

/* A job is a signal: `from` waits for the reply to `ref`. */
struct mb_pool {
  struct mb_runtime *runtime;
  const struct mb_pool_states *states;
  unsigned limit;
  uint64_t idle_ns;
  uv_mutex_t mutex; /* partners: whoever calls mb.blocking, and the pool's threads. The rest is under it */
  uv_cond_t work, ended;
  struct mb_signal *first, **last;
  struct mb_pool_thread *all;
  unsigned queued, busy, threads;
  unsigned alive;  /* threads that have not ended: `threads`, and those that close their states */
  int stops;
  unsigned char taken[MOST_THREADS];   /* numbers that are in use */
  uint64_t references[MOST_THREADS];   /* that have been given out under each */
};

struct mb_pool *mb_pool_new(struct mb_runtime *rt, const struct mb_pool_states *states) {
  struct mb_pool *pool = calloc(1, sizeof *pool);
  unsigned cores = uv_available_parallelism(), limit = cores > LEAST_THREADS ? cores : LEAST_THREADS;
  if (!pool) return NULL;
  pool->runtime = rt;
  pool->states = states;
  pool->last = &pool->first;
  limit = (unsigned)mb_setting(MB_SET_BLOCKING_THREADS, limit);
  pool->limit = limit < MOST_THREADS ? limit : MOST_THREADS;
  pool->idle_ns = (uint64_t)mb_setting(MB_SET_BLOCKING_IDLE, IDLE_MS) * 1000000u;
  uv_mutex_init(&pool->mutex);
  uv_cond_init(&pool->work);
  uv_cond_init(&pool->ended);
  return pool;
}

void mb_pool_count(struct mb_pool *pool, struct mb_pool_counts *out) {
  uv_mutex_lock(&pool->mutex);
  *out = (struct mb_pool_counts){pool->limit, pool->threads, pool->busy, pool->queued};
  uv_mutex_unlock(&pool->mutex);
}

/* On a thread of the pool */

/* The error is a text: add where it came from. */
static int with_traceback(lua_State *L) {
  if (lua_type(L, 1) == LUA_TSTRING) {
    lua_pushfstring(L, "%s\non a thread of blocking", lua_tostring(L, 1));
    luaL_traceback(L, L, lua_tostring(L, -1), 1);
  }
  return 1;
}

/* Each job has the standard default files at first: what one has set is its own. */
static void use_standard_files(struct mb_heap *h, lua_State *L) {
  mb_push_ref(h, L, MB_REF_STANDARD_FILES);
  lua_rawgeti(L, -1, 1);
  lua_setfield(L, LUA_REGISTRYINDEX, "_IO_input");
  lua_rawgeti(L, -1, 2);
  lua_setfield(L, LUA_REGISTRYINDEX, "_IO_output");
  lua_pop(L, 1);
}

/* (heap, job) -> the reply, true and the results of the job's function */
static int run_job(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  const struct mb_signal *job = lua_touserdata(L, 2);
  int n;
  lua_settop(L, 0);
  lua_pushboolean(L, 1);
  use_standard_files(h, L);
  mb_replica_refresh(h, L);
  n = mb_decode(h, L, job->data);
  lua_call(L, n - 1, LUA_MULTRET);
  lua_pushlightuserdata(L, mb_encode_signal(h, L, 1, lua_gettop(L), "return from blocking", MB_REPLY));
  return 1;
}

/* (heap, value) -> the reply, false and what was raised */
static int encode_error(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  lua_pushboolean(L, 0);
  lua_replace(L, 1);
  lua_pushlightuserdata(L, mb_encode_signal(h, L, 1, 2, "raise from blocking", MB_REPLY));
  return 1;
}

/* (value) -> its text */
static int to_text(lua_State *L) {
  luaL_tolstring(L, 1, NULL);
  return 1;
}

/* The reply to a job that has raised the value on the top of the stack; NULL when memory is out. */
static struct mb_signal *error_reply(struct mb_heap *h, lua_State *L) {
  int value = lua_gettop(L);
  for (int tries = 0; tries < 2; tries++) {
    lua_pushcfunction(L, encode_error);
    lua_pushlightuserdata(L, h);
    lua_pushvalue(L, value);
    if (lua_pcall(L, 2, 1, 0) == LUA_OK) return lua_touserdata(L, -1);
    lua_settop(L, value); /* what was raised cannot travel: its text does */
    lua_pushcfunction(L, to_text);
    lua_insert(L, value);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK) break;
  }
  return NULL;
}

/* The reply to a job, which goes. */
static struct mb_signal *reply_to(struct mb_heap *h, lua_State *L, struct mb_signal *job) {
  struct mb_signal *reply;
  h->encoding = 0;
  lua_settop(L, 0);
  mb_hook_enter(h, L);
  lua_pushcfunction(L, with_traceback);
  lua_pushcfunction(L, run_job);
  lua_pushlightuserdata(L, h);
  lua_pushlightuserdata(L, job);
  reply = lua_pcall(L, 2, 1, 1) == LUA_OK ? lua_touserdata(L, -1) : error_reply(h, L);
  mb_hook_leave(h);
  lua_settop(L, 0);
  if (!reply) return NULL;
  reply->from = job->from;
  reply->ref = job->ref;
  mb_signal_free(job);
  return reply;
}

/* A job is done, by this reply to its caller; NULL: the caller is gone. */
static void answer(struct mb_pool *pool, struct mb_signal *reply) {
  if (reply) {
    mb_pid to = reply->from;
    reply->from = mb_pid_make(0, 0);
    mb_signal_post(pool->runtime, to, reply);
  }
  mb_waker_remove(pool->runtime);
}

/* Do a job, which is taken over: the reply, NULL when nobody waits for it. */
static struct mb_signal *run(struct mb_pool_thread *w, struct mb_signal *job) {
  struct mb_signal *reply = NULL;
  if (!mb_process_table_lookup(&w->pool->runtime->table, job->from)) { /* it has been killed meanwhile */
    mb_signal_free(job);
    return NULL;
  }
  if (w->L) reply = reply_to(w->heap, w->L, job);
  if (reply) return reply;
  job->kind = MB_REPLY; /* memory is out: no values at all, which every job has room for */
  for (int i = 0; i < MB_ENCODED_HEADER; i++) job->data[i] = 0;
  return job;
}

static void open_state(struct mb_pool_thread *w) {
  struct mb_heap *h;
  w->L = w->pool->states->open(&w->scheduler, &w->data);
  if (!w->L) return;
  h = w->heap = mb_scheduler_heap(&w->scheduler);
  h->blocking = w;
  (void)mb_outside_begin(h, MB_BY_BLOCKING); /* for good */
  w->self.state = MB_RUNNING;
  w->self.flags = MB_IN_PLACE;
  w->scheduler.current = &w->self;
  w->scheduler.reduction_limit = UINT64_MAX;
  mb_slice_renew(&w->scheduler);
}

static void close_state(struct mb_pool_thread *w) {
  if (w->L) w->pool->states->close(&w->scheduler, w->L, w->data);
  w->L = NULL;
  mb_scheduler_deinit(&w->scheduler);
}

/* The thread does not take jobs any more. Under the mutex. */
static void leave(struct mb_pool *pool, struct mb_pool_thread *w) {
  pool->threads--;
  pool->taken[w->number] = 0;
  pool->references[w->number] = w->scheduler.references;
}

/* Its last act. */
static void end(struct mb_pool *pool, struct mb_pool_thread *w) {
  uv_mutex_lock(&pool->mutex);
  w->ended = 1;
  pool->alive--;
  uv_cond_signal(&pool->ended);
  uv_mutex_unlock(&pool->mutex);
}

static void work(void *data) {
  struct mb_pool_thread *w = data;
  struct mb_pool *pool = w->pool;
  open_state(w);
  uv_mutex_lock(&pool->mutex);
  for (;;) {
    struct mb_signal *job;
    int late = 0;
    while (!pool->first && !pool->stops && !late)
      late = uv_cond_timedwait(&pool->work, &pool->mutex, pool->idle_ns) != 0;
    job = pool->first;
    if (!job || pool->stops) break;
    pool->first = job->next;
    if (!pool->first) pool->last = &pool->first;
    pool->queued--;
    pool->busy++;
    uv_mutex_unlock(&pool->mutex);
    w->job = job;
    job = run(w, job);
    w->job = NULL;
    uv_mutex_lock(&pool->mutex);
    pool->busy--; /* before the caller hears of it */
    uv_mutex_unlock(&pool->mutex);
    answer(pool, job);
    uv_mutex_lock(&pool->mutex);
  }
  leave(pool, w);
  uv_mutex_unlock(&pool->mutex);
  close_state(w);
  end(pool, w);
}

_Noreturn void mb_pool_retire(struct mb_heap *h) {
  struct mb_pool_thread *w = h->blocking;
  struct mb_pool *pool = w->pool;
  uv_mutex_lock(&pool->mutex);
  pool->busy--;
  w->left = 1;
  leave(pool, w);
  uv_mutex_unlock(&pool->mutex);
  end(pool, w);
  pthread_exit(NULL);
}

/* Threads come and go */

/* Join those that have ended. Under the mutex: they do not take it any more. */
static void join_ended(struct mb_pool *pool) {
  for (struct mb_pool_thread **at = &pool->all; *at;) {
    struct mb_pool_thread *w = *at;
    if (!w->ended) {
      at = &w->next;
      continue;
    }
    uv_thread_join(&w->thread);
    if (w->left) {
      w->ended = 0;
      at = &w->next;
      continue;
    }
    *at = w->next;
    free(w);
  }
}

/* Under the mutex. Whether there is one thread more. */
static int add_thread(struct mb_pool *pool) {
  uv_thread_options_t options = {.flags = UV_THREAD_HAS_STACK_SIZE, .stack_size = STACK_SIZE};
  struct mb_pool_thread *w;
  unsigned number = 0;
  join_ended(pool);
  while (number < MOST_THREADS && pool->taken[number]) number++;
  w = number < MOST_THREADS ? calloc(1, sizeof *w) : NULL;
  if (!w) return 0;
  w->pool = pool;
  w->number = number;
  if (mb_scheduler_init(&w->scheduler, pool->runtime, MB_MAX_SCHEDULERS - 1 - number) != 0) {
    free(w);
    return 0;
  }
  w->scheduler.references = pool->references[number];
  if (uv_thread_create_ex(&w->thread, &options, work, w) != 0) {
    mb_scheduler_deinit(&w->scheduler);
    free(w);
    return 0;
  }
  pool->taken[number] = 1;
  w->next = pool->all;
  pool->all = w;
  pool->threads++;
  pool->alive++;
  return 1;
}

/* The job is taken over. 0, or -1 with nothing done: there is no thread. When the program ends nobody waits for an
 * answer. */
static int submit(struct mb_pool *pool, struct mb_signal *job) {
  int ok = 1;
  job->next = NULL;
  uv_mutex_lock(&pool->mutex);
  if (!pool->stops && pool->threads - pool->busy <= pool->queued && pool->threads < pool->limit)
    ok = add_thread(pool) || pool->threads > 0;
  if (pool->stops) {
    mb_signal_free(job);
  } else if (ok) {
    *pool->last = job;
    pool->last = &job->next;
    pool->queued++;
    mb_waker_add(pool->runtime);
    uv_cond_signal(&pool->work);
  }
  uv_mutex_unlock(&pool->mutex);
  return ok ? 0 : -1;
}

int mb_pool_stop(struct mb_pool *pool, uint64_t until) {
  uint64_t now;
  unsigned alive;
  uv_mutex_lock(&pool->mutex);
  pool->stops = 1;
  uv_cond_broadcast(&pool->work);
  while (pool->alive && (now = mb_clock_system()) < until) uv_cond_timedwait(&pool->ended, &pool->mutex, until - now);
  alive = pool->alive;
  if (!alive) join_ended(pool);
  while (pool->first) {
    struct mb_signal *job = pool->first;
    pool->first = job->next;
    mb_signal_free(job);
  }
  pool->last = &pool->first;
  pool->queued = 0;
  uv_mutex_unlock(&pool->mutex);
  return alive ? -1 : 0;
}

void mb_pool_free(struct mb_pool *pool) {
  if (!pool) return;
  uv_cond_destroy(&pool->work);
  uv_cond_destroy(&pool->ended);
  uv_mutex_destroy(&pool->mutex);
  free(pool);
}

/* The caller */

/* blocking(fn, ...) -> its results */
static int blocking(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  struct mb_signal *job;
  mb_ref ref = 0;
  mb_check_takes(h, L);
  mb_check_function(h, L, "blocking");
  if (!mb_can_wait(h, L)) mb_cannot_wait(h, L, p);
  mb_replicate(h, L, MB_REPLICATE_NAMES);
  mb_given_to(h, "blocking", MB_GIVEN_ITSELF, 1);
  job = mb_encode_signal(h, L, 1, lua_gettop(L), "call blocking", MB_CALL);
  mb_given_to_nobody(h);
  job->from = mb_pid_of(p);
  if (mb_alias(h->scheduler, p, &ref) != 0) {
    mb_signal_free(job);
    return mb_no_memory(L);
  }
  job->ref = ref;
  if (submit(h->pool, job) != 0) {
    mb_signal_free(job);
    mb_flush_ref(h, p, ref);
    return mb_raise(h, L, "blocking: no thread can be started");
  }
  return mb_wait_for_answer(L, p, ref, MB_ANSWER_OUTCOME);
}

void mb_open_blocking(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"blocking", blocking}, {NULL, NULL}};
  mb_set_functions(h, L, functions);
}
