/* What the runtime's Lua files need of the machine below: errors at the user's line, counters, the
 * names every process finds. */
#include <dirent.h>
#include <string.h>
#include <unistd.h>

#include "api/api.h"
#include "code/environment.h"
#include "code/library.h"
#include "core/status_line.h"
#include "heap/arguments.h"
#include "heap/errors.h"
#include "io/blocking.h"
#include "log/log.h"
#include "process/cleanup.h"
#include "process/current.h"
#include "process/ending.h"
#include "process/long_slice.h"
#include "replica/replica.h"

static int called(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  return lua_gettop(L);
}

/* call_user(fn, ...) -> its results: how the library's functions call one of the user's in the caller's own process.
 * What that blames on its caller, as functions of C do and error("...", 2), has no line then, rather than one of the
 * library's. */
static int call_user(lua_State *L) {
  luaL_checkany(L, 1);
  lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, called);
  return called(L, LUA_OK, 0);
}

/* argument_error(function, index, message) */
static int argument_error(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  const char *function = luaL_checkstring(L, 1);
  int index = (int)luaL_checkinteger(L, 2);
  return mb_bad_argument(h, L, function, index, "%s", luaL_checkstring(L, 3));
}

/* short(text) -> as errors quote it */
static int short_text(lua_State *L) {
  mb_push_short(L, luaL_checkstring(L, 1));
  return 1;
}

/* raise_at_caller(message) */
static int raise_at_caller(lua_State *L) {
  return mb_raise(mb_heap_of(L), L, "%s", luaL_checkstring(L, 1));
}

/* name([ms]) -> the ms before */
static int setting(lua_State *L, const char *name, lua_Integer (*set)(struct mb_heap *h, lua_Integer ms)) {
  struct mb_heap *h = mb_heap_of(L);
  lua_Integer ms = -1;
  if (!lua_isnoneornil(L, 1)) {
    int ok;
    ms = lua_tointegerx(L, 1, &ok);
    if (!ok || ms < 0 || ms > 86400000) return mb_bad_argument(h, L, name, 1, "ms from 0 to 86400000 expected");
  }
  lua_pushinteger(L, set(h, ms));
  return 1;
}

/* Slices that last longer are reported; 0: none. */
static int long_schedule(lua_State *L) { return setting(L, "long_schedule", mb_long_schedule); }

/* So long may it take to stop supervisors at the end of the program, and to call the functions of at_exit. */
static int shutdown_timeout(lua_State *L) { return setting(L, "shutdown_timeout", mb_shutdown_timeout); }

/* So long may clean-up code of the dead run. */
static int cleanup_timeout(lua_State *L) { return setting(L, "cleanup_timeout", mb_cleanup_timeout); }

static void set_integer(lua_State *L, const char *field, int64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, field);
}

/* node_name() -> the name of this node, as it stands in {name, node} */
static int node_name(lua_State *L) {
  lua_pushstring(L, mb_node_name(mb_heap_of(L)->runtime));
  return 1;
}

/* census() -> {processes =, timers =, names =, aliases =, messages =, registries =, registrations =, blocking =, and
 * handles by kind: file =, watcher =, process =, signal =, tcp =, pipe =, udp =, listener =} */
static int census(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_runtime *rt = h->runtime;
  uint32_t started = atomic_load_explicit(&rt->started, memory_order_acquire); /* partner: mb_runtime_start */
  int64_t processes = 0, timers = 0, messages = 0;
  struct mb_pool_counts pool;
  (void)mb_caller(h, L);
  for (uint32_t i = 0; i < started; i++) {
    struct mb_scheduler *s = &rt->schedulers[i];
    processes += atomic_load_explicit(&s->live, memory_order_relaxed);
    timers += atomic_load_explicit(&s->receive_timers, memory_order_relaxed) +
              atomic_load_explicit(&s->delayed_count, memory_order_relaxed);
    messages += atomic_load_explicit(&s->messages, memory_order_relaxed);
  }
  processes -= mb_log_processes(h->log); /* they are the log's own */
  mb_pool_count(h->pool, &pool);
  lua_createtable(L, 0, 16);
  set_integer(L, "processes", processes);
  set_integer(L, "timers", timers);
  set_integer(L, "names", mb_holdings_count(rt, MB_HOLDING_NAME));
  set_integer(L, "aliases", mb_holdings_count(rt, MB_HOLDING_ALIAS));
  set_integer(L, "messages", messages);
  set_integer(L, "file", mb_holdings_count(rt, MB_HOLDING_FILE));
  set_integer(L, "watcher", mb_holdings_count(rt, MB_HOLDING_WATCHER));
  set_integer(L, "tcp", mb_holdings_count(rt, MB_HOLDING_TCP));
  set_integer(L, "pipe", mb_holdings_count(rt, MB_HOLDING_PIPE));
  set_integer(L, "udp", mb_holdings_count(rt, MB_HOLDING_UDP));
  set_integer(L, "listener", mb_holdings_count(rt, MB_HOLDING_LISTENER));
  set_integer(L, "registries", atomic_load_explicit(&rt->registries.registries, memory_order_relaxed));
  set_integer(L, "registrations", atomic_load_explicit(&rt->registries.registrations, memory_order_relaxed));
  set_integer(L, "process", mb_holdings_count(rt, MB_HOLDING_PROGRAM)); /* of the system */
  set_integer(L, "signal", mb_holdings_count(rt, MB_HOLDING_SIGNAL));
  set_integer(L, "blocking", (int64_t)pool.queued + pool.busy);
  return 1;
}

static void set_pool(struct mb_heap *h, lua_State *L) {
  struct mb_pool_counts pool;
  mb_pool_count(h->pool, &pool);
  lua_createtable(L, 0, 4);
  set_integer(L, "limit", pool.limit);
  set_integer(L, "threads", pool.threads);
  set_integer(L, "busy", pool.busy);
  set_integer(L, "queued", pool.queued);
  lua_setfield(L, -2, "blocking");
}

/* schedulers() -> {{processes =, run_queue =, steals =, wakeups =, utilisation =, heaps =, coroutines =,
 * heap_bytes =}..., blocking = {limit =, threads =, busy =, queued =}} */
static int schedulers(lua_State *L) {
  struct mb_runtime *rt = mb_heap_of(L)->runtime;
  uint32_t started = atomic_load_explicit(&rt->started, memory_order_acquire); /* partner: mb_runtime_start */
  uint64_t now = mb_now(rt);
  lua_createtable(L, (int)rt->scheduler_count, 1);
  set_pool(mb_heap_of(L), L);
  for (uint32_t i = 0; i < rt->scheduler_count; i++) {
    struct mb_scheduler *s = &rt->schedulers[i];
    lua_createtable(L, 0, 8);
    if (i < started) {
      int64_t since = atomic_load_explicit(&s->asleep_since, memory_order_relaxed);
      int64_t slept = atomic_load_explicit(&s->slept, memory_order_relaxed) + (since ? (int64_t)now - since : 0);
      double life = (double)(now - s->born), busy = life > 0 ? 1 - (double)slept / life : 0;
      set_integer(L, "processes", atomic_load_explicit(&s->live, memory_order_relaxed));
      set_integer(L, "run_queue", i == mb_heap_of(L)->scheduler->id
                                      ? (int64_t)mb_queue_count(&s->ready)
                                      : atomic_load_explicit(&s->queued, memory_order_relaxed));
      set_integer(L, "steals", atomic_load_explicit(&s->steals, memory_order_relaxed));
      set_integer(L, "wakeups", atomic_load_explicit(&s->wakeups, memory_order_relaxed));
      if (i == mb_heap_of(L)->scheduler->id && !mb_heap_of(L)->blocking) mb_heaps_count(s);
      set_integer(L, "heaps", atomic_load_explicit(&s->heaps, memory_order_relaxed));
      set_integer(L, "coroutines", atomic_load_explicit(&s->homes, memory_order_relaxed));
      set_integer(L, "heap_bytes", atomic_load_explicit(&s->heap_bytes, memory_order_relaxed));
      lua_pushnumber(L, busy < 0 ? 0 : busy);
    } else { /* made when there is work for it */
      static const char *const fields[] = {"processes", "run_queue",  "steals",    "wakeups",
                                           "heaps",     "coroutines", "heap_bytes"};
      for (size_t f = 0; f < sizeof fields / sizeof *fields; f++) set_integer(L, fields[f], 0);
      lua_pushnumber(L, 0);
    }
    lua_setfield(L, -2, "utilisation");
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* runtime() -> {started = schedulers, most_processes =, uptime = ms} */
static int runtime(lua_State *L) {
  struct mb_runtime *rt = mb_heap_of(L)->runtime;
  lua_createtable(L, 0, 3);
  set_integer(L, "started", atomic_load_explicit(&rt->started, memory_order_acquire)); /* partner: mb_runtime_start */
  set_integer(L, "most_processes", rt->table.limit);
  lua_pushnumber(L, (double)(mb_now(rt) - rt->schedulers[0].born) / 1e6);
  lua_setfield(L, -2, "uptime");
  return 1;
}

/* lead(pid | nil) -> pid | nil: who gets what the calling process prints from now on, and those that it spawns, instead of
 * standard output; and who did before */
static int lead(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  mb_pid before = p->leader;
  p->leader = lua_isnoneornil(L, 1) ? 0 : mb_check_pid(h, L, 1, "lead", 1);
  if (before)
    mb_push_id(L, before);
  else
    lua_pushnil(L);
  return 1;
}

/* cores() -> how many threads of this process can run at once */
static int cores(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)uv_available_parallelism());
  return 1;
}

/* set_schedulers(n): as many there may be, before the second has started */
static int set_schedulers(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_runtime *rt = h->runtime;
  lua_Integer n = luaL_checkinteger(L, 1);
  if (n < 1 || n > MB_MAX_SCHEDULERS)
    return mb_bad_argument(h, L, "start", 1, "schedulers is a number from 1 to %d", MB_MAX_SCHEDULERS);
  if (n == (lua_Integer)rt->scheduler_count) return 0;
  if (atomic_load_explicit(&rt->started, memory_order_acquire) > 1)
    return mb_bad_argument(h, L, "start", 1, "%d schedulers are running already", (int)rt->scheduler_count);
  rt->scheduler_count = (uint32_t)n;
  return 0;
}

struct mb_memory_limit {
  lua_Alloc alloc; /* the allocator below it */
  void *alloc_data;
  size_t used, limit; /* counted only while a limit is set; 0: none */
};

/* The allocator while a limit is set: what is asked for beyond it is refused, as if memory were out. */
static void *limited(void *data, void *block, size_t old, size_t size) {
  struct mb_heap *h = data;
  void *result;
  if (!block) old = 0; /* then it tells what is allocated, not how much */
  if (size > old && h->memory->used + (size - old) > h->memory->limit) return NULL;
  result = h->memory->alloc(h->memory->alloc_data, block, block ? old : 0, size);
  if (result || size == 0) {
    h->memory->used += size;
    h->memory->used = h->memory->used > old ? h->memory->used - old : 0;
  }
  return result;
}

/* memory_limit(bytes | nil) -> the limit before: caps what this heap may allocate from now on, beyond
 * what it uses at present; nil takes the cap away. */
static int memory_limit(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  size_t old = h->memory->limit;
  lua_Integer wanted = luaL_optinteger(L, 1, 0);
  if (wanted < 0) return mb_bad_argument(h, L, "memory_limit", 1, "bytes >= 0 expected");
  if (wanted > 0 && !old) {
    h->memory->alloc = lua_getallocf(L, &h->memory->alloc_data);
    lua_setallocf(L, limited, h);
  } else if (wanted == 0 && old) {
    lua_setallocf(L, h->memory->alloc, h->memory->alloc_data);
  }
  if (wanted > 0) {
    /* what is there now may be freed under the limit: count it in */
    h->memory->used = (size_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024 + (size_t)lua_gc(L, LUA_GCCOUNTB, 0);
    h->memory->limit = h->memory->used + (size_t)wanted;
  } else {
    h->memory->limit = 0;
  }
  if (old)
    lua_pushinteger(L, (lua_Integer)old);
  else
    lua_pushnil(L);
  return 1;
}

void mb_lift_memory_limit(struct mb_heap *h, lua_State *L) {
  if (h->memory && h->memory->limit) lua_setallocf(L, h->memory->alloc, h->memory->alloc_data);
}

/* define(name, value): every process finds it among its globals */
static int define(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  const char *name = luaL_checkstring(L, 1);
  lua_settop(L, 2);
  mb_environment_define(h, L, name);
  return 0;
}

/* set_inspect(fn): what makes texts of values in reports */
static int set_inspect(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_rawseti(L, LUA_REGISTRYINDEX, h->ref[MB_REF_INSPECT]);
  return 0;
}

static const char starts_key; /* its address is the key of {[string] = true}: what encode_start has made */

/* encode_start(fn) -> string for publish_start */
static int encode_start(lua_State *L) {
  if (mb_heap_of(L)->blocking) mb_refuse_outside(mb_heap_of(L), L);
  luaL_checktype(L, 1, LUA_TFUNCTION);
  mb_replica_encode_start(mb_heap_of(L), L, 1);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &starts_key) != LUA_TTABLE) {
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &starts_key);
    lua_replace(L, -2);
  }
  lua_pushvalue(L, -2);
  lua_pushboolean(L, 1);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  return 1;
}

/* publish_start(string [, name]): the function of encode_start runs in each heap but this one, instead of what has been
 * published by that name before */
static int publish_start(lua_State *L) {
  const char *name = luaL_optstring(L, 2, NULL);
  int made = 0;
  luaL_checktype(L, 1, LUA_TSTRING);
  lua_settop(L, 2);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &starts_key) == LUA_TTABLE) {
    lua_pushvalue(L, 1);
    made = lua_rawget(L, 3) != LUA_TNIL;
    lua_pushvalue(L, 1); /* once */
    lua_pushnil(L);
    lua_rawset(L, 3);
  }
  luaL_argcheck(L, made, 1, "what encode_start returns expected"); /* other bytes mean nothing */
  lua_settop(L, 2);
  mb_replica_publish_start(mb_heap_of(L), L, 1, name);
  return 0;
}

/* run_start(fn): as what encode_start has made does elsewhere */
static int run_start(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  mb_replica_run_start(mb_heap_of(L), L, 1);
  return 0;
}

/* own_globals() -> the globals of the runtime's Lua files */
static int own_globals(lua_State *L) {
  mb_library_push_globals(mb_heap_of(L), L);
  return 1;
}

/* is_terminal(descriptor) */
static int is_terminal(lua_State *L) {
  lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
  return 1;
}

/* status_line(text | nil): below what is written to the terminal, until the calling process has another, or none, or
 * ends. What waits for the terminal has to be flushed before. */
static int status_line(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  mb_status_line_set(&h->runtime->table, mb_pid_of(mb_current(h, L)), luaL_optstring(L, 1, NULL));
  return 0;
}

/* entries(directory) -> sequence of names, empty when it cannot be read */
static int entries(lua_State *L) {
  DIR *directory = opendir(luaL_checkstring(L, 1));
  lua_Integer n = 0;
  lua_newtable(L);
  if (!directory) return 1;
  for (struct dirent *entry; (entry = readdir(directory));) {
    lua_pushstring(L, entry->d_name);
    lua_rawseti(L, -2, ++n);
  }
  closedir(directory);
  return 1;
}

void mb_open_system(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"argument_error", argument_error},
                                       {"short", short_text},
                                       {"call_user", call_user},
                                       {"raise_at_caller", raise_at_caller},
                                       {"long_schedule", long_schedule},
                                       {"cleanup_timeout", cleanup_timeout},
                                       {"shutdown_timeout", shutdown_timeout},
                                       {"census", census},
                                       {"node_name", node_name},
                                       {"schedulers", schedulers},
                                       {"runtime", runtime},
                                       {"lead", lead},
                                       {"status_line", status_line},
                                       {"cores", cores},
                                       {"set_schedulers", set_schedulers},
                                       {"memory_limit", memory_limit},
                                       {"define", define},
                                       {"set_inspect", set_inspect},
                                       {"own_globals", own_globals},
                                       {"is_terminal", is_terminal},
                                       {"entries", entries},
                                       {"encode_start", encode_start},
                                       {"publish_start", publish_start},
                                       {"run_start", run_start},
                                       {NULL, NULL}};
  if (!h->memory) h->memory = mb_heap_part(L, sizeof *h->memory);
  mb_set_functions(h, L, functions);
  mb_push_ref(h, L, MB_REF_COLLECTGARBAGE); /* the library's: what the runtime does itself is not refused */
  lua_setfield(L, -2, "collectgarbage");
}
