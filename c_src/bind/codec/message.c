#include "codec/message.h"

#include "code/reason_text.h"
#include "codec/codec.h"
#include "heap/closing.h"

/* Push {items...}: a sequence of the top `n` values, which it takes. */
static void sequence(lua_State *L, int n) {
  lua_createtable(L, n, 0);
  lua_insert(L, -n - 1);
  for (int i = n; i >= 1; i--) lua_rawseti(L, -1 - i, i);
}

/* What a signal is made of: its parts are pushed by these, with a negative count when a module is not loaded. */

static int push_payload(struct mb_heap *h, lua_State *L, const struct mb_signal *s, enum mb_making how) {
  if (!s->size) return 0;
  if (how == MB_WITH_TEXTS) return mb_decode_shown(h, L, s->data);
  return how == MB_WITH_LOADING ? mb_decode(h, L, s->data) : mb_decode_loaded(h, L, s->data);
}

static int push_reason(struct mb_heap *h, lua_State *L, const struct mb_signal *s, enum mb_making how) {
  if (how == MB_WITH_TEXTS) return mb_decode_shown(h, L, s->reason->data);
  if (how == MB_WITH_LOADED) return mb_push_reason_loaded(h, L, s->reason) ? 1 : MB_UNMADE;
  mb_push_reason(h, L, s->reason);
  return 1;
}

static void push_from(lua_State *L, const struct mb_signal *s) {
  lua_createtable(L, 2, 0);
  mb_push_id(L, s->from);
  lua_rawseti(L, -2, 1);
  mb_push_id(L, s->ref);
  lua_rawseti(L, -2, 2);
}

/* {ref, values... [, n = number of values where one of them is nil]} */
static int push_reply(struct mb_heap *h, lua_State *L, const struct mb_signal *s, enum mb_making how) {
  int top = lua_gettop(L), holes = 0, n;
  mb_push_id(L, s->ref);
  n = push_payload(h, L, s, how);
  if (n++ < 0) return MB_UNMADE;
  for (int i = 1; i <= n; i++) holes |= lua_isnil(L, top + i);
  lua_createtable(L, n, holes); /* room for n: to make it would move the items from their places */
  lua_insert(L, top + 1);
  for (int i = n; i >= 1; i--) lua_rawseti(L, top + 1, i);
  if (holes) {
    lua_pushinteger(L, n - 1);
    lua_setfield(L, top + 1, "n");
  }
  return 1;
}

/* {"DOWN", ref, "process", pid or {name, node}, reason} */
static int push_down(struct mb_heap *h, lua_State *L, const struct mb_signal *s, enum mb_making how) {
  int down;
  lua_createtable(L, 5, 0);
  down = lua_gettop(L);
  mb_push_ref(h, L, MB_REF_DOWN);
  lua_rawseti(L, down, 1);
  mb_push_id(L, s->ref);
  lua_rawseti(L, down, 2);
  mb_push_ref(h, L, MB_REF_PROCESS);
  lua_rawseti(L, down, 3);
  if (s->size) {
    lua_pushlstring(L, (const char *)s->data, s->size);
    lua_pushstring(L, mb_node_name(h->runtime));
    sequence(L, 2);
  } else {
    mb_push_id(L, s->from);
  }
  lua_rawseti(L, down, 4);
  if (push_reason(h, L, s, how) < 0) return MB_UNMADE;
  lua_rawseti(L, down, 5);
  return 1;
}

static int push_message(struct mb_heap *h, lua_State *L, const struct mb_signal *s, enum mb_making how) {
  if (s->kind != MB_MESSAGE) luaL_checkstack(L, 10, NULL);
  switch ((enum mb_signal_kind)s->kind) {
    case MB_CALL:
    case MB_SYSTEM:
      lua_pushstring(L, s->kind == MB_CALL ? "$gen_call" : "$system");
      push_from(L, s);
      if (push_payload(h, L, s, how) < 0) return MB_UNMADE;
      sequence(L, 3);
      return 1;
    case MB_CAST:
      lua_pushliteral(L, "$gen_cast");
      if (push_payload(h, L, s, how) < 0) return MB_UNMADE;
      sequence(L, 2);
      return 1;
    case MB_REPLY:
      return push_reply(h, L, s, how);
    case MB_EXITED:
      lua_pushliteral(L, "EXIT");
      mb_push_id(L, s->from);
      if (push_reason(h, L, s, how) < 0) return MB_UNMADE;
      sequence(L, 3);
      return 1;
    case MB_DOWN: return push_down(h, L, s, how);
    default:
      return push_payload(h, L, s, how);
  }
}

/* As core.next_event gives it. */
static int push_event(struct mb_heap *h, lua_State *L, const struct mb_signal *s, enum mb_making how) {
  switch ((enum mb_signal_kind)s->kind) {
    case MB_CALL:
    case MB_SYSTEM:
      lua_pushstring(L, s->kind == MB_CALL ? "call" : "system");
      push_from(L, s);
      return push_payload(h, L, s, how) < 0 ? MB_UNMADE : 3;
    case MB_CAST:
      lua_pushliteral(L, "cast");
      return push_payload(h, L, s, how) < 0 ? MB_UNMADE : 2;
    case MB_EXITED:
      lua_pushliteral(L, "exit");
      mb_push_id(L, s->from);
      return push_reason(h, L, s, how) < 0 ? MB_UNMADE : 3;
    default:
      lua_pushliteral(L, "info");
      return push_message(h, L, s, how) < 0 ? MB_UNMADE : 2;
  }
}

int mb_message_make(struct mb_heap *h, lua_State *L, const struct mb_signal *s, enum mb_form form, enum mb_making how) {
  switch (form) {
    case MB_FORM_MESSAGE: return push_message(h, L, s, how);
    case MB_FORM_EVENT: return push_event(h, L, s, how);
    default: return s->kind == MB_REPLY ? push_payload(h, L, s, how) : push_reason(h, L, s, how);
  }
}

void mb_message_show(struct mb_heap *h, lua_State *L, const struct mb_signal *s) {
  (void)push_message(h, L, s, MB_WITH_TEXTS);
}

/* Reasons */

/* The running process gets the reason: whether that has been logged is known to it from here on, see
 * core.is_reported. */
static void note(struct mb_heap *h, const struct mb_reason *r) {
  struct mb_process *p = mb_running(h);
  if (p && r->reported)
    p->private_flags |= MB_PRIVATE_KNOWN;
  else if (p)
    p->private_flags &= ~(uint32_t)MB_PRIVATE_KNOWN;
}

int mb_push_reason_loaded(struct mb_heap *h, lua_State *L, const struct mb_reason *r) {
  note(h, r);
  if (r->kind == MB_REASON_NORMAL) {
    mb_push_ref(h, L, MB_REF_NORMAL);
    return 1;
  }
  if (mb_decode_loaded(h, L, r->data) <= 0) return 0;
  mb_dress_reason(h, L);
  return 1;
}

/* (heap, reason) -> value */
static int decode_reason(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  int n = mb_decode(h, L, ((const struct mb_reason *)lua_touserdata(L, 2))->data);
  mb_dress_reason(h, L);
  return n;
}

void mb_push_reason_taken(struct mb_heap *h, lua_State *L, struct mb_reason *r) {
  int then = mb_unwinding(h), status;
  if (!lua_checkstack(L, LUA_MINSTACK)) {
    mb_reason_release(r);
    luaL_error(L, "stack overflow");
  }
  lua_pushcfunction(L, decode_reason);
  lua_pushlightuserdata(L, h);
  lua_pushlightuserdata(L, r);
  status = lua_pcall(L, 2, 1, 0);
  note(h, r); /* the last, whatever has been loaded meanwhile */
  mb_reason_release(r);
  if (status == LUA_OK) return;
  if (mb_unwinding_since(h, then)) mb_pass_on(h, L);
  if (status == LUA_ERRMEM) lua_error(L);
  lua_pushfstring(L, "(a reason that cannot be made here: %s)", luaL_tolstring(L, -1, NULL));
  lua_replace(L, -3);
  lua_pop(L, 1);
}

void mb_push_reason(struct mb_heap *h, lua_State *L, struct mb_reason *r) {
  if (!mb_push_reason_loaded(h, L, r)) mb_push_reason_taken(h, L, mb_reason_retain(r));
}
