/* The functions of the module Process. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "codec/codec.h"
#include "codec/key.h"
#include "codec/message.h"
#include "core/delayed.h"
#include "core/error.h"
#include "heap/arguments.h"
#include "heap/errors.h"
#include "heap/hook.h"
#include "heap/inspect.h"
#include "heap/private.h"
#include "process/current.h"
#include "process/entry.h"
#include "process/handover.h"
#include "process/lua_coroutine.h"
#include "process/memory.h"
#include "process/wait.h"

/* Whether a process can be seen to live, without asking its scheduler. */
static int is_alive(struct mb_heap *h, mb_pid pid) {
  struct mb_process *p = mb_process_table_lookup(&h->runtime->table, pid);
  return p && !atomic_load_explicit(&p->exiting, memory_order_relaxed);
}

/* What schedulers ask each other. */
enum question { ASK_INFO, ASK_ALIVE, ASK_TIMER, ASK_CANCEL };

static void answer_query(struct mb_scheduler *s, struct mb_posted *posted);

static int ask_owner(struct mb_heap *h, lua_State *L, enum question kind, mb_pid pid, int key) {
  struct mb_process *p = mb_process_table_lookup(&h->runtime->table, pid);
  struct mb_scheduler *owner =
      p ? atomic_load_explicit(&p->scheduler, memory_order_acquire) : h->scheduler;
  return mb_ask(h, L, owner, (struct mb_query){.posted.run = answer_query, .kind = kind, .about = pid, .key = key});
}

static int process_alive(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *here;
  mb_pid pid;
  (void)mb_caller(h, L);
  pid = mb_check_pid(h, L, 1, "Process.alive", 1);
  if (mb_locate(h->scheduler, pid, &here) == MB_ELSEWHERE && mb_can_wait(h, L)) return ask_owner(h, L, ASK_ALIVE, pid, 0);
  lua_pushboolean(L, is_alive(h, pid));
  return 1;
}

static int process_exit(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_caller(h, L);
  mb_pid pid = mb_check_pid(h, L, 1, "Process.exit", 1), from = mb_caller_pid(h, L);
  struct mb_reason *reason;
  int err;
  if (lua_isnoneornil(L, 2)) return mb_bad_type(h, L, "Process.exit", 2, "reason", 2);
  reason = mb_encode_reason(h, L, 2);
  err = mb_exit_signal(h->scheduler, from, pid, reason);
  mb_reason_release(reason);
  if (err) return mb_no_memory(L);
  if (p)
    mb_leave_if_exiting(h, L, p);
  else if (mb_running(h) && mb_running(h)->state == MB_EXITING)
    mb_hook_now(h); /* it leaves when the finalizer has ended */
  lua_pushboolean(L, 1);
  return 1;
}

static int process_flag(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  int old = (p->flags & MB_TRAP_EXIT) != 0;
  if (lua_type(L, 1) != LUA_TSTRING || strcmp(lua_tostring(L, 1), "trap_exit") != 0)
    return mb_bad_argument(h, L, "Process.flag", 1, "the only flag is \"trap_exit\", got %s", mb_push_shown(h, L, 1));
  if (!lua_isboolean(L, 2)) return mb_bad_type(h, L, "Process.flag", 2, "boolean", 2);
  if (lua_toboolean(L, 2))
    p->flags |= MB_TRAP_EXIT;
  else
    p->flags &= (uint8_t)~MB_TRAP_EXIT;
  lua_pushboolean(L, old);
  return 1;
}

/* Names */

static int process_register(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  mb_pid pid;
  const char *name;
  size_t size;
  int err;
  (void)mb_caller(h, L);
  pid = mb_check_pid(h, L, 1, "Process.register", 1);
  name = mb_check_name(h, L, 2, "Process.register", 2, &size);
  err = mb_register(h->scheduler, pid, name, (uint32_t)size);
  if (err == MB_ENOPROC)
    return mb_bad_argument(h, L, "Process.register", 1, "the process is not alive");
  if (err == MB_ENAME) return mb_bad_argument(h, L, "Process.register", 2, "the name '%s' is taken", name);
  if (err == MB_ENAMED) {
    struct mb_process *p = mb_process_table_lookup(&h->runtime->table, pid);
    if (!p || !mb_push_name(h, L, p)) lua_pushliteral(L, "?"); /* unregistered meanwhile */
    return mb_bad_argument(h, L, "Process.register", 1, "the process is registered already, as '%s'",
                           lua_tostring(L, -1));
  }
  if (err) return mb_no_memory(L);
  lua_pushboolean(L, 1);
  return 1;
}

static int process_unregister(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  size_t size;
  const char *name = mb_check_name(h, L, 1, "Process.unregister", 1, &size);
  if (!mb_names_remove(h->scheduler, name, (uint32_t)size))
    return mb_bad_argument(h, L, "Process.unregister", 1, "no process is registered as '%s'", name);
  lua_pushboolean(L, 1);
  return 1;
}

static int process_whereis(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  size_t size;
  mb_pid pid;
  const char *name;
  (void)mb_caller(h, L);
  if (lua_type(L, 1) != LUA_TSTRING) return mb_bad_type(h, L, "Process.whereis", 1, "name", 1);
  name = lua_tolstring(L, 1, &size);
  pid = mb_names_find(&h->runtime->names, name, (uint32_t)size);
  if (pid)
    mb_push_id(L, pid);
  else
    lua_pushnil(L);
  return 1;
}

static int process_registered(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  size_t size;
  char *all = mb_names_all(&h->runtime->names, &size);
  const char *text, *end;
  lua_Integer n = 0;
  if (!all) return mb_no_memory(L);
  lua_pushlstring(L, all, size); /* Lua's memory from here on: what follows may raise */
  free(all);
  text = lua_tostring(L, -1);
  end = text + size;
  lua_newtable(L);
  while (text < end) {
    uint32_t length;
    memcpy(&length, text, sizeof length);
    lua_pushlstring(L, text + sizeof length, length);
    text += sizeof length + length;
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

/* Looking at processes */

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

/* Push a copy of a process's map, `count` entries. Allocating may run finalizers, which may send it something, so that it
 * takes what others have sent: then its maps change. */
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
static void push_watchers(lua_State *L, const struct mb_process *p) {
  uint32_t count;
  const struct mb_entry *e = push_entries(L, &p->monitored_by, &count);
  lua_createtable(L, (int)count, 0);
  for (uint32_t i = 0; i < count; i++) {
    mb_push_id(L, e[i].value);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_remove(L, -2);
}

static void push_links(lua_State *L, const struct mb_process *p) {
  uint32_t count;
  const struct mb_entry *e = push_entries(L, &p->links, &count);
  lua_Integer n = 0;
  lua_createtable(L, (int)count, 0);
  for (uint32_t i = 0; i < count; i++) {
    if (e[i].value != 0) continue; /* being unlinked */
    mb_push_id(L, e[i].key);
    lua_rawseti(L, -2, ++n);
  }
  lua_remove(L, -2);
}

static void push_monitors(struct mb_heap *h, lua_State *L, const struct mb_process *p) {
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
  if (!mb_push_dictionary(h, L, p, 0)) return;
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

/* The Lua thread whose stack is p's. The main chunk of stock Lua has none of its own: while it waits, the scheduler runs
 * inside its call. */
static lua_State *stack_of(const struct mb_heap *h, lua_State *L, const struct mb_process *p) {
  if (p->start) return NULL;
  if (!(p->flags & MB_IN_PLACE)) return mb_coroutine(p);
  return p == h->scheduler->current ? L : h->runner;
}

/* Push where the function on the top of L was defined, and pop that; 0 and nothing pushed when it is not the user's. */
static int push_definition(struct mb_heap *h, lua_State *L) {
  lua_Debug ar;
  lua_getinfo(L, ">S", &ar);
  if (ar.linedefined < 0 || mb_is_own(h, ar.source)) return 0;
  lua_pushfstring(L, "%s:%d", ar.short_src, ar.linedefined);
  return 1;
}

/* Push where p's function was defined, or the outermost of the user's; of a process that has not started, where it was
 * spawned; nil when there is none. */
static void push_initial_location(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  lua_State *co = stack_of(h, L, p);
  lua_Debug ar;
  if (mb_entry_push_function(L, p) && push_definition(h, L)) return;
  for (int level = co ? mb_depth(co) : 0; level-- > 0 && lua_getstack(co, level, &ar);) {
    lua_getinfo(co, "Sl", &ar);
    if (ar.currentline <= 0 || mb_is_own(h, ar.source)) continue;
    lua_pushfstring(L, "%s:%d", ar.short_src, ar.linedefined);
    return;
  }
  lua_pushstring(L, p->site); /* NULL: nil */
}

/* The threads in which p runs or waits, the innermost first: its own coroutines that it has resumed, and its stack. */
enum { MOST_THREADS = 256 }; /* Lua nests 200 resumes at most */

static int threads_of(struct mb_heap *h, lua_State *L, struct mb_process *p, lua_State *threads[MOST_THREADS]) {
  lua_State *co = stack_of(h, L, p);
  int count = 0;
  for (; co && count < MOST_THREADS; co = mb_resumed_by(co)) threads[count++] = co;
  for (int i = 0; i < count / 2; i++) {
    co = threads[i];
    threads[i] = threads[count - 1 - i];
    threads[count - 1 - i] = co;
  }
  return count;
}

/* Push "file:line" of the innermost line of the user's; of a process that has not started, where it was spawned; nil when
 * there is none. */
static void push_current_location(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  lua_State *threads[MOST_THREADS];
  int count = threads_of(h, L, p, threads);
  for (int i = 0; i < count; i++) {
    lua_Debug ar;
    int levels = mb_depth(threads[i]);
    for (int level = 0; level < levels && lua_getstack(threads[i], level, &ar); level++) {
      lua_getinfo(threads[i], "Sl", &ar);
      if (ar.currentline <= 0 || mb_is_own(h, ar.source)) continue;
      lua_pushfstring(L, "%s:%d", ar.short_src, ar.currentline);
      return;
    }
  }
  lua_pushstring(L, p->site); /* NULL: nil */
}

/* Push the traceback of all threads in which p runs or waits, as of one stack. */
static void push_stacktrace(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  static const char head[] = "stack traceback:";
  lua_State *threads[MOST_THREADS];
  int count = threads_of(h, L, p, threads);
  lua_pushstring(L, head);
  for (int i = 0; i < count; i++) {
    mb_push_traceback(L, p, threads[i], NULL, 0);
    lua_pushstring(L, lua_tostring(L, -1) + sizeof head - 1);
    lua_replace(L, -2);
    lua_concat(L, 2);
  }
}

static const char *status_of(const struct mb_process *p) {
  return p->state == MB_RUNNING ? "running" : p->state == MB_WAITING ? "waiting" : "runnable";
}

static const char *const info_keys[] = {
    "registered_name", "status", "message_queue_len", "messages", "links", "monitored_by",
    "monitors", "trap_exit", "dictionary", "reductions", "memory", "current_location",
    "current_stacktrace", "initial_location", "scheduler", "parent"};
enum { KEY_COUNT = sizeof info_keys / sizeof *info_keys };

/* Push the value for a key's number. */
static void push_info(struct mb_heap *h, lua_State *L, struct mb_process *p, int key) {
  switch (key) {
    case 0:
      if (!mb_push_name(h, L, p)) lua_pushnil(L);
      break;
    case 1: lua_pushstring(L, status_of(p)); break;
    case 2: lua_pushinteger(L, p->mailbox.count); break;
    case 3: {
      lua_Integer n = 0;
      lua_createtable(L, (int)p->mailbox.count, 0);
      for (struct mb_signal *s = p->mailbox.head; s; s = s->next) {
        mb_message_show(h, L, s);
        lua_rawseti(L, -2, ++n);
      }
      break;
    }
    case 4: push_links(L, p); break;
    case 5: push_watchers(L, p); break;
    case 6: push_monitors(h, L, p); break;
    case 7: lua_pushboolean(L, (p->flags & MB_TRAP_EXIT) != 0); break;
    case 8: push_dictionary(h, L, p); break;
    case 9: lua_pushinteger(L, (lua_Integer)p->reductions); break;
    case 10: lua_pushinteger(L, (lua_Integer)mb_memory_of(h, L, p, stack_of(h, L, p))); break;
    case 11: push_current_location(h, L, p); break;
    case 12: push_stacktrace(h, L, p); break;
    case 13: push_initial_location(h, L, p); break;
    case 14: lua_pushinteger(L, (lua_Integer)h->scheduler->id + 1); break;
    default:
      if (p->parent)
        mb_push_id(L, p->parent);
      else
        lua_pushnil(L);
  }
}

/* What is asked for: a set of keys' numbers, or one key. */
enum { ALL_KEYS = (1 << KEY_COUNT) - 1, ONE_KEY = 1 << KEY_COUNT };

/* Push what is asked for of p: a table by key, or the value of the one key; nil when p is NULL. */
static void push_infos(struct mb_heap *h, lua_State *L, struct mb_process *p, int wanted) {
  if (!p) {
    lua_pushnil(L);
    return;
  }
  mb_handed_to_mailbox(h, L, p);
  if (!(wanted & ONE_KEY)) lua_newtable(L);
  for (int key = 0; key < KEY_COUNT; key++) {
    if (!(wanted >> key & 1)) continue;
    push_info(h, L, p, key);
    if (!(wanted & ONE_KEY)) lua_setfield(L, -2, info_keys[key]);
  }
}

/* The number of the key at stack index `at`. */
static int check_info_key(struct mb_heap *h, lua_State *L, int at) {
  const char *wanted;
  if (lua_type(L, at) != LUA_TSTRING) return mb_bad_type(h, L, "Process.info", 2, "key, or sequence of keys", at);
  wanted = lua_tostring(L, at);
  for (int key = 0; key < KEY_COUNT; key++)
    if (strcmp(info_keys[key], wanted) == 0) return key;
  return mb_bad_argument(h, L, "Process.info", 2, "unknown key '%s'", wanted);
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
  if (mb_locate(h->scheduler, pid, &here) == MB_ELSEWHERE) return ask_owner(h, L, ASK_INFO, pid, wanted);
  push_infos(h, L, here, wanted);
  return 1;
}

/* Timers */

/* About 285 years: what is asked for beyond that is as good as never, and what is left of it fits an int64_t in ns. */
#define MOST_MS ((uint64_t)9000000000000)

/* send_after(pid | name, message, ms): or, to whoever stands there then, (registry, message, ms, key) */
static int process_send_after(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  mb_pid to = mb_to_pid(L, 1);
  struct mb_address name = {0};
  size_t size = 0;
  lua_Number ms;
  uint64_t now = mb_now(h->runtime);
  struct mb_signal *s;
  mb_ref ref;
  (void)mb_caller(h, L);
  if (h->blocking) mb_refuse_outside(h, L); /* nobody looks after timers here */
  if (!to) {
    if (lua_type(L, 1) != LUA_TSTRING)
      return mb_bad_type(h, L, "Process.send_after", 1, "pid or name", 1);
    name.registry.data = mb_check_name(h, L, 1, "Process.send_after", 1, &size);
    name.registry.size = (uint32_t)size;
  }
  if (lua_type(L, 3) != LUA_TNUMBER)
    return mb_bad_type(h, L, "Process.send_after", 3, "integer >= 0 (ms)", 3);
  ms = lua_tonumber(L, 3);
  if (!(ms >= 0) || floor(ms) != ms || ms == (lua_Number)HUGE_VAL)
    return mb_bad_argument(h, L, "Process.send_after", 3, "integer >= 0 (ms) expected, got %s",
                           luaL_tolstring(L, 3, NULL));
  if (!lua_isnone(L, 4)) (void)mb_key(h, L, 4, "Process.send_after", 1); /* it may be none: before there is a signal */
  mb_given_to(h, "Process.send_after", 0);
  s = mb_encode_signal(h, L, 2, 1, "send message", MB_MESSAGE);
  mb_given_to(h, NULL, 0);
  if (!lua_isnone(L, 4)) {
    const struct mb_buffer *key = mb_key(h, L, 4, "Process.send_after", 1);
    name.key = (struct mb_bytes){key->bytes, (uint32_t)key->size};
  }
  if (mb_delay(h->scheduler, to, to ? NULL : &name, s,
               now + (ms > MOST_MS ? MOST_MS : (uint64_t)ms) * 1000000u, &ref) != 0)
    return mb_no_memory(L);
  mb_push_id(L, ref);
  return 1;
}

/* Push the ms of what mb_delayed_read says. */
static void push_left(lua_State *L, int64_t ns) {
  if (ns < 0)
    lua_pushboolean(L, 0);
  else
    lua_pushinteger(L, (lua_Integer)((ns + 999999) / 1000000));
}

static int read_timer(lua_State *L, const char *function, int cancel) {
  static const char *const none[] = {NULL};
  struct mb_heap *h = mb_heap_of(L);
  mb_ref ref = mb_to_ref(L, 1);
  uint32_t owner = mb_ref_scheduler(ref);
  if (!ref) return mb_bad_type(h, L, function, 1, "timer reference", 1);
  mb_check_options(h, L, 2, function, 2, none);
  if (owner != h->scheduler->id && owner < atomic_load_explicit(&h->runtime->started, memory_order_acquire))
    return mb_ask(h, L, &h->runtime->schedulers[owner],
                  (struct mb_query){.posted.run = answer_query, .kind = cancel ? ASK_CANCEL : ASK_TIMER, .about = ref});
  push_left(L, mb_delayed_read(h->scheduler, ref, cancel));
  return 1;
}

static int process_cancel_timer(lua_State *L) { return read_timer(L, "Process.cancel_timer", 1); }
static int process_read_timer(lua_State *L) { return read_timer(L, "Process.read_timer", 0); }

/* Answers to other schedulers */

static int encode_answer(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  const struct mb_query *q = lua_touserdata(L, 2);
  struct mb_signal **out = lua_touserdata(L, 3);
  struct mb_scheduler *s = h->scheduler;
  luaL_checkstack(L, 20, NULL);
  lua_settop(L, 0);
  switch ((enum question)q->kind) {
    case ASK_INFO: push_infos(h, L, mb_process_here(s, q->about), q->key); break;
    case ASK_ALIVE: lua_pushboolean(L, mb_process_here(s, q->about) != NULL); break;
    default: push_left(L, mb_delayed_read(s, q->about, q->kind == ASK_CANCEL));
  }
  *out = mb_encode_signal(h, L, 1, 1, "answer", MB_REPLY);
  mb_encoded_tells((*out)->data);
  return 0;
}

/* Answer a query, or pass it on to where the process lives now. */
static void answer_query(struct mb_scheduler *s, struct mb_posted *posted) {
  struct mb_query *q = (struct mb_query *)posted;
  struct mb_heap *h = mb_scheduler_heap(s);
  lua_State *L = h->runner;
  struct mb_signal *answer = NULL;
  struct mb_process *p = q->kind <= ASK_ALIVE ? mb_process_table_lookup(&s->runtime->table, q->about) : NULL;
  if (p && !mb_is_here(s, p)) { /* it was given away meanwhile */
    mb_post(atomic_load_explicit(&p->scheduler, memory_order_acquire), posted);
    return;
  }
  if (lua_checkstack(L, 8)) {
    lua_pushcfunction(L, encode_answer);
    lua_pushlightuserdata(L, h);
    lua_pushlightuserdata(L, q);
    lua_pushlightuserdata(L, &answer);
    if (lua_pcall(L, 3, 0, 0) != LUA_OK) lua_pop(L, 1);
  }
  if (!answer) answer = mb_signal_new(MB_REPLY, 0); /* memory is out: no values */
  if (answer) {
    answer->from = 0;
    answer->ref = q->ref;
    mb_signal_send(s, q->from, answer);
  }
  free(q);
}

/* The dictionary */

/* As mb_push_dictionary, of the calling process. */
static int push_own(struct mb_heap *h, lua_State *L, int make) {
  return mb_push_dictionary(h, L, mb_current(h, L), make);
}

static void check_key(struct mb_heap *h, lua_State *L, const char *function) {
  if (lua_isnoneornil(L, 1)) mb_bad_type(h, L, function, 1, "key", 1);
  if (lua_type(L, 1) == LUA_TNUMBER && lua_tonumber(L, 1) != lua_tonumber(L, 1))
    mb_bad_argument(h, L, function, 1, "a key cannot be NaN");
}

static int process_put(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  check_key(h, L, "Process.put");
  lua_settop(L, 2);
  push_own(h, L, 1);
  lua_pushvalue(L, 1);
  lua_rawget(L, 3);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  lua_rawset(L, 3);
  return 1;
}

static int process_get(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  if (lua_isnone(L, 1)) {
    lua_newtable(L);
    if (push_own(h, L, 0)) {
      lua_pushnil(L);
      while (lua_next(L, 2)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, 1);
      }
      lua_settop(L, 1);
    }
    return 1;
  }
  check_key(h, L, "Process.get");
  lua_settop(L, 2);
  if (push_own(h, L, 0)) {
    lua_pushvalue(L, 1);
    if (lua_rawget(L, 3) != LUA_TNIL) return 1;
  }
  lua_settop(L, 2);
  return 1;
}

static int process_delete(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  check_key(h, L, "Process.delete");
  lua_settop(L, 1);
  if (!push_own(h, L, 0)) return 0;
  lua_pushvalue(L, 1);
  lua_rawget(L, 2);
  lua_pushvalue(L, 1);
  lua_pushnil(L);
  lua_rawset(L, 2);
  return 1;
}

static int process_get_keys(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  lua_Integer n = 0;
  int all = lua_isnone(L, 1);
  lua_settop(L, 1);
  lua_newtable(L);
  if (!push_own(h, L, 0)) return 1;
  lua_pushnil(L);
  while (lua_next(L, 3)) {
    if (all || lua_compare(L, -1, 1, LUA_OPEQ)) {
      lua_pushvalue(L, -2);
      lua_rawseti(L, 2, ++n);
    }
    lua_pop(L, 1);
  }
  lua_settop(L, 2);
  return 1;
}

void mb_open_process(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"process_alive", process_alive},
                                       {"process_exit", process_exit},
                                       {"process_flag", process_flag},
                                       {"process_register", process_register},
                                       {"process_unregister", process_unregister},
                                       {"process_whereis", process_whereis},
                                       {"process_registered", process_registered},
                                       {"process_list", process_list},
                                       {"process_info", process_info},
                                       {"process_send_after", process_send_after},
                                       {"process_cancel_timer", process_cancel_timer},
                                       {"process_read_timer", process_read_timer},
                                       {"process_put", process_put},
                                       {"process_get", process_get},
                                       {"process_delete", process_delete},
                                       {"process_get_keys", process_get_keys},
                                       {NULL, NULL}};
  mb_set_functions(h, L, functions);
}
