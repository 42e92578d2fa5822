/* receive: taking messages out of the mailbox, by age or by pattern. Each function blocks the calling
 * process only. What a wait needs to go on is on the Lua stack; its deadline travels as the
 * continuation's context. */
#include "api/api.h"
#include "api/clauses.h"
#include "api/pattern.h"
#include "codec/message.h"
#include "core/mailbox.h"
#include "heap/arguments.h"
#include "heap/errors.h"
#include "process/current.h"
#include "process/direct.h"
#include "process/read_message.h"
#include "process/wait.h"

enum { LONG_MAILBOX = 8 }; /* a shorter one is scanned sooner than the clauses are examined */
enum { SHORT_REASON = 64 }; /* bytes; a DOWN or EXIT with it is made sooner than the clauses are asked */

static int timeout(lua_State *L) {
  lua_pushnil(L);
  lua_pushliteral(L, "timeout");
  return 2;
}

/* The oldest message, or nil, "timeout"; -1: the process has to wait. Raises when the message cannot be made. */
static inline int take_oldest(struct mb_heap *h, lua_State *L, struct mb_process *p, uint64_t deadline) {
  for (struct mb_signal *s; (s = p->mailbox.head);) {
    int n = mb_message_push(h, L, p, s, MB_FORM_MESSAGE);
    if (n < 0) {
      if (n == MB_UNMADE) return mb_raise(h, L, "%s", lua_tostring(L, -1));
      continue;
    }
    mb_take_message(h, p, s);
    return 1;
  }
  return mb_expired(p, deadline) ? timeout(L) : -1;
}

static int take_on(lua_State *L, int status, lua_KContext deadline);

static int take_or_wait(struct mb_heap *h, lua_State *L, struct mb_process *p, lua_KContext deadline) {
  for (;; p = mb_current_still(h, L)) {
    int results = mb_take_direct(p) ? 1 : take_oldest(h, L, p, (uint64_t)deadline);
    if (results > 0) return mb_worked(h, L, p, MB_COST_MESSAGE, results);
    mb_block_offering(h, L, p, (uint64_t)deadline, deadline, take_on, MB_OFFER_MESSAGE, 0);
  }
}

static int take_on(lua_State *L, int status, lua_KContext deadline) {
  struct mb_heap *h = mb_heap_of(L);
  (void)status;
  return take_or_wait(h, L, mb_current_still(h, L), deadline);
}

/* take([ms]) -> message | nil, "timeout" */
static int take(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  uint64_t deadline = 0;
  if (!lua_isnoneornil(L, 1) || h->uninterruptible)
    deadline = mb_check_deadline(h, L, 1, "receive", 1, MB_TIMEOUT_OPTIONAL);
  return take_or_wait(h, L, p, (lua_KContext)deadline);
}

/* Clauses */

static const struct mb_clauses_of received = {"receive", 1, 1, NULL};

/* Whether the pattern on the top of the stack is the reference, or a table with it among its items and fields. */
static int asks_for(lua_State *L, mb_ref ref) {
  int pattern = lua_gettop(L), found = 0;
  if (!lua_istable(L, pattern)) return mb_to_ref(L, pattern) == ref;
  if (lua_getmetatable(L, pattern)) { /* an alternative asks for something else, perhaps */
    lua_settop(L, pattern);
    return 0;
  }
  lua_pushnil(L);
  while (!found && lua_next(L, pattern)) {
    found = mb_to_ref(L, -1) == ref;
    lua_pop(L, 1);
  }
  lua_settop(L, pattern);
  return found;
}

/* The mailbox's newest reference, if no clause can match a message without it and the mailbox is long; else 0. */
static mb_ref wanted_ref(struct mb_heap *h, lua_State *L, struct mb_process *p, lua_Integer shape) {
  int top = lua_gettop(L), all = 1;
  mb_ref mark = p->mailbox.mark;
  if (!mark || p->mailbox.count < LONG_MAILBOX) return 0;
  for (lua_Integer i = 1; i <= shape / MB_SHAPE_ONE && all; i++) {
    mb_push_clause(h, L, i);
    all = asks_for(L, mark);
    lua_settop(L, top);
  }
  return all ? mark : 0;
}

/* What select gives after a timeout. */
static int select_timeout(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  int base = lua_gettop(L) + 1, is_body;
  lua_getfield(L, 1, "after");
  is_body = lua_istable(L, base);
  if (is_body) {
    is_body = lua_rawgeti(L, base, 2) != LUA_TNIL;
    lua_pop(L, 1);
  }
  if (!is_body) (void)timeout(L);
  return mb_worked(h, L, p, MB_COST_MESSAGE, mb_selected(L, base, is_body ? base : 0));
}

/* Whether no clause can match the signal, as far as can be seen without making a message of it. Of the last one in the
 * mailbox that may well be what is waited for. Stack: clauses, their shape. */
static int cannot_match(struct mb_heap *h, lua_State *L, lua_Integer shape, const struct mb_signal *s) {
  int none = 1;
  if (!s->next && (s->kind == MB_DOWN || s->kind == MB_EXITED) && s->reason->size <= SHORT_REASON) return 0;
  for (lua_Integer i = 1; i <= shape / MB_SHAPE_ONE && none; i++) {
    mb_push_clause(h, L, i);
    none = mb_cannot_match(h, L, 4, s);
    lua_settop(L, 2);
  }
  return none;
}

static int select_on(lua_State *L, int status, lua_KContext deadline);

/* Stack: clauses, their shape. */
static int select_or_wait(struct mb_heap *h, lua_State *L, struct mb_process *p, lua_Integer shape,
                          lua_KContext deadline) {
  for (;;) {
    int got = mb_take_direct(p);
    if (got) {
      int results = mb_try_clauses(h, L, shape, 3, 0);
      if (results) return mb_worked(h, L, p, MB_COST_MESSAGE, results);
      mb_hand_back(h, L, p, got);
      p->mailbox.scan = p->mailbox.scan->next;
    }
    while (p->mailbox.scan) {
      struct mb_signal *s = p->mailbox.scan;
      if (!cannot_match(h, L, shape, s)) {
        int made = mb_message_push(h, L, p, s, MB_FORM_MESSAGE);
        int results = made > 0 ? mb_try_clauses(h, L, shape, 3, 0) : 0;
        if (results) {
          mb_take_message(h, p, s);
          return mb_worked(h, L, p, MB_COST_MESSAGE, results);
        }
        lua_settop(L, 2);
        if (made < 0) continue; /* it is gone */
      }
      p->mailbox.scan = s->next;
    }
    if (mb_expired(p, (uint64_t)deadline)) return select_timeout(h, L, p);
    mb_block_offering(h, L, p, (uint64_t)deadline, deadline, select_on, MB_OFFER_MESSAGE, 0);
    p = mb_current_still(h, L);
  }
}

static int select_on(lua_State *L, int status, lua_KContext deadline) {
  struct mb_heap *h = mb_heap_of(L);
  (void)status;
  return select_or_wait(h, L, mb_current_still(h, L), lua_tointeger(L, 2), deadline);
}

static int select_oldest_on(lua_State *L, int status, lua_KContext deadline) {
  struct mb_heap *h = mb_heap_of(L);
  (void)status;
  for (;;) {
    struct mb_process *p = mb_current_still(h, L);
    int results = mb_take_direct(p) ? 1 : take_oldest(h, L, p, (uint64_t)deadline);
    if (results > 0) return mb_worked(h, L, p, MB_COST_MESSAGE, mb_selected(L, 0, 0));
    mb_block_offering(h, L, p, (uint64_t)deadline, deadline, select_oldest_on, MB_OFFER_MESSAGE, 0);
  }
}

/* select(clauses | ms) -> 3 values, body | nil, number of values: the values are the captures, or the message, or nil,
 * "timeout"; of more than 3 the first is a table of all. body is to be called with them. */
static int select_message(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  uint64_t deadline;
  lua_Integer shape;
  if (!lua_istable(L, 1)) {
    deadline = mb_check_deadline(h, L, 1, "receive", 1, MB_TIMEOUT_OPTIONAL);
    lua_settop(L, 0);
    return select_oldest_on(L, LUA_OK, (lua_KContext)deadline);
  }
  lua_settop(L, 1);
  shape = mb_clauses_shape(h, L, &received);
  mb_check_takes(h, L);
  deadline = shape & MB_SHAPE_AFTER ? mb_after_deadline(h, L, &received) : 0;
  lua_pushinteger(L, shape);
  mb_mailbox_rewind(&p->mailbox, wanted_ref(h, L, p, shape));
  return select_or_wait(h, L, p, shape, (lua_KContext)deadline);
}

static int sleep_on(lua_State *L, int status, lua_KContext deadline) {
  struct mb_heap *h = mb_heap_of(L);
  (void)status;
  for (;;) {
    struct mb_process *p = mb_current_still(h, L);
    if (mb_expired(p, (uint64_t)deadline)) break;
    mb_block(h, L, p, (uint64_t)deadline, deadline, sleep_on);
  }
  lua_pushboolean(L, 1);
  return mb_worked(h, L, mb_current_still(h, L), MB_COST_MESSAGE, 1);
}

static int do_sleep(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  uint64_t deadline = mb_check_deadline(h, L, 1, "sleep", 1, MB_TIMEOUT_REQUIRED);
  return sleep_on(L, LUA_OK, (lua_KContext)deadline);
}

void mb_open_receive(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"take", take}, {"select", select_message}, {"sleep", do_sleep}, {NULL, NULL}};
  mb_set_functions(h, L, functions);
}
