/* receive: taking messages out of the mailbox, by age or by pattern. Each function blocks the calling
 * process only. What a wait needs to go on is on the Lua stack; its deadline travels as the
 * continuation's context. */
#include <string.h>

#include "api/api.h"
#include "api/pattern.h"
#include "codec/message.h"
#include "core/mailbox.h"
#include "heap/arguments.h"
#include "heap/closing.h"
#include "heap/errors.h"
#include "heap/fields.h"
#include "process/current.h"
#include "process/direct.h"
#include "process/read_message.h"
#include "process/wait.h"

enum { KNOWN_SHAPES = 8 };

/* Metatables of matchers and the shapes they stand for: the last ones that were made. */
struct mb_shapes {
  struct shape {
    const void *metatable;
    lua_Integer shape;
  } known[KNOWN_SHAPES];
  unsigned next;
};

enum { LONG_MAILBOX = 8 }; /* a shorter one is scanned sooner than the clauses are examined */

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

static int ill_formed(struct mb_heap *h, lua_State *L, const char *function, const char *text, int i) {
  return mb_bad_argument(h, L, function, 1, text, i);
}

static int is_callable(lua_State *L, int index) {
  if (lua_isfunction(L, index)) return 1;
  if (luaL_getmetafield(L, index, "__call") == LUA_TNIL) return 0;
  lua_pop(L, 1);
  return 1;
}

/* The shape of a table of clauses: how many there are, times SHAPE_ONE, and whether any of these is there. */
enum { SHAPE_AFTER = 1, SHAPE_GUARDS = 2, SHAPE_ONE = 4 };

/* Check clause i, on the top of the stack, and drop it; returns SHAPE_GUARDS if it has one. */
static int check_clause(struct mb_heap *h, lua_State *L, const char *function, int i) {
  int clause = lua_gettop(L), has_pattern = 0, guarded = 0;
  if (!lua_istable(L, clause))
    ill_formed(h, L, function, "clause %d is no table: a clause is {pattern, [when = guard,] [body]}", i);
  lua_pushnil(L);
  while (lua_next(L, clause)) {
    int key = clause + 1, value = clause + 2, ok = 0;
    if (lua_type(L, key) == LUA_TNUMBER) {
      lua_Integer n = lua_tointeger(L, key); /* 0 for 1.5 */
      if (n == 1) ok = has_pattern = 1;
      if (n == 2) ok = is_callable(L, value);
    } else if (lua_type(L, key) == LUA_TSTRING && strcmp(lua_tostring(L, key), "when") == 0) {
      guarded = SHAPE_GUARDS;
      ok = is_callable(L, value);
    }
    if (!ok)
      ill_formed(h, L, function,
                 "clause %d is ill-formed: it is {pattern, [when = guard,] [body]}, guard and body functions", i);
    lua_settop(L, key);
  }
  if (!has_pattern) ill_formed(h, L, function, "clause %d has no pattern", i);
  lua_settop(L, clause - 1);
  return guarded;
}

/* Check the clauses at stack index 1; returns their shape. */
static lua_Integer check_clauses(struct mb_heap *h, lua_State *L, const char *function) {
  int count = 0, flags = 0, top = lua_gettop(L);
  lua_pushnil(L);
  while (lua_next(L, 1)) {
    if (lua_isinteger(L, top + 1)) {
      count++;
    } else if (lua_type(L, top + 1) != LUA_TSTRING || strcmp(lua_tostring(L, top + 1), "after")) {
      mb_bad_argument(h, L, function, 1, "unknown field '%s' beside the clauses; only 'after' may stand there",
                      mb_push_short(L, luaL_tolstring(L, top + 1, NULL)));
    } else {
      flags |= SHAPE_AFTER;
    }
    lua_settop(L, top + 1);
  }
  for (int i = 1; i <= count; i++) {
    lua_rawgeti(L, 1, i);
    flags |= check_clause(h, L, function, i);
  }
  return (lua_Integer)count * SHAPE_ONE + flags;
}

/* Whether a table has more than one field: a function under a name, perhaps, beside its first item. */
static int has_fields(lua_State *L, int table) {
  int top = lua_gettop(L), count = 0;
  lua_pushnil(L);
  while (count < 2 && lua_next(L, table)) {
    lua_settop(L, top + 1);
    count++;
  }
  lua_settop(L, top);
  return count == 2;
}

/* The deadline of `after` in the clauses at index 1. */
static uint64_t after_deadline(struct mb_heap *h, lua_State *L, const char *function) {
  uint64_t deadline;
  int top = lua_gettop(L);
  lua_getfield(L, 1, "after");
  if (lua_istable(L, -1)) {
    lua_rawgeti(L, -1, 1);
    lua_rawgeti(L, -2, 2);
    if (lua_rawlen(L, top + 1) > 2 || (lua_isnil(L, -1) ? has_fields(L, top + 1) : !is_callable(L, -1)))
      mb_bad_argument(h, L, function, 1, "after is ms or {ms, function}");
    lua_pop(L, 1);
    if (lua_isnil(L, -1)) mb_bad_argument(h, L, function, 1, "after is ms or {ms, function}");
  }
  deadline = mb_check_deadline(h, L, -1, function, 1, MB_TIMEOUT_OPTIONAL);
  lua_settop(L, top);
  return deadline;
}

/* Push clause i of those at index 1, which have been checked, and its pattern. A matcher may have been changed
 * since. */
static void push_clause(struct mb_heap *h, lua_State *L, lua_Integer i) {
  if (lua_rawgeti(L, 1, i) != LUA_TTABLE)
    mb_bad_argument(h, L, "receive", 1, "clause %d is no table any more: the matcher has been changed", (int)i);
  lua_rawgeti(L, -1, 1);
}

/* Whether the pattern on the top of the stack is the reference, or a table with it among its items and fields. */
static int asks_for(lua_State *L, mb_ref ref) {
  int pattern = lua_gettop(L), found = 0;
  if (!lua_istable(L, pattern)) return mb_to_ref(L, pattern) == ref;
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
  for (lua_Integer i = 1; i <= shape / SHAPE_ONE && all; i++) {
    push_clause(h, L, i);
    all = asks_for(L, mark);
    lua_settop(L, top);
  }
  return all ? mark : 0;
}

/* A guard holds when it returns true; one that raises does not. */
static int guard_holds(struct mb_heap *h, lua_State *L, int guard, int first) {
  int n = lua_gettop(L) - first + 1, ok;
  luaL_checkstack(L, n + 3, NULL);
  lua_pushvalue(L, guard);
  for (int i = 0; i < n; i++) lua_pushvalue(L, first + i);
  h->uninterruptible++;
  ok = mb_pcall(h, L, n, 1) == LUA_OK && lua_toboolean(L, -1);
  h->uninterruptible--;
  lua_pop(L, 1);
  return ok;
}

/* What select gives to Lua's side, which passes it on to a body: at most so many values as they are, then body and
 * number. Of more values, the first is a table of them all. */
enum { FEW_VALUES = 3, SELECTED = FEW_VALUES + 2 };

/* Push what select gives when the values are those above `base` and `body` is the body's stack index, 0: none. */
static int selected(lua_State *L, int base, int body) {
  int count = lua_gettop(L) - base;
  if (count > FEW_VALUES) {
    lua_createtable(L, count, 0);
    lua_insert(L, base + 1);
    for (int i = count; i >= 1; i--) lua_rawseti(L, base + 1, i);
  }
  lua_settop(L, base + FEW_VALUES);
  if (body)
    lua_rawgeti(L, body, 2);
  else
    lua_pushnil(L);
  lua_pushinteger(L, count);
  return SELECTED;
}

/* Try the value on the top of the stack, at `value`, against the clauses at index 1. 0, or SELECTED results were
 * pushed. */
static int try_clauses(struct mb_heap *h, lua_State *L, lua_Integer shape, int value) {
  int clause = value + 1, pattern = value + 2;
  for (lua_Integer i = 1; i <= shape / SHAPE_ONE; i++) {
    push_clause(h, L, i);
    if (mb_match(h, L, pattern, value)) {
      int ok = 1;
      if (lua_gettop(L) == pattern) lua_pushvalue(L, value);
      if (shape & SHAPE_GUARDS) {
        lua_pushliteral(L, "when");
        if (lua_rawget(L, clause) != LUA_TNIL) {
          lua_replace(L, pattern);
          ok = guard_holds(h, L, pattern, pattern + 1);
        } else {
          lua_pop(L, 1);
        }
      }
      if (ok) return selected(L, pattern, clause);
    }
    lua_settop(L, value);
  }
  return 0;
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
  return mb_worked(h, L, p, MB_COST_MESSAGE, selected(L, base, is_body ? base : 0));
}

static int select_on(lua_State *L, int status, lua_KContext deadline);

/* Stack: clauses, their shape. */
static int select_or_wait(struct mb_heap *h, lua_State *L, struct mb_process *p, lua_Integer shape,
                          lua_KContext deadline) {
  for (;;) {
    if (mb_take_direct(p)) {
      int results = try_clauses(h, L, shape, 3);
      if (results) return mb_worked(h, L, p, MB_COST_MESSAGE, results);
      mb_hand_back(h, L, p);
      p->mailbox.scan = p->mailbox.scan->next;
    }
    while (p->mailbox.scan) {
      struct mb_signal *s = p->mailbox.scan;
      int possible = 0;
      for (lua_Integer i = 1; i <= shape / SHAPE_ONE && !possible; i++) {
        push_clause(h, L, i);
        possible = !mb_cannot_match(h, L, 4, s);
        lua_settop(L, 2);
      }
      if (possible) {
        int made = mb_message_push(h, L, p, s, MB_FORM_MESSAGE), results = made > 0 ? try_clauses(h, L, shape, 3) : 0;
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

static const char shape_key; /* its address is the key of the shape in a matcher's metatable */

/* The shape that the metatable at index 2 stands for; -1: none. A matcher's that has travelled has a metatable of its
 * own. */
static lua_Integer shape_of_metatable(struct mb_heap *h, lua_State *L) {
  const void *identity = lua_topointer(L, 2);
  for (int i = 0; i < KNOWN_SHAPES; i++)
    if (h->shapes->known[i].metatable == identity) return h->shapes->known[i].shape;
  return lua_rawgetp(L, 2, &shape_key) == LUA_TNIL ? -1 : lua_tointeger(L, 3);
}

/* The shape of the clauses at index 1, which have been checked if they are a matcher's, and are now if not. */
static lua_Integer shape_of(struct mb_heap *h, lua_State *L) {
  lua_Integer shape = -1;
  if (lua_getmetatable(L, 1)) {
    shape = shape_of_metatable(h, L);
    lua_settop(L, 1);
  }
  return shape >= 0 ? shape : check_clauses(h, L, "receive");
}

static int select_oldest_on(lua_State *L, int status, lua_KContext deadline) {
  struct mb_heap *h = mb_heap_of(L);
  (void)status;
  for (;;) {
    struct mb_process *p = mb_current_still(h, L);
    int results = mb_take_direct(p) ? 1 : take_oldest(h, L, p, (uint64_t)deadline);
    if (results > 0) return mb_worked(h, L, p, MB_COST_MESSAGE, selected(L, 0, 0));
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
  shape = shape_of(h, L);
  mb_check_takes(h, L);
  deadline = shape & SHAPE_AFTER ? after_deadline(h, L, "receive") : 0;
  lua_pushinteger(L, shape);
  mb_mailbox_rewind(&p->mailbox, wanted_ref(h, L, p, shape));
  return select_or_wait(h, L, p, shape, (lua_KContext)deadline);
}

/* Push the metatable of matchers of a shape. The heap keeps it, so that its address stays its own. */
static void push_metatable(struct mb_heap *h, lua_State *L, lua_Integer shape) {
  mb_push_ref(h, L, MB_REF_SHAPES);
  if (lua_rawgeti(L, -1, shape) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_createtable(L, 0, 2);
    lua_pushliteral(L, "matcher");
    lua_setfield(L, -2, "__name");
    lua_pushinteger(L, shape);
    lua_rawsetp(L, -2, &shape_key);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, shape);
    h->shapes->known[h->shapes->next++ % KNOWN_SHAPES] = (struct shape){lua_topointer(L, -1), shape};
  }
  lua_remove(L, -2);
}

/* matcher(clauses) -> the same clauses, checked once */
static int matcher(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  lua_Integer shape;
  if (!lua_istable(L, 1)) return mb_bad_type(h, L, "matcher", 1, "table of clauses", 1);
  lua_settop(L, 1);
  shape = check_clauses(h, L, "matcher");
  if (shape & SHAPE_AFTER) (void)after_deadline(h, L, "matcher");
  lua_createtable(L, (int)(shape / SHAPE_ONE), shape & SHAPE_AFTER);
  mb_fields_copy(L, 1, 2);
  push_metatable(h, L, shape);
  lua_setmetatable(L, 2);
  return 1;
}

/* match(pattern, value) -> true, captures... | false */
static int match_value(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  lua_settop(L, 2);
  if (!mb_match(h, L, 1, 2)) {
    lua_pushboolean(L, 0);
    return 1;
  }
  lua_pushboolean(L, 1);
  lua_insert(L, 3);
  return lua_gettop(L) - 2;
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
  static const luaL_Reg functions[] = {{"take", take}, {"select", select_message}, {"matcher", matcher},
                                       {"match", match_value}, {"sleep", do_sleep}, {NULL, NULL}};
  h->shapes = mb_heap_part(L, sizeof *h->shapes);
  mb_set_functions(h, L, functions);
}
