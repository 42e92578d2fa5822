/* Looking at processes, for the module Process. */
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/ask.h"
#include "api/where.h"
#include "codec/codec.h"
#include "codec/message.h"
#include "heap/arguments.h"
#include "heap/errors.h"
#include "heap/inspect.h"
#include "heap/private.h"
#include "process/current.h"
#include "process/direct.h"
#include "process/memory.h"
#include "process/wait.h"

/* Whether a process can be seen to live, without asking its scheduler. */
static int is_alive(struct mb_heap *h, mb_pid pid) {
  struct mb_process *p = mb_process_table_lookup(&h->runtime->table, pid);
  return p && !atomic_load_explicit(&p->exiting, memory_order_relaxed);
}

/* Ask the scheduler where a process lives, or lived. */
static int ask_owner(struct mb_heap *h, lua_State *L, mb_answerer push, mb_pid pid, int what) {
  struct mb_process *p = mb_process_table_lookup(&h->runtime->table, pid);
  struct mb_scheduler *owner =
      p ? atomic_load_explicit(&p->scheduler, memory_order_acquire) : h->scheduler;
  return mb_ask(h, L, owner,
                (struct mb_query){.push = push, .subject = MB_ABOUT_PROCESS, .about = pid, .what = what});
}

static void answer_alive(struct mb_heap *h, lua_State *L, const struct mb_query *q) {
  lua_pushboolean(L, mb_process_in(h, q->about) != NULL);
}

static int process_alive(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *here;
  mb_pid pid;
  (void)mb_caller(h, L);
  pid = mb_check_pid(h, L, 1, "Process.alive", 1);
  if (mb_locate(h->scheduler, pid, &here) == MB_ELSEWHERE && mb_can_wait(h, L))
    return ask_owner(h, L, answer_alive, pid, 0);
  lua_pushboolean(L, is_alive(h, pid));
  return 1;
}

static int process_list(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  uint32_t extent;
  lua_Integer n = 0;
  (void)mb_caller(h, L);
  extent = mb_process_table_extent(&h->runtime->table);
  lua_newtable(L);
  for (uint32_t i = 1; i < extent; i++) {
    struct mb_process *p = mb_process_table_at(&h->runtime->table, i);
    mb_pid pid = p ? mb_pid_of(p) : 0;
    if (!pid || atomic_load_explicit(&p->exiting, memory_order_relaxed)) continue;
    mb_push_id(L, pid);
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

/* Push a copy of a process's map, `count` entries. Allocating may run finalizers, which may send it something, so that
 * it takes what others have sent: then its maps change. */
static const struct mb_entry *push_entries(lua_State *L, const struct mb_map *m, uint32_t *count) {
  uint32_t room, cursor = 0, n = 0;
  struct mb_entry *copy;
  int top = lua_gettop(L);
  do {
    lua_settop(L, top);
    room = m->count;
    copy = lua_newuserdatauv(L, (room + 1) * sizeof *copy, 0);
  } while (m->count > room);
  for (const struct mb_entry *e; (e = mb_map_next(m, &cursor));) copy[n++] = *e;
  *count = n;
  return copy;
}

/* Push the pids of the processes that monitor p. */
static void push_watchers(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  uint32_t count;
  const struct mb_entry *e = push_entries(L, &p->monitored_by, &count);
  lua_createtable(L, (int)count, 0);
  (void)h;
  for (uint32_t i = 0; i < count; i++) {
    mb_push_id(L, e[i].value);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_remove(L, -2);
}

static void push_links(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  uint32_t count;
  const struct mb_entry *e = push_entries(L, &p->links, &count);
  lua_Integer n = 0;
  lua_createtable(L, (int)count, 0);
  (void)h;
  for (uint32_t i = 0; i < count; i++) {
    if (e[i].value != 0) continue; /* being unlinked */
    mb_push_id(L, e[i].key);
    lua_rawseti(L, -2, ++n);
  }
  lua_remove(L, -2);
}

static void push_monitors(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  uint32_t count;
  const struct mb_entry *e = push_entries(L, &p->monitors, &count);
  lua_Integer n = 0;
  lua_createtable(L, (int)count, 0);
  for (uint32_t i = 0; i < count; i++) {
    const uint64_t *entry = mb_map_get(&p->monitors, e[i].key);
    const char *name = NULL;
    uint32_t size;
    mb_pid target = entry ? mb_monitor_target(*entry, &name, &size) : 0;
    if (!name && !target) continue; /* an alias, or gone meanwhile */
    if (name) {
      lua_pushlstring(L, name, size); /* first: copied before anything else can happen to it */
      lua_createtable(L, 2, 0);
      lua_insert(L, -2);
      lua_rawseti(L, -2, 1);
      lua_pushstring(L, mb_node_name(h->runtime));
      lua_rawseti(L, -2, 2);
    } else {
      mb_push_id(L, target);
    }
    lua_rawseti(L, -2, ++n);
  }
  lua_remove(L, -2);
}

/* The dictionary of p as the caller sees it: a copy, values that cannot travel as their text. */
static void push_dictionary(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  int top = lua_gettop(L);
  lua_newtable(L);
  if (!mb_push_dictionary(h, L, p, MB_IF_MADE)) return;
  lua_pushnil(L);
  while (lua_next(L, top + 2)) {
    for (int i = 0; i < 2; i++) {
      mb_push_reason_taken(h, L, mb_encode_reason(h, L, top + 3 + i));
    }
    if (!lua_isnil(L, top + 5)) lua_rawset(L, top + 1);
    lua_settop(L, top + 3);
  }
  lua_settop(L, top + 1);
}

static const char *status_of(const struct mb_process *p) {
  return p->state == MB_RUNNING ? "running" : p->state == MB_WAITING ? "waiting" : "runnable";
}

static void push_own_name(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  if (!mb_push_name(h, L, p)) lua_pushnil(L);
}

static void push_status(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  (void)h;
  lua_pushstring(L, status_of(p));
}

static void push_queue_length(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  (void)h;
  lua_pushinteger(L, p->mailbox.count);
}

static void push_messages(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  lua_Integer n = 0;
  lua_createtable(L, (int)p->mailbox.count, 0);
  for (struct mb_signal *s = p->mailbox.head; s; s = s->next) {
    mb_message_show(h, L, s);
    lua_rawseti(L, -2, ++n);
  }
}

static void push_trap_exit(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  (void)h;
  lua_pushboolean(L, (p->flags & MB_TRAP_EXIT) != 0);
}

static void push_reductions(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  (void)h;
  lua_pushinteger(L, (lua_Integer)p->reductions);
}

/* An integer; as a float: there is more. The module Process finds the rest. */
static void push_memory(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  int whole;
  size_t bytes;
  mb_memory_push_walk(h, L, p, mb_stack_of(h, L, p), MB_WALK_SMALL);
  whole = mb_memory_step(h, L, -1);
  bytes = mb_memory_walked(L, -1);
  lua_pop(L, 1);
  if (whole)
    lua_pushinteger(L, (lua_Integer)bytes);
  else
    lua_pushnumber(L, (lua_Number)bytes);
}

/* memory_walk(pid) -> what memory_step takes, nil: it does not live in this heap */
static int memory_walk(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_process_in(h, mb_to_pid(L, 1));
  if (!p) return 0;
  mb_direct_to_mailbox(h, L, p);
  mb_memory_push_walk(h, L, p, mb_stack_of(h, L, p), MB_WALK_LARGE);
  return 1;
}

/* memory_step(walk, skip) -> bytes, at the end, else nil. Raises when the table in which it stands has changed; with
 * skip the rest of that is left out. */
static int memory_step(lua_State *L) {
  luaL_checkudata(L, 1, MB_WALK_TYPE);
  if (lua_toboolean(L, 2)) mb_memory_skip(L, 1);
  if (!mb_memory_step(mb_heap_of(L), L, 1)) return 0;
  lua_pushinteger(L, (lua_Integer)mb_memory_walked(L, 1));
  return 1;
}

static void push_leader(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  (void)h;
  mb_push_id_or_nil(L, p->leader);
}

/* What there is to know of the collector that p's values have with those of others. */
static void push_collector(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  (void)h;
  (void)p;
  lua_createtable(L, 0, 2);
  lua_pushinteger(L, (lua_Integer)lua_gc(L, LUA_GCCOUNT) * 1024 + lua_gc(L, LUA_GCCOUNTB));
  lua_setfield(L, -2, "heap_bytes");
  lua_pushboolean(L, lua_gc(L, LUA_GCISRUNNING));
  lua_setfield(L, -2, "running");
}

static void push_scheduler(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  (void)p;
  lua_pushinteger(L, (lua_Integer)h->scheduler->id + 1);
}

static void push_parent(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  (void)h;
  mb_push_id_or_nil(L, p->parent);
}

/* What there is to know of a process. */
static const struct {
  const char *name;
  void (*push)(struct mb_heap *h, lua_State *L, struct mb_process *p);
} infos[] = {{"registered_name", push_own_name},
             {"status", push_status},
             {"message_queue_len", push_queue_length},
             {"messages", push_messages},
             {"links", push_links},
             {"monitored_by", push_watchers},
             {"monitors", push_monitors},
             {"trap_exit", push_trap_exit},
             {"dictionary", push_dictionary},
             {"reductions", push_reductions},
             {"memory", push_memory},
             {"current_location", mb_push_current_location},
             {"current_stacktrace", mb_push_stacktrace},
             {"initial_location", mb_push_initial_location},
             {"current_function", mb_push_current_function},
             {"initial_call", mb_push_initial_call},
             {"group_leader", push_leader},
             {"garbage_collection", push_collector},
             {"scheduler", push_scheduler},
             {"parent", push_parent}};
enum { KEY_COUNT = sizeof infos / sizeof *infos };

/* What is asked for: a set of keys' numbers, or one key. */
enum { ALL_KEYS = (1 << KEY_COUNT) - 1, ONE_KEY = 1 << KEY_COUNT };

/* Push what is asked for of p: a table by key, or the value of the one key; nil when p is NULL. */
static void push_infos(struct mb_heap *h, lua_State *L, struct mb_process *p, int wanted) {
  if (!p) {
    lua_pushnil(L);
    return;
  }
  mb_direct_to_mailbox(h, L, p);
  if (!(wanted & ONE_KEY)) lua_newtable(L);
  for (int key = 0; key < KEY_COUNT; key++) {
    if (!(wanted >> key & 1)) continue;
    infos[key].push(h, L, p);
    if (!(wanted & ONE_KEY)) lua_setfield(L, -2, infos[key].name);
  }
}

/* The number of the key at stack index `at`. */
static int check_info_key(struct mb_heap *h, lua_State *L, int at) {
  const char *wanted;
  if (lua_type(L, at) != LUA_TSTRING) return mb_bad_type(h, L, "Process.info", 2, "key, or sequence of keys", at);
  wanted = lua_tostring(L, at);
  for (int key = 0; key < KEY_COUNT; key++)
    if (strcmp(infos[key].name, wanted) == 0) return key;
  lua_pushfstring(L, "unknown key '%s'; keys: %s", mb_push_short(L, wanted), infos[0].name);
  for (int key = 1; key < KEY_COUNT; key++) {
    lua_pushfstring(L, ", %s", infos[key].name);
    lua_concat(L, 2);
  }
  return mb_bad_argument(h, L, "Process.info", 2, "%s", lua_tostring(L, -1));
}

static void answer_infos(struct mb_heap *h, lua_State *L, const struct mb_query *q) {
  push_infos(h, L, mb_process_in(h, q->about), q->what);
}

static int process_info(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  mb_pid pid;
  int wanted = ALL_KEYS;
  struct mb_process *here;
  (void)mb_caller(h, L);
  pid = mb_check_pid(h, L, 1, "Process.info", 1);
  if (lua_istable(L, 2)) {
    wanted = 0;
    for (lua_Integer i = 1; lua_rawgeti(L, 2, i) != LUA_TNIL; i++) {
      wanted |= 1 << check_info_key(h, L, -1);
      lua_pop(L, 1);
    }
  } else if (!lua_isnoneornil(L, 2)) {
    wanted = ONE_KEY | 1 << check_info_key(h, L, 2);
  }
  luaL_checkstack(L, 20, NULL);
  if (mb_locate(h->scheduler, pid, &here) == MB_ELSEWHERE) return ask_owner(h, L, answer_infos, pid, wanted);
  if (here && mb_process_heap(h->scheduler, here) != h)
    mb_ask_beside(h, L, mb_process_heap(h->scheduler, here),
                  (struct mb_query){.push = answer_infos, .about = pid, .what = wanted});
  else
    push_infos(h, L, here, wanted);
  return 1;
}

void mb_open_info(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"process_alive", process_alive},
                                       {"process_list", process_list},
                                       {"process_info", process_info},
                                       {"memory_walk", memory_walk},
                                       {"memory_step", memory_step},
                                       {NULL, NULL}};
  mb_set_functions(h, L, functions);
}
