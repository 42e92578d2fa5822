/* Requests and replies: what calls, tasks and the starting of servers are made of. A request carries the
 * caller's pid and the reference of a monitor on the receiver; a reply is let into the caller's mailbox
 * only while that monitor is active, so late replies vanish by themselves. */
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/destination.h"
#include "codec/codec.h"
#include "codec/message.h"
#include "core/mailbox.h"
#include "heap/arguments.h"
#include "heap/errors.h"
#include "process/answer.h"
#include "process/current.h"
#include "process/direct.h"
#include "process/read_message.h"
#include "process/wait.h"
#include "replica/replica.h"

/* Waits for the answer to a call. Stack: 1 reference. -> true, values... | false, reason */
static int call_on(lua_State *L, int status, lua_KContext deadline) {
  struct mb_heap *h = mb_heap_of(L);
  mb_ref ref = mb_to_ref(L, 1);
  struct mb_process *p = mb_current_still(h, L);
  (void)status;
  for (;;) {
    struct mb_signal *s;
    if (mb_take_direct(p)) {
      mb_flush_ref(h, p, ref); /* a second reply to this request, too */
      lua_pushboolean(L, 1);
      lua_replace(L, 1);
      return mb_worked(h, L, p, MB_COST_MESSAGE, lua_gettop(L));
    }
    s = mb_find_answer(p, ref);
    if (s) {
      int n;
      lua_pushboolean(L, s->kind == MB_REPLY);
      n = mb_answer_take(h, L, p, s);
      mb_flush_ref(h, p, ref); /* a second reply to this request, too */
      if (n < 0) return mb_answer_unmade(h, L, n);
      return mb_worked(h, L, p, MB_COST_MESSAGE, n + 1);
    }
    if (mb_expired(p, (uint64_t)deadline)) {
      mb_flush_ref(h, p, ref);
      lua_pushboolean(L, 0);
      lua_pushliteral(L, "timeout");
      return 2;
    }
    h->asked = ref;
    mb_block_offering(h, L, p, (uint64_t)deadline, deadline, call_on, MB_OFFER_REPLY, ref);
    p = mb_current_still(h, L);
  }
}

static int refused(lua_State *L, const char *reason) {
  lua_pushboolean(L, 0);
  lua_pushstring(L, reason);
  return 2;
}

/* (server, request, ms [, name of the user's function, for errors]) -> as call_on */
static int request(lua_State *L, enum mb_signal_kind kind) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  const char *name = luaL_optstring(L, 4, kind == MB_CALL ? "GenServer.call" : "GenServer.stop");
  mb_pid server = mb_check_destination(h, L, 1, name, 1, MB_NAMES).pid; /* 0: nobody */
  uint64_t deadline = mb_check_deadline(h, L, 3, name, 3, MB_TIMEOUT_OPTIONAL);
  struct mb_signal *s = NULL; /* the request, unless it has been sent directly */
  mb_ref ref = mb_ref_new(h->scheduler);
  lua_settop(L, 4);
  if (kind != MB_CALL || !mb_request_direct(h, L, server, mb_pid_of(p), ref, 2)) {
    mb_replicate_to(h, L, server);
    if (kind == MB_CALL && (strncmp(name, "GenServer.", 10) == 0 || strncmp(name, "StateMachine.", 13) == 0))
      mb_given_to(h, name, MB_GIVEN_ITSELF, 2);
    else
      mb_given_to(h, name, MB_GIVEN_PACKED, 0);
    s = mb_encode_signal(h, L, 2, 1, "send request", kind);
    mb_given_to_nobody(h);
    if (server == mb_pid_of(p) || !mb_process_table_lookup(&h->runtime->table, server)) {
      mb_signal_free(s);
      return refused(L, server == mb_pid_of(p) ? "calling_self" : "noproc");
    }
  }
  if (mb_monitor(h->scheduler, p, server, NULL, 0, MB_MONITOR_ALIAS, ref) != 0) {
    if (s) mb_signal_free(s);
    return mb_no_memory(L);
  }
  if (s) {
    s->from = mb_pid_of(p);
    s->ref = ref;
    mb_signal_send(h->scheduler, server, s);
  }
  lua_settop(L, 0);
  mb_push_id(L, ref);
  mb_mailbox_rewind(&p->mailbox, ref);
  return call_on(L, LUA_OK, (lua_KContext)deadline);
}

static int call(lua_State *L) { return request(L, MB_CALL); }

/* system(server, request, ms, function): as call; function is the user's, for errors */
static int system_request(lua_State *L) { return request(L, MB_SYSTEM); }

/* cast(server, request [, name of the user's function]) -> true */
static int cast(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_worker(h, L);
  const char *name = luaL_optstring(L, 3, "GenServer.cast");
  mb_pid server = mb_check_destination(h, L, 1, name, 1, MB_NAMES).pid; /* 0: nobody */
  struct mb_signal *s;
  lua_settop(L, 3);
  if (!mb_request_direct(h, L, server, 0, 0, 2)) {
    mb_replicate_to(h, L, server);
    mb_given_to(h, name, MB_GIVEN_ITSELF, 2);
    s = mb_encode_signal(h, L, 2, 1, "send request", MB_CAST);
    mb_given_to_nobody(h);
    s->from = mb_caller_pid(h, L);
    if (server)
      mb_signal_send(h->scheduler, server, s);
    else
      mb_signal_free(s);
  }
  lua_pushboolean(L, 1);
  return mb_worked(h, L, p, MB_COST_MESSAGE, 1);
}

/* Stack: pid, ref, values. The user's function is NULL for what the library's own processes reply. */
static int reply_from(lua_State *L, const char *function) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_worker(h, L);
  mb_pid to = mb_to_pid(L, 1);
  mb_ref ref = mb_to_ref(L, 2);
  struct mb_signal *s;
  if (!to || !ref) return mb_bad_argument(h, L, "GenServer.reply", 1, "the from of a call expected, got another table");
  if (!mb_reply_direct(h, L, to, ref, 3)) {
    int is_task = p && p->private_flags & MB_PRIVATE_TASK;
    mb_replicate_to(h, L, to);
    if (function) mb_given_to(h, function, MB_GIVEN_ITSELF, 2);
    s = mb_encode_signal(h, L, 3, lua_gettop(L) - 2, is_task ? "copy the result of the task" : "copy the reply", MB_REPLY);
    mb_given_to_nobody(h);
    s->from = mb_caller_pid(h, L);
    s->ref = ref;
    mb_signal_send(h->scheduler, to, s);
  }
  lua_pushboolean(L, 1);
  return mb_worked(h, L, p, MB_COST_MESSAGE, 1);
}

/* reply(pid, ref, ...) -> true */
static int reply(lua_State *L) { return reply_from(L, NULL); }

/* reply_to(pid, ref, value) -> true: GenServer.reply */
static int reply_to(lua_State *L) { return reply_from(L, "GenServer.reply"); }

/* next_event([ms]): the oldest message. */
static int next_event_on(lua_State *L, int status, lua_KContext deadline) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current_still(h, L);
  (void)status;
  for (;;) {
    struct mb_signal *s = p->mailbox.head;
    if (mb_take_direct(p)) return mb_worked(h, L, p, MB_COST_MESSAGE, lua_gettop(L));
    if (s) {
      if (mb_message_push(h, L, p, s, MB_FORM_EVENT) < 0) { /* it is gone, and the server goes on */
        lua_settop(L, 0);
        continue;
      }
      mb_take_message(h, p, s);
      return mb_worked(h, L, p, MB_COST_MESSAGE, lua_gettop(L));
    }
    if (mb_expired(p, (uint64_t)deadline)) {
      lua_pushliteral(L, "timeout");
      return 1;
    }
    mb_block_offering(h, L, p, (uint64_t)deadline, deadline, next_event_on, MB_OFFER_EVENT, 0);
    p = mb_current_still(h, L);
  }
}

static int next_event(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  uint64_t deadline = mb_check_deadline(h, L, 1, "next_event", 1, MB_TIMEOUT_OPTIONAL);
  lua_settop(L, 0);
  return next_event_on(L, LUA_OK, (lua_KContext)deadline);
}

/* next_system_event(parent | nil): as next_event, but system requests and the parent's exit alone; the others stay
 * where they are. Stack: 1 parent. */
static int next_system_event_on(lua_State *L, int status, lua_KContext unused) {
  struct mb_heap *h = mb_heap_of(L);
  mb_pid parent = mb_to_pid(L, 1);
  (void)status;
  (void)unused;
  for (;;) {
    struct mb_process *p = mb_current_still(h, L);
    for (struct mb_signal *s; (s = p->mailbox.scan);) {
      if (s->kind != MB_SYSTEM && !(s->kind == MB_EXITED && parent && s->from == parent)) {
        p->mailbox.scan = s->next;
        continue;
      }
      if (mb_message_push(h, L, p, s, MB_FORM_EVENT) < 0) { /* it is gone */
        lua_settop(L, 1);
        continue;
      }
      lua_remove(L, 1);
      mb_take_message(h, p, s);
      return mb_worked(h, L, p, MB_COST_MESSAGE, lua_gettop(L));
    }
    mb_block(h, L, p, 0, 0, next_system_event_on);
  }
}

static int next_system_event(lua_State *L) {
  lua_settop(L, 1);
  mb_mailbox_rewind(&mb_current(mb_heap_of(L), L)->mailbox, 0);
  return next_system_event_on(L, LUA_OK, 0);
}

/* await_message(): waits for a message, and leaves it where it is */
static int await_message_on(lua_State *L, int status, lua_KContext unused) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current_still(h, L);
  (void)status;
  (void)unused;
  while (!p->mailbox.head) {
    mb_block(h, L, p, 0, 0, await_message_on);
    p = mb_current_still(h, L);
  }
  return 0;
}

static int await_message(lua_State *L) {
  (void)mb_current(mb_heap_of(L), L);
  return await_message_on(L, LUA_OK, 0);
}

/* has_message() -> whether a message waits */
static int has_message(lua_State *L) {
  const struct mb_process *p = mb_current(mb_heap_of(L), L);
  lua_pushboolean(L, p->mailbox.head || atomic_load_explicit(&p->inbox, memory_order_relaxed));
  return 1;
}

/* The oldest reply or DOWN that has not been scanned and whose reference is a key of the table at index 1. */
static struct mb_signal *find_one_of(lua_State *L, struct mb_process *p) {
  for (struct mb_signal *s; (s = p->mailbox.scan); p->mailbox.scan = s->next) {
    int is_one;
    if (s->kind != MB_REPLY && s->kind != MB_DOWN) continue;
    mb_push_id(L, s->ref);
    lua_rawget(L, 1);
    is_one = lua_toboolean(L, -1);
    lua_pop(L, 1);
    if (is_one) return s;
  }
  return NULL;
}

/* await(ref | {[ref] = true...}, ms [, on]) -> ref, "reply", values... | ref, "down", reason | nil. With `on`, what the
 * last await has passed over is not scanned again: the same references are awaited, or some of them.
 * Stack: 1 what is awaited. */
static int await_on(lua_State *L, int status, lua_KContext deadline) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current_still(h, L);
  mb_ref one = mb_to_ref(L, 1);
  (void)status;
  for (;;) {
    struct mb_signal *s;
    if (mb_take_direct(p)) {
      lua_pushliteral(L, "reply");
      lua_insert(L, 2);
      return mb_worked(h, L, p, MB_COST_MESSAGE, lua_gettop(L));
    }
    s = one ? mb_find_answer(p, one) : find_one_of(L, p);
    if (s) {
      int n;
      mb_push_id(L, s->ref);
      lua_pushstring(L, s->kind == MB_REPLY ? "reply" : "down");
      n = mb_answer_take(h, L, p, s);
      if (n < 0) return mb_answer_unmade(h, L, n);
      return mb_worked(h, L, p, MB_COST_MESSAGE, n + 2);
    }
    if (mb_expired(p, (uint64_t)deadline)) {
      lua_pushnil(L);
      return 1;
    }
    if (one)
      mb_block_offering(h, L, p, (uint64_t)deadline, deadline, await_on, MB_OFFER_REPLY, one);
    else
      mb_block(h, L, p, (uint64_t)deadline, deadline, await_on);
    p = mb_current_still(h, L);
  }
}

static int await(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  uint64_t deadline = mb_check_deadline(h, L, 2, "await", 2, MB_TIMEOUT_OPTIONAL);
  if (!mb_to_ref(L, 1)) luaL_checktype(L, 1, LUA_TTABLE);
  if (!lua_toboolean(L, 3)) mb_mailbox_rewind(&p->mailbox, mb_to_ref(L, 1));
  lua_settop(L, 1);
  return await_on(L, LUA_OK, (lua_KContext)deadline);
}

/* flush_exit(pid) -> true, reason | false: takes {"EXIT", pid, _} out of the mailbox. */
static int flush_exit(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  mb_pid pid = mb_check_pid(h, L, 1, "flush_exit", 1);
  struct mb_reason *reason;
  struct mb_signal *s;
  mb_check_takes(h, L);
  s = mb_mailbox_find(&p->mailbox, p->mailbox.head, pid);
  lua_pushboolean(L, s != NULL);
  if (!s) return 1;
  reason = mb_reason_retain(s->reason);
  mb_take_message(h, p, s);
  mb_push_reason_taken(h, L, reason);
  return 2;
}

/* take_exits({[pid] = true...}) -> {[pid] = reason...}: takes the {"EXIT", pid, _} of these pids out of the mailbox. */
static int take_exits(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_newtable(L);
  for (struct mb_signal *s = p->mailbox.head, *next; s; s = next) {
    next = s->next;
    if (s->kind != MB_EXITED) continue;
    mb_push_id(L, s->from);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, 1) != LUA_TNIL) {
      lua_pop(L, 1);
      if (mb_push_reason_loaded(h, L, s->reason)) {
        mb_take_message(h, p, s);
      } else { /* making it may run code that takes messages */
        struct mb_reason *reason = mb_reason_retain(s->reason);
        mb_take_message(h, p, s);
        mb_push_reason_taken(h, L, reason);
        next = p->mailbox.head;
      }
      lua_rawset(L, 2);
    }
    lua_settop(L, 2);
  }
  return 1;
}

/* monitoring(ref) -> whether the monitor is active */
static int monitoring(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  lua_pushboolean(L, mb_map_get(&mb_current(h, L)->monitors, mb_to_ref(L, 1)) != NULL);
  return 1;
}

void mb_open_request(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {
      {"call", call},       {"system", system_request}, {"cast", cast},
      {"next_system_event", next_system_event}, {"has_message", has_message},
      {"await_message", await_message},
      {"reply", reply}, {"reply_to", reply_to}, {"next_event", next_event}, {"await", await},
      {"flush_exit", flush_exit}, {"take_exits", take_exits}, {"monitoring", monitoring},
      {NULL, NULL}};
  mb_set_functions(h, L, functions);
}
