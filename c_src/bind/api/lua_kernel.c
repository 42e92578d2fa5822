/* The kernel: processes, messages, links and monitors. */
#include <string.h>

#include "api/alias.h"
#include "api/api.h"
#include "api/destination.h"
#include "api/own.h"
#include "codec/codec.h"
#include "core/error.h"
#include "core/mailbox.h"
#include "heap/arguments.h"
#include "heap/errors.h"
#include "heap/exit.h"
#include "heap/inspect.h"
#include "heap/site.h"
#include "process/current.h"
#include "process/direct.h"
#include "process/home.h"
#include "process/read_message.h"
#include "process/wait.h"
#include "replica/replica.h"

static int self(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  mb_push_id(L, mb_pid_of(mb_current(h, L)));
  return 1;
}

/* caller() -> the pid of the process that calls; nil in a finalizer */
static int caller(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  const struct mb_process *p = mb_caller(h, L);
  if (p)
    mb_push_id(L, mb_pid_of(p));
  else
    lua_pushnil(L);
  return 1;
}

/* Spawning */

/* Spawn with the function and arguments from stack index `first` on; ties and ref are mb_spawn's. What a finalizer
 * spawns has no parent. */
static mb_pid spawn_encoded(struct mb_heap *h, lua_State *L, int first, enum mb_spawn_ties ties, mb_ref ref) {
  struct mb_process *parent = ties ? mb_current(h, L) : mb_caller(h, L), *p;
  struct mb_signal *start;
  const char *site;
  int err;
  if (h->state_closes) mb_heap_ended(L);
  if (h->blocking) mb_refuse_outside(h, L); /* no scheduler is here */
  start = mb_encode_signal(h, L, first, lua_gettop(L) - first + 1, "spawn", MB_MESSAGE);
  err = mb_spawn(h->scheduler, parent, start, ties, ref, &p);
  if (err == MB_ELIMIT) mb_raise(h, L, "system_limit: too many processes (%d)", (int)h->runtime->table.limit);
  if (err) mb_no_memory(L);
  mb_inherit_files(h, L, parent, p);
  if (parent && parent->private_flags & MB_PRIVATE_SUPERVISOR) p->private_flags |= MB_PRIVATE_SUPERVISED;
  site = mb_site(h, L);
  if (!site && parent) site = parent->site; /* a process of the library's spawns on behalf of who started it */
  atomic_store_explicit(&p->site, site, memory_order_relaxed);
  return mb_pid_of(p);
}

/* The results on the top of the stack are those of a function that has spawned. */
static int spawned(struct mb_heap *h, lua_State *L, int results) {
  return mb_worked(h, L, mb_worker(h, L), MB_COST_SPAWN, results);
}

static int spawn(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  mb_check_function(h, L, "spawn");
  mb_push_id(L, spawn_encoded(h, L, 1, MB_SPAWN_UNTIED, 0));
  return spawned(h, L, 1);
}

static int spawn_link(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  mb_check_function(h, L, "spawn_link");
  mb_push_id(L, spawn_encoded(h, L, 1, MB_SPAWN_LINKED, 0));
  return spawned(h, L, 1);
}

static int spawn_monitor(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  mb_ref ref = mb_ref_new(h->scheduler);
  mb_check_function(h, L, "spawn_monitor");
  mb_push_id(L, spawn_encoded(h, L, 1, MB_SPAWN_MONITORED, ref));
  mb_push_id(L, ref);
  return spawned(h, L, 2);
}

/* Priorities are taken as they are in Elixir, and make no difference. */
static void check_priority(struct mb_heap *h, lua_State *L) {
  static const char *const known[] = {"low", "normal", "high", "max"};
  int ok;
  lua_getfield(L, 2, "priority");
  ok = lua_isnil(L, -1);
  for (size_t i = 0; i < sizeof known / sizeof *known && lua_type(L, -1) == LUA_TSTRING; i++)
    ok = ok || strcmp(lua_tostring(L, -1), known[i]) == 0;
  if (!ok)
    mb_bad_argument(h, L, "Process.spawn", 2, "priority is \"low\", \"normal\", \"high\" or \"max\", got %s",
                    mb_push_shown(h, L, lua_gettop(L)));
  lua_pop(L, 1);
}

/* Let p, which has not started, live on another scheduler. */
static void place(struct mb_heap *h, lua_State *L, struct mb_process *p, struct mb_scheduler *where) {
  mb_disinherit_files(h, L, p);
  mb_move(h->scheduler, p, where);
}

/* Process.spawn(fn, opts, ...) -> pid [, ref] */
static int process_spawn(lua_State *L) {
  static const char *const known[] = {"link", "monitor", "scheduler", "priority", NULL};
  struct mb_heap *h = mb_heap_of(L);
  struct mb_scheduler *where = NULL; /* not made yet, perhaps */
  struct mb_process *p;
  mb_pid pid;
  mb_ref ref = 0; /* it is monitored */
  enum mb_spawn_ties ties = MB_SPAWN_UNTIED;
  mb_check_function(h, L, "Process.spawn");
  mb_check_options(h, L, 2, "Process.spawn", 2, known);
  if (!lua_isnoneornil(L, 2)) {
    if (mb_check_flag(h, L, 2, "link", "Process.spawn", 2)) ties |= MB_SPAWN_LINKED;
    if (mb_check_flag(h, L, 2, "monitor", "Process.spawn", 2)) {
      ties |= MB_SPAWN_MONITORED;
      ref = mb_ref_new(h->scheduler);
    }
    check_priority(h, L);
    lua_getfield(L, 2, "scheduler");
    if (lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), "here") == 0) {
      where = h->scheduler;
    } else if (!lua_isnil(L, -1)) {
      if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 1 ||
          lua_tointeger(L, -1) > (lua_Integer)h->runtime->scheduler_count)
        return mb_bad_argument(h, L, "Process.spawn", 2, "scheduler is \"here\" or 1 to %d, got %s",
                               (int)h->runtime->scheduler_count, mb_push_shown(h, L, lua_gettop(L)));
      where = &h->runtime->schedulers[lua_tointeger(L, -1) - 1];
    }
    lua_pop(L, 1);
  }
  if (lua_gettop(L) >= 2) lua_remove(L, 2);
  pid = spawn_encoded(h, L, 1, ties, ref);
  if (where && where != h->scheduler) mb_replicate(h, L, MB_REPLICATE_CONTENTS);
  p = where ? mb_process_here(h->scheduler, pid) : NULL;
  if (p) {
    p->flags |= MB_PINNED;
    if (where != h->scheduler) {
      if (atomic_load_explicit(&h->runtime->started, memory_order_acquire) == 1)
        h->runtime->upcalls->start(h->scheduler);
      if (atomic_load_explicit(&h->runtime->started, memory_order_acquire) > 1) /* else threads are out: it stays */
        place(h, L, p, where);
    }
  }
  mb_push_id(L, pid);
  if (ref) mb_push_id(L, ref);
  return spawned(h, L, ref ? 2 : 1);
}

/* Spawn with what stands from stack index 3 on, to start in `home`; 2 is whether it is monitored. */
static int spawn_in(struct mb_heap *h, lua_State *L, struct mb_heap *home) {
  struct mb_process *p;
  mb_ref ref;
  mb_pid pid;
  luaL_checkany(L, 3);
  ref = lua_toboolean(L, 2) ? mb_ref_new(h->scheduler) : 0;
  pid = spawn_encoded(h, L, 3, ref ? MB_SPAWN_MONITORED : MB_SPAWN_UNTIED, ref);
  p = mb_process_here(h->scheduler, pid);
  if (p) mb_home_set(home, p);
  mb_push_id(L, pid);
  if (ref) mb_push_id(L, ref);
  return spawned(h, L, ref ? 2 : 1);
}

/* spawn_at(pid, monitored, fn, ...) -> pid [, ref]: in the heap of a process, whatever room there is; nil: that does
 * not live on this scheduler */
static int spawn_at(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *at = mb_process_here(h->scheduler, mb_check_pid(h, L, 1, "spawn_at", 1));
  return at ? spawn_in(h, L, mb_process_heap(h->scheduler, at)) : 0;
}

/* spawn_heap(id, monitored, fn, ...) -> pid [, ref]: in that heap of this scheduler; nil: there is none */
static int spawn_heap(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L), *home = mb_heaps_find(h->heaps, (uint32_t)luaL_checkinteger(L, 1));
  return home ? spawn_in(h, L, home) : 0;
}

/* heaps() -> the ids of this scheduler's heaps, the first one's first */
static int heaps(lua_State *L) {
  lua_Integer n = 0;
  lua_newtable(L);
  for (const struct mb_heap *h = mb_heap_of(L)->heaps->first; h; h = h->next) {
    lua_pushinteger(L, h->id);
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

/* spawn_for(function, linked, entry, _, _, _, ...) -> pid: as spawn; a refusal names the function, the user's, whose
 * arguments are the last ones. */
static int spawn_for(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  luaL_checkany(L, 3);
  mb_given_to(h, luaL_checkstring(L, 1), MB_GIVEN_ITSELF, -3);
  mb_push_id(L, spawn_encoded(h, L, 3, lua_toboolean(L, 2) ? MB_SPAWN_LINKED : MB_SPAWN_UNTIED, 0));
  mb_given_to_nobody(h);
  return spawned(h, L, 1);
}

/* spawn_async(function, linked, entry, at, ...) -> pid, ref: runs entry(owner, ref, ...), which may reply to ref. A
 * refusal names the function, the user's, whose argument 1 is number `at` of what follows; unless it is false. */
static int spawn_async(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  const char *function = lua_tostring(L, 1);
  enum mb_spawn_ties linked = lua_toboolean(L, 2) ? MB_SPAWN_LINKED : MB_SPAWN_UNTIED;
  mb_ref ref = mb_ref_new(h->scheduler);
  int at = (int)luaL_checkinteger(L, 4);
  lua_remove(L, 2);
  mb_push_id(L, mb_pid_of(mb_current(h, L)));
  lua_replace(L, 3);
  mb_push_id(L, ref);
  lua_insert(L, 4);
  mb_given_to(h, function, MB_GIVEN_ITSELF, -1 - at);
  mb_push_id(L, spawn_encoded(h, L, 2, linked | MB_SPAWN_MONITORED | MB_SPAWN_ALIAS, ref));
  mb_given_to_nobody(h);
  mb_push_id(L, ref);
  return spawned(h, L, 2);
}

/* Messages */

/* If the value at `at` is a via table, {"via", module, term}, push the module's whereis_name and the term: 1. */
static int push_via(lua_State *L, int at) {
  int top = lua_gettop(L);
  if (!lua_istable(L, at)) return 0;
  if (lua_rawlen(L, at) == 3 && lua_rawgeti(L, at, 1) == LUA_TSTRING &&
      strcmp(lua_tostring(L, -1), "via") == 0 && lua_rawgeti(L, at, 2) == LUA_TTABLE &&
      lua_getfield(L, -1, "whereis_name") == LUA_TFUNCTION) {
    lua_replace(L, top + 1);
    lua_rawgeti(L, at, 3);
    lua_replace(L, top + 2);
    return 1;
  }
  lua_settop(L, top);
  return 0;
}

/* Stack: 1 destination, 2 message, 3 whom a via table leads to. */
static int send_via(lua_State *L, int status, lua_KContext unused) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_worker(h, L);
  mb_pid to = mb_to_pid(L, 3);
  (void)status;
  (void)unused;
  if (!to) {
    lua_rawgeti(L, 1, 3);
    mb_push_inspect(h, L, lua_gettop(L));
    return mb_bad_argument(h, L, "send", 1, "no process is registered under %s", lua_tostring(L, -1));
  }
  lua_settop(L, 2);
  if (!mb_send_direct(h, L, to, 2, 0)) {
    mb_replicate_to(h, L, to);
    mb_signal_send(h->scheduler, to, mb_encode_signal(h, L, 2, 1, "send message", MB_MESSAGE));
  }
  return mb_worked(h, L, p, MB_COST_MESSAGE, 1);
}

static int do_send(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_worker(h, L);
  struct mb_destination to = {MB_TO_PROCESS, mb_to_pid(L, 1)};
  struct mb_signal *s;
  int arguments = lua_gettop(L);
  if (arguments != 2) lua_settop(L, 2);
  if (!to.pid) {
    if (mb_to_ref(L, 1)) return mb_send_to_alias(h, L);
    if (push_via(L, 1)) {
      lua_callk(L, 1, 1, 0, send_via);
      return send_via(L, LUA_OK, 0);
    }
    to = mb_named_destination(h, L, 1, "send", 1, MB_NAMES_AND_NODES);
    if (to.kind == MB_TO_NOBODY)
      return mb_bad_argument(h, L, "send", 1, "no process is registered as '%s'",
                             mb_push_short(L, lua_tostring(L, 1)));
  }
  if (to.kind == MB_TO_PROCESS && mb_send_direct(h, L, to.pid, 2, arguments))
    return mb_worked(h, L, p, MB_COST_MESSAGE, 1);
  mb_replicate_to(h, L, to.pid);
  s = mb_encode_signal(h, L, 2, 1, "send message", MB_MESSAGE);
  s->from = p && !mb_outside(h, L) ? mb_pid_of(p) : mb_pid_make(0, 0); /* for the log, if it cannot be made */
  if (to.kind == MB_TO_PROCESS)
    mb_signal_send(h->scheduler, to.pid, s);
  else
    mb_signal_free(s);
  return mb_worked(h, L, p, MB_COST_MESSAGE, 1);
}

/* Ends */

static int do_exit(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  int bare = lua_isnoneornil(L, 1);
  (void)mb_current(h, L);
  if (bare) lua_pushliteral(L, "normal");
  lua_settop(L, bare ? -1 : 1);
  mb_push_exit(h, L);
  if (bare) { /* the shell tells it from exit("normal") */
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "bare");
  }
  return lua_error(L);
}

static int link_to(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  mb_pid other = mb_check_pid(h, L, 1, "link", 1);
  int err = mb_link(h->scheduler, p, other);
  if (err == MB_ENOMEM) return mb_no_memory(L);
  if (err == MB_ENOPROC) {
    struct mb_signal *s;
    if (!(p->flags & MB_TRAP_EXIT)) {
      lua_pushliteral(L, "noproc");
      mb_push_exit(h, L);
      return lua_error(L);
    }
    s = mb_signal_new(MB_EXITED, 0);
    if (!s) return mb_no_memory(L);
    s->from = other;
    s->reason = mb_reason_retain(h->runtime->noproc);
    mb_deliver(h->scheduler, p, s);
  }
  lua_pushboolean(L, 1);
  return 1;
}

static int unlink_from(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  if (mb_unlink(h->scheduler, p, mb_check_pid(h, L, 1, "unlink", 1)) != 0)
    return mb_no_memory(L);
  lua_pushboolean(L, 1);
  return 1;
}

/* Monitor the target, or the name, with an alias that goes by the same reference (enum mb_alias_ends; -1: without), and
 * push that. */
static int monitor_target(struct mb_heap *h, lua_State *L, mb_pid target, const char *name, size_t size, int alias) {
  struct mb_process *p = mb_current(h, L);
  mb_ref ref = mb_ref_new(h->scheduler);
  int aliased = alias >= 0 && target != mb_pid_of(p); /* as in Erlang, monitoring oneself makes none */
  /* first: the monitor may be over at once */
  if (aliased && mb_alias_add(h->scheduler, p, ref, (enum mb_alias_ends)alias) != 0) return mb_no_memory(L);
  if (mb_monitor(h->scheduler, p, target, name, (uint32_t)size, MB_MONITOR_ONLY, ref) != 0) {
    if (aliased) (void)mb_alias_end(h->scheduler, p, ref);
    return mb_no_memory(L);
  }
  mb_push_id(L, ref);
  return 1;
}

/* Stack: 1 via table, 2 whom it leads to: nobody is the pid that no process has. */
static int monitor_via(lua_State *L, int status, lua_KContext alias) {
  struct mb_heap *h = mb_heap_of(L);
  mb_pid target = mb_to_pid(L, 2);
  (void)status;
  return monitor_target(h, L, target ? target : mb_pid_make(0, 0), NULL, 0, (int)alias);
}

static int monitor(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_destination target;
  const char *name = NULL; /* a pid has been given */
  size_t size = 0;
  int alias = lua_gettop(L) > 1 ? mb_check_alias_of_monitor(h, L) : -1;
  (void)mb_current(h, L);
  lua_settop(L, 1);
  if (push_via(L, 1)) {
    lua_callk(L, 1, 1, alias, monitor_via);
    return monitor_via(L, LUA_OK, alias);
  }
  target = mb_check_destination(h, L, 1, "monitor", 1, MB_NAMES_AND_NODES);
  if (!mb_to_pid(L, 1)) {
    if (lua_istable(L, 1)) {
      lua_rawgeti(L, 1, 1);
      lua_replace(L, 1);
    }
    name = mb_check_name(h, L, 1, "monitor", 1, &size);
  }
  return monitor_target(h, L, target.pid, name, size, alias);
}

static int demonitor(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  mb_ref ref = mb_to_ref(L, 1);
  if (!ref) return mb_bad_type(h, L, "demonitor", 1, "reference", 1);
  if (lua_isnoneornil(L, 2)) {
    (void)mb_demonitor(h->scheduler, p, ref);
  } else if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "flush") == 0) {
    mb_check_takes(h, L);
    mb_flush_ref(h, p, ref);
  } else {
    return mb_bad_argument(h, L, "demonitor", 2, "the only option is \"flush\", got %s", mb_push_shown(h, L, 2));
  }
  lua_pushboolean(L, 1);
  return 1;
}

static int make_ref(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_caller(h, L);
  mb_ref ref = mb_ref_new(h->scheduler);
  if (p) mb_mailbox_mark(&p->mailbox, ref);
  mb_push_id(L, ref);
  return 1;
}

static int monotonic_time(lua_State *L) {
  struct mb_heap *h = mb_any_heap_of(L); /* a finalizer may ask when the heap has ended */
  lua_pushnumber(L, (lua_Number)(h->scheduler ? mb_now(h->runtime) : mb_clock_system()) / 1e6);
  return 1;
}

void mb_open_kernel(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"self", self},
                                       {"caller", caller},
                                       {"spawn", spawn},
                                       {"spawn_link", spawn_link},
                                       {"spawn_for", spawn_for},
                                       {"spawn_at", spawn_at},
                                       {"spawn_heap", spawn_heap},
                                       {"heaps", heaps},
                                       {"spawn_monitor", spawn_monitor},
                                       {"process_spawn", process_spawn},
                                       {"spawn_async", spawn_async},
                                       {"send", do_send},
                                       {"exit", do_exit},
                                       {"link", link_to},
                                       {"unlink", unlink_from},
                                       {"monitor", monitor},
                                       {"demonitor", demonitor},
                                       {"make_ref", make_ref},
                                       {"monotonic_time", monotonic_time},
                                       {"now", monotonic_time},
                                       {NULL, NULL}};
  mb_set_functions(h, L, functions);
}
