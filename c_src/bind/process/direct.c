#include "process/direct.h"

#include "code/call_site.h"
#include "code/modules.h"
#include "codec/codec.h"
#include "core/mailbox.h"

enum {
  MOST_ITEMS = 64, /* of a table that is copied here */
  MOST_PAIRS = 16, /* beside the items: their number is not known beforehand, so the copy grows */
  MOST_TABLES = 8, /* of a value, inside each other */
  MOST_VALUES = 8  /* of a reply: the receiver's stack has room for so many beside its own */
};

/* One value's copying. A table that is met twice is one table for the receiver, too, which is the codec's work. */
struct copying {
  struct mb_heap *h;
  lua_State *L;
  const void *met[MOST_TABLES];
  int count;
};

static int is_scalar(int type) { return type <= LUA_TSTRING && type >= LUA_TNIL; }

_Static_assert(LUA_TNIL < LUA_TBOOLEAN && LUA_TBOOLEAN < LUA_TLIGHTUSERDATA && LUA_TLIGHTUSERDATA < LUA_TNUMBER &&
                   LUA_TNUMBER < LUA_TSTRING && LUA_TSTRING < LUA_TTABLE,
               "is_scalar");

/* Whether the value at `index` can be the receiver's as it is. Code that has no upvalues is the same for everybody. */
static int is_constant(lua_State *L, int index) {
  int type = lua_type(L, index);
  if (is_scalar(type)) return 1;
  if (type != LUA_TFUNCTION || lua_iscfunction(L, index)) return 0;
  if (!lua_getupvalue(L, index, 1)) return 1;
  lua_pop(L, 1);
  return 0;
}

/* Note that a table is copied: 0 when it is met again, or is one too many. */
static int meet(struct copying *c, const void *table) {
  for (int i = 0; i < c->count; i++)
    if (c->met[i] == table) return 0;
  if (c->count == MOST_TABLES) return 0;
  c->met[c->count++] = table;
  return 1;
}

/* Push a copy of the table at `index` if it is a small one of constants and such tables; else 0, the stack as
 * before. */
static int copy_table(struct copying *c, int index) {
  lua_State *L = c->L;
  const void *identity = lua_topointer(L, index);
  lua_Unsigned items = lua_rawlen(L, index);
  int top = lua_gettop(L), pairs = 0;
  if (items > MOST_ITEMS || identity == c->h->globals || mb_modules_marked(c->h, identity)) return 0;
  if (!meet(c, identity) || lua_getmetatable(L, index)) goto no;
  if (c->count > 1) luaL_checkstack(L, 8, NULL);
  if (items) { /* check before anything is made */
    lua_rawgeti(L, index, (lua_Integer)items);
    if (!lua_istable(L, top + 1) && !is_constant(L, top + 1)) goto no;
    lua_settop(L, top);
  }
  lua_createtable(L, (int)items, 0);
  lua_pushnil(L);
  while (lua_next(L, index)) {
    int key = lua_type(L, top + 2);
    lua_Integer i = key == LUA_TNUMBER ? lua_tointeger(L, top + 2) : 0; /* 0 for a float, which is no integer here */
    if (!is_constant(L, top + 3)) {
      if (!lua_istable(L, top + 3) || !copy_table(c, top + 3)) goto no;
      lua_replace(L, top + 3);
    }
    if ((lua_Unsigned)i - 1 < items) {
      lua_rawseti(L, top + 1, i);
    } else {
      if (!is_scalar(key) || ++pairs > MOST_PAIRS) goto no;
      lua_pushvalue(L, top + 2);
      lua_insert(L, top + 3);
      lua_rawset(L, top + 1);
    }
  }
  return 1;

no:
  lua_settop(L, top);
  return 0;
}

/* Push a copy of the value at `index`; 0, with the stack as before, when it does not go this way. */
static int copy(struct mb_heap *h, lua_State *L, int index) {
  int type = lua_type(L, index);
  if (type == LUA_TTABLE) {
    struct copying c; /* `met` need not be cleared */
    c.h = h;
    c.L = L;
    c.count = 0;
    return copy_table(&c, index);
  }
  if (!is_scalar(type) && !is_constant(L, index)) return 0;
  lua_pushvalue(L, index);
  return 1;
}

/* Whether items 1 to n of the table at `index` can be the receiver's as they are. */
static int items_are_constants(lua_State *L, int index, int n) {
  int ok = 1;
  for (int i = 1; i <= n && ok; i++) {
    ok = is_scalar(lua_rawgeti(L, index, i)) || is_constant(L, -1);
    lua_pop(L, 1);
  }
  return ok;
}

/* How many items the list at `index` has, or MB_GIVEN if there are holes. */
static int whole_list(lua_State *L, int index) {
  lua_Unsigned n = lua_rawlen(L, index);
  if (n == 0 || n > MOST_ITEMS) return MB_GIVEN;
  lua_pushinteger(L, (lua_Integer)n);
  if (!lua_next(L, index)) return (int)n;
  lua_pop(L, 2);
  return MB_GIVEN;
}

/* Push the table at `index`, which is given away, with copies in the place of the tables in it; else 0, and it is as
 * before. */
static int pass_table(struct copying *c, int index) {
  lua_State *L = c->L;
  int top = lua_gettop(L); /* above it: keys and the copies for them, then lua_next's */
  (void)meet(c, lua_topointer(L, index));
  lua_pushnil(L);
  while (lua_next(L, index)) {
    int value = lua_gettop(L);
    if (!is_scalar(lua_type(L, value - 1))) goto no;
    if (is_constant(L, value)) {
      lua_pop(L, 1);
      continue;
    }
    if (!lua_istable(L, value) || !copy_table(c, value)) goto no;
    lua_replace(L, value);
    lua_pushvalue(L, value - 1);
  }
  while (lua_gettop(L) > top) lua_rawset(L, index);
  lua_pushvalue(L, index);
  return 1;

no:
  lua_settop(L, top);
  return 0;
}

/* Push the value at `index` as `copy` does; but if it is the last of the running function's arguments, and a table that
 * the caller has built for the call, it goes as it is. */
static int pass(struct mb_heap *h, lua_State *L, int index, int arguments) {
  int type = lua_type(L, index), items = MB_NOT_GIVEN;
  struct copying c;
  if (is_scalar(type)) {
    lua_pushvalue(L, index);
    return 1;
  }
  if (type == LUA_TTABLE && arguments == index && h->call_sites_known) items = mb_given_table(L, arguments);
  if (items == MB_NOT_GIVEN) return copy(h, L, index);
  if (items == MB_GIVEN_LIST) items = whole_list(L, index);
  if (items >= 0 && items_are_constants(L, index, items)) {
    lua_pushvalue(L, index);
    return 1;
  }
  c.h = h;
  c.L = L;
  c.count = 0;
  return pass_table(&c, index);
}

/* The process behind a pid if it waits here and takes something on its stack, else NULL. */
static struct mb_process *receiver(struct mb_heap *h, mb_pid pid) {
  struct mb_process *p = mb_process_in(h, pid);
  if (!p || p->state != MB_WAITING || !p->offered) return NULL;
  /* something from elsewhere may be older */
  return atomic_load_explicit(&p->inbox, memory_order_relaxed) ? NULL : p;
}

/* Move the top n values of L to p, which offers room for so many; 0 and drop them if it does not any more: making them
 * may have run finalizers. */
static inline int give(struct mb_heap *h, lua_State *L, struct mb_process *p, int n) {
  if (p->state != MB_WAITING) {
    lua_pop(L, n);
    return 0;
  }
  lua_xmove(L, p->offered, n);
  p->got_direct = 1;
  mb_wake(h->scheduler, p);
  return 1;
}

int mb_send_direct(struct mb_heap *h, lua_State *L, mb_pid to, int index, int arguments) {
  struct mb_process *p = receiver(h, to);
  if (!p || p->offer == MB_OFFER_REPLY || !pass(h, L, index, arguments)) return 0;
  if (p->offer == MB_OFFER_MESSAGE) return give(h, L, p, 1);
  lua_pushliteral(L, "info");
  lua_insert(L, -2);
  return give(h, L, p, 2);
}

int mb_request_direct(struct mb_heap *h, lua_State *L, mb_pid to, mb_pid from, mb_ref ref, int index) {
  struct mb_process *p = receiver(h, to);
  int top = lua_gettop(L);
  if (!p || p->offer != MB_OFFER_EVENT || !copy(h, L, index)) return 0;
  lua_pushstring(L, ref ? "call" : "cast");
  lua_insert(L, top + 1);
  if (ref) {
    lua_createtable(L, 2, 0);
    mb_push_id(L, from);
    lua_rawseti(L, -2, 1);
    mb_push_id(L, ref);
    lua_rawseti(L, -2, 2);
    lua_insert(L, top + 2);
  }
  return give(h, L, p, lua_gettop(L) - top);
}

int mb_reply_direct(struct mb_heap *h, lua_State *L, mb_pid to, mb_ref ref, int first) {
  struct mb_process *p = receiver(h, to);
  int top = lua_gettop(L), n = top - first + 1;
  if (!p || p->offer != MB_OFFER_REPLY || p->awaited != ref || n > MOST_VALUES || !mb_replies_welcome(p, ref)) return 0;
  for (int i = first; i <= top; i++) {
    if (!copy(h, L, i)) {
      lua_settop(L, top);
      return 0;
    }
  }
  return give(h, L, p, n);
}

void mb_hand_back(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  struct mb_signal *s = mb_encode_signal(h, L, lua_gettop(L), 1, "send message", MB_MESSAGE);
  mb_mailbox_insert(&p->mailbox, s);
  mb_count(&h->scheduler->messages, 1);
  lua_pop(L, 1);
}

void mb_direct_to_mailbox(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  if (!p->got_direct || p->offer != MB_OFFER_MESSAGE) return;
  luaL_checkstack(L, 1, NULL);
  lua_xmove(p->offered, L, 1);
  p->got_direct = 0;
  mb_hand_back(h, L, p);
}
