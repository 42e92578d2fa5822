#include "process/read_message.h"

#include "code/adopt.h"
#include "codec/codec.h"
#include "core/mailbox.h"
#include "heap/closing.h"
#include "heap/inspect.h"
#include "log/log.h"

enum { LARGE = 1024 }; /* bytes; making more of a message than that is protected against the end of memory */

/* (heap, signal, form) -> the values */
static int push_loading(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  const struct mb_signal *s = lua_touserdata(L, 2);
  enum mb_form form = (enum mb_form)lua_tointeger(L, 3);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  lua_settop(L, 0);
  mb_replica_refresh(h, L);
  return mb_message_make(h, L, s, form, MB_WITH_LOADING);
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

/* Nothing can be made of the request s: whoever waits for its answer hears so at once, as if p had died of the text on
 * the top of the stack. */
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

/* Free s, which is out of p's mailbox. Why it cannot be made is on the top of the stack: tell whom it concerns, and
 * leave the text. Raises in a task whose work it was: that has nothing else to do. */
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

/* As mb_message_push, protected; what has been made is out of the mailbox, the caller's. */
static int make_outside(struct mb_heap *h, lua_State *L, struct mb_process *p, struct mb_signal *s, enum mb_form form) {
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

enum { NOT_LOADED = -1 }; /* making it has to be protected */

/* As mb_message_push, of what can be made with the signal in the mailbox; else NOT_LOADED. */
static inline int push_loaded(struct mb_heap *h, lua_State *L, struct mb_signal *s, enum mb_form form) {
  int n;
  if (s->size > LARGE || mb_replica_is_behind(h)) return NOT_LOADED;
  s->tried = 1;
  if (s->kind == MB_MESSAGE && form == MB_FORM_MESSAGE) {
    n = mb_decode_loaded(h, L, s->data);
  } else {
    int top = lua_gettop(L);
    n = mb_message_make(h, L, s, form, MB_WITH_LOADED);
    if (n < 0) lua_settop(L, top);
  }
  s->tried = 0;
  return n >= 0 ? n : NOT_LOADED;
}

int mb_message_push(struct mb_heap *h, lua_State *L, struct mb_process *p, struct mb_signal *s, enum mb_form form) {
  int n;
  if (s->tried) return give_up(h, L, p, s);
  n = push_loaded(h, L, s, form);
  if (n != NOT_LOADED) return n;
  n = make_outside(h, L, p, s, form);
  if (n < 0) return n;
  mb_mailbox_insert(&p->mailbox, s);
  mb_count(&h->scheduler->messages, 1);
  return n;
}

int mb_answer_take(struct mb_heap *h, lua_State *L, struct mb_process *p, struct mb_signal *s) {
  int n;
  if (s->tried) return give_up(h, L, p, s);
  n = push_loaded(h, L, s, MB_FORM_VALUES);
  if (n != NOT_LOADED) {
    mb_take_message(h, p, s);
    return n;
  }
  n = make_outside(h, L, p, s, MB_FORM_VALUES);
  if (n >= 0) mb_signal_give(h->scheduler, s);
  return n;
}

void mb_take_message(struct mb_heap *h, struct mb_process *p, struct mb_signal *s) {
  p->private_flags &= ~(uint32_t)MB_PRIVATE_CHOOSES;
  mb_mailbox_remove(&p->mailbox, s);
  mb_count(&h->scheduler->messages, -1);
  mb_signal_give(h->scheduler, s);
}

void mb_flush_ref(struct mb_heap *h, struct mb_process *p, mb_ref ref) {
  struct mb_mailbox *m = &p->mailbox;
  struct mb_signal *s = mb_mailbox_start(m, ref);
  int over = mb_demonitor(h->scheduler, p, ref) == MB_MONITORING || !m->head;
  while (!over && (s = mb_mailbox_find(m, s, ref))) {
    struct mb_signal *next = s->next;
    over = s->kind == MB_DOWN; /* the last that there can be */
    mb_take_message(h, p, s);
    s = next;
  }
}

struct mb_signal *mb_find_answer(struct mb_process *p, mb_ref ref) {
  return p->mailbox.scan = mb_mailbox_find(&p->mailbox, p->mailbox.scan, ref);
}
