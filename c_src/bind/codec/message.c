#include "codec/message.h"

#include "api/api.h"
#include "codec/codec.h"
#include "core/mailbox.h"
#include "log/crash.h"
#include "process/closing.h"
#include "replica/replica.h"

enum { LARGE = 1024 }; /* bytes; making more of a message than that is protected against the end of memory */

/* Push {items...}: a sequence of the top `n` values, which it takes. */
static void sequence(lua_State *L, int n) {
  lua_createtable(L, n, 0);
  lua_insert(L, -n - 1);
  for (int i = n; i >= 1; i--) lua_rawseti(L, -1 - i, i);
}

/* What a signal is made of: its parts are pushed by these, with a negative count when a module is not loaded. */

enum how { LOADED, LOADING, SHOWN }; /* with loaded modules only; loading them; with texts for what is not loaded */

static int push_payload(struct mb_heap *h, lua_State *L, const struct mb_signal *s, enum how how) {
  if (!s->size) return 0;
  if (how == SHOWN) return mb_decode_shown(h, L, s->data);
  return how == LOADING ? mb_decode(h, L, s->data) : mb_decode_loaded(h, L, s->data);
}

static int push_reason(struct mb_heap *h, lua_State *L, const struct mb_signal *s, enum how how) {
  if (how == SHOWN) return mb_decode_shown(h, L, s->reason->data);
  if (how == LOADED) return mb_push_reason_loaded(h, L, s->reason) ? 1 : MB_UNMADE;
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
static int push_reply(struct mb_heap *h, lua_State *L, const struct mb_signal *s, enum how how) {
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

static int push_message(struct mb_heap *h, lua_State *L, const struct mb_signal *s, enum how how) {
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
    case MB_DOWN:
      lua_pushliteral(L, "DOWN");
      mb_push_id(L, s->ref);
      lua_pushliteral(L, "process");
      if (s->size) {
        lua_pushlstring(L, (const char *)s->data, s->size);
        lua_pushliteral(L, "nonode@nohost");
        sequence(L, 2);
      } else {
        mb_push_id(L, s->from);
      }
      if (push_reason(h, L, s, how) < 0) return MB_UNMADE;
      sequence(L, 5);
      return 1;
    default:
      return push_payload(h, L, s, how);
  }
}

/* As core.next_event gives it. */
static int push_event(struct mb_heap *h, lua_State *L, const struct mb_signal *s, enum how how) {
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

/* Push what s says in a form: how many values; MB_UNMADE, with anything pushed, when a module is not loaded. */
static int push(struct mb_heap *h, lua_State *L, const struct mb_signal *s, enum mb_form form, enum how how) {
  switch (form) {
    case MB_FORM_MESSAGE: return push_message(h, L, s, how);
    case MB_FORM_EVENT: return push_event(h, L, s, how);
    default: return s->kind == MB_REPLY ? push_payload(h, L, s, how) : push_reason(h, L, s, how);
  }
}

/* (heap, signal, form) -> the values */
static int push_loading(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  const struct mb_signal *s = lua_touserdata(L, 2);
  enum mb_form form = (enum mb_form)lua_tointeger(L, 3);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  lua_settop(L, 0);
  mb_replica_refresh(h, L);
  return push(h, L, s, form, LOADING);
}

/* (heap, process, signal, why) -> the text: what has been sent cannot be made */
static int explain(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  struct mb_process *p = lua_touserdata(L, 2);
  const struct mb_signal *s = lua_touserdata(L, 3);
  const char *why = luaL_tolstring(L, 4, NULL);
  char text[MB_ID_TEXT];
  lua_pushlstring(L, text, mb_pid_text(mb_pid_of(p), text));
  if (mb_push_name(h, L, p)) {
    lua_pushfstring(L, "%s (%s)", lua_tostring(L, -2), lua_tostring(L, -1));
    lua_replace(L, -3);
    lua_pop(L, 1);
  }
  (void)mb_pid_text(s->from, text);
  if (s->from)
    lua_pushfstring(L, "a message from %s", text);
  else
    lua_pushstring(L, s->kind == MB_REPLY ? "the runtime's answer" : "a message from an unknown sender");
  lua_pushfstring(L, "%s to %s cannot be made and has been dropped: %s", lua_tostring(L, -1), lua_tostring(L, -2), why);
  return 1;
}

/* (heap, text) -> the reason */
static int make_reason(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  lua_pushlightuserdata(L, mb_encode_reason(h, L, 2));
  return 1;
}

/* Nothing can be made of the request s: whoever waits for its answer hears so at once, as if p had died of the text on the top
 * of the stack. */
static void refuse(struct mb_heap *h, lua_State *L, struct mb_process *p, const struct mb_signal *s) {
  struct mb_signal *down = mb_signal_take(h->scheduler, MB_DOWN, 0);
  if (!down) return;
  lua_pushcfunction(L, make_reason);
  lua_pushlightuserdata(L, h);
  lua_pushvalue(L, -3);
  down->reason = lua_pcall(L, 2, 1, 0) == LUA_OK ? lua_touserdata(L, -1) : mb_reason_retain(h->no_memory);
  lua_pop(L, 1);
  down->from = mb_pid_of(p);
  down->ref = s->ref;
  mb_map_remove(&p->monitored_by, s->ref, NULL); /* the other side forgets it when it hears of this */
  mb_signal_send(h->scheduler, s->from, down);
}

/* Free s, which is out of p's mailbox. Why it cannot be made is on the top of the stack: tell whom it concerns, and leave the
 * text. Raises in a task whose work it was: that has nothing else to do. */
static void drop(struct mb_heap *h, lua_State *L, struct mb_process *p, struct mb_signal *s) {
  int top = lua_gettop(L), request = s->kind == MB_CALL || s->kind == MB_SYSTEM, status;
  int work = s->kind == MB_CALL && p->private_flags & MB_PRIVATE_AWAITS_WORK;
  lua_pushcfunction(L, explain);
  lua_pushlightuserdata(L, h);
  lua_pushlightuserdata(L, p);
  lua_pushlightuserdata(L, s);
  lua_pushvalue(L, top);
  status = lua_pcall(L, 4, 1, 0);
  if (request && !work) refuse(h, L, p, s);
  mb_signal_give(h->scheduler, s);
  lua_replace(L, top); /* memory is out: its text is as good */
  if (work) lua_error(L);
  if (status == LUA_OK) {
    lua_pushvalue(L, top);
    mb_log(h, L, MB_LOG_ERROR);
  } else {
    mb_log_failure(h, L);
  }
}

static void take_out(struct mb_heap *h, struct mb_process *p, struct mb_signal *s) {
  mb_mailbox_remove(&p->mailbox, s);
  mb_count(&h->scheduler->messages, -1);
}

static int push_protected(struct mb_heap *h, lua_State *L, struct mb_process *p, struct mb_signal *s, enum mb_form form) {
  int top = lua_gettop(L), then = mb_unwinding(h), status;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  take_out(h, p, s);
  s->tried = 0;
  lua_pushcfunction(L, push_loading);
  lua_pushlightuserdata(L, h);
  lua_pushlightuserdata(L, s);
  lua_pushinteger(L, form);
  status = lua_pcall(L, 3, LUA_MULTRET, 0);
  if (status != LUA_OK && mb_unwinding_since(h, then)) { /* p is leaving */
    mb_signal_give(h->scheduler, s);
    return mb_pass_on(h, L);
  }
  if (status != LUA_OK) {
    drop(h, L, p, s);
    return MB_UNMADE;
  }
  mb_mailbox_insert(&p->mailbox, s);
  mb_count(&h->scheduler->messages, 1);
  return lua_gettop(L) - top;
}

/* Making something of s has raised. */
static int give_up(struct mb_heap *h, lua_State *L, struct mb_process *p, struct mb_signal *s) {
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  take_out(h, p, s);
  lua_pushliteral(L, "not enough memory");
  drop(h, L, p, s);
  lua_pop(L, 1);
  return MB_UNMADE_BEFORE;
}

int mb_message_push(struct mb_heap *h, lua_State *L, struct mb_process *p, struct mb_signal *s, enum mb_form form) {
  int n;
  if (s->tried) return give_up(h, L, p, s);
  if (s->size > LARGE || mb_replica_is_behind(h)) return push_protected(h, L, p, s, form);
  s->tried = 1;
  if (s->kind == MB_MESSAGE && form == MB_FORM_MESSAGE) {
    n = mb_decode_loaded(h, L, s->data);
  } else {
    int top = lua_gettop(L);
    n = push(h, L, s, form, LOADED);
    if (n < 0) lua_settop(L, top);
  }
  s->tried = 0;
  return n >= 0 ? n : push_protected(h, L, p, s, form);
}

void mb_message_show(struct mb_heap *h, lua_State *L, const struct mb_signal *s) { (void)push_message(h, L, s, SHOWN); }

/* Reasons */

/* The running process gets the reason: whether that has been logged is known to it from here on, see core.is_reported. */
static void note(struct mb_heap *h, const struct mb_reason *r) {
  struct mb_process *p = mb_running(h);
  if (p && r->reported)
    p->private_flags |= MB_PRIVATE_KNOWN;
  else if (p)
    p->private_flags &= ~(uint32_t)MB_PRIVATE_KNOWN;
}

int mb_push_reason_loaded(struct mb_heap *h, lua_State *L, const struct mb_reason *r) {
  note(h, r);
  return mb_decode_loaded(h, L, r->data) > 0;
}

/* (heap, reason) -> value */
static int decode_reason(lua_State *L) {
  return mb_decode(lua_touserdata(L, 1), L, ((const struct mb_reason *)lua_touserdata(L, 2))->data);
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
