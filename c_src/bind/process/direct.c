#include "process/direct.h"

#include "code/call_site.h"
#include "code/modules.h"
#include "codec/codec.h"
#include "codec/scratch.h"
#include "core/mailbox.h"
#include "heap/shared.h"
#include "heap/table_layout.h"

enum {
  FEW_TABLES = 8,      /* of a value are told apart one by one, more by an index */
  FEW_ITEMS = 64,      /* of a table, and as many fields: a value with more of anything is a large one */
  MOST_FIELD_BITS = 3, /* of a table's fields: its copy has room for as many; more are counted */
  MOST_DEPTH = 60,     /* of tables inside each other: deeper is the codec's work, whose depth has no bound */
  MOST_PASSED = 8,     /* tables among the items and fields of one that is given away */
  MOST_VALUES = 8      /* of a reply: the receiver's stack has room for so many beside its own */
};

/* The copying of values that are sent together. Whatever allocates may run a finalizer, which may change any table, and
 * send messages itself. */
struct copying {
  struct mb_heap *h;
  lua_State *L;
  int small;   /* nothing large is wanted */
  int large;   /* it is large */
  int retry;   /* it came to nothing here, but need not be the codec's work: a table has been met again */
  int kept;    /* stack index of the sequence of copies, by number; 0: they are not kept */
  int count;   /* of tables so far, which numbers them, while not indexed */
  int indexed; /* h->copied has all of them */
  int room;    /* the depth down to which Lua's stack has been made large enough */
  const void *metatable;       /* the last one that has a name: the copy's as it is */
  const void *met[FEW_TABLES]; /* need not be cleared */
};

static int is_scalar(int type) { return type <= LUA_TSTRING && type >= LUA_TNIL; }

_Static_assert(LUA_TNIL < LUA_TBOOLEAN && LUA_TBOOLEAN < LUA_TLIGHTUSERDATA && LUA_TLIGHTUSERDATA < LUA_TNUMBER &&
                   LUA_TNUMBER < LUA_TSTRING && LUA_TSTRING < LUA_TTABLE,
               "is_scalar");

/* Whether the value at `index` can be the receiver's as it is. Code that has no upvalues is the same for everybody. */
static int is_constant(const struct mb_heap *h, lua_State *L, int index) {
  int type = lua_type(L, index);
  if (is_scalar(type)) return 1;
  if (type == LUA_TUSERDATA) return mb_shared_at(h, L, index) != NULL;
  if (type != LUA_TFUNCTION || lua_iscfunction(L, index)) return 0;
  if (!lua_getupvalue(L, index, 1)) return 1;
  lua_pop(L, 1);
  return 0;
}

static void begin(struct copying *c, struct mb_heap *h, lua_State *L, int small) {
  mb_modules_refresh(h, L);
  c->h = h;
  c->L = L;
  c->small = small;
  c->large = c->retry = c->kept = c->count = c->indexed = 0;
  c->room = 1; /* a C function has that */
  c->metatable = NULL;
}

static inline void end(struct copying *c) {
  if (c->indexed) mb_scratch_finish(c->h->copied, c->L);
}

/* There are many tables: from now on h->copied tells them apart. Finalizers, the only code that may run meanwhile,
 * leave it alone; so nothing has to be undone after an error. 0: it is not to be, or memory is out. */
static int begin_index(struct copying *c) {
  if (c->small || mb_outside(c->h, c->L)) return 0;
  c->indexed = c->large = 1;
  mb_scratch_reset(c->h->copied, c->L);
  for (int i = 0, fresh; i < c->count; i++)
    if (!mb_scratch_meet(c->h->copied, c->met[i], &fresh)) return 0;
  return 1;
}

/* The number of a table that is to be copied, negative when it has been met before; 0: it cannot be noted. */
static int meet(struct copying *c, const void *table) {
  const struct mb_seen *seen;
  int fresh, number;
  if (!c->indexed) {
    for (int i = 0; i < c->count; i++)
      if (c->met[i] == table) return -(i + 1);
    if (c->count < FEW_TABLES) {
      c->met[c->count++] = table;
      return c->count;
    }
    if (!begin_index(c)) return 0;
  }
  seen = mb_scratch_meet(c->h->copied, table, &fresh);
  if (!seen) return 0;
  number = (int)(seen - c->h->copied->seen) + 1;
  return fresh ? number : -number;
}

static int copy_table(struct copying *c, int index, int depth);

/* Push what the value at `index`, of this type, is for the receiver; 0 and nothing pushed if it is not copied here. */
static inline int copy_value(struct copying *c, int index, int type, int depth) {
  if (type == LUA_TTABLE) return copy_table(c, index, depth);
  if (!is_scalar(type) && !is_constant(c->h, c->L, index)) return 0;
  lua_pushvalue(c->L, index);
  return 1;
}

/* Whether the table at `index`, of those that are marked, travels by value and is no environment. */
static int is_plain(struct copying *c, int index) {
  lua_State *L = c->L;
  int is;
  if (lua_topointer(L, index) == c->h->globals) return 0;
  if (mb_modules_name(c->h, L, index, MB_AS_VALUE)) {
    lua_pop(L, 1);
    return 0;
  }
  lua_pushliteral(L, "_G"); /* where an environment has itself */
  lua_rawget(L, index);
  is = !lua_rawequal(L, -1, index);
  lua_pop(L, 1);
  return is;
}

/* Whether the metatable on the top of the stack has a name, which leads to itself here. */
static int is_named(struct copying *c) {
  lua_State *L = c->L;
  int top = lua_gettop(L), same;
  size_t size;
  const char *name;
  if (c->metatable == lua_topointer(L, top)) return 1;
  if (!mb_modules_name(c->h, L, top, MB_AS_METATABLE)) return 0;
  name = lua_tolstring(L, -1, &size);
  same = mb_modules_loaded(c->h, L, name, size) && lua_rawequal(L, -1, top);
  lua_settop(L, top);
  if (same) c->metatable = lua_topointer(L, top);
  return same;
}

/* Give the copy on the top of the stack the metatable of the table at `index`. Not one with a finalizer: copies that
 * come to nothing would be finalized, too. */
static int copy_metatable(struct copying *c, int index, int depth) {
  lua_State *L = c->L;
  int copy = lua_gettop(L), finalized;
  if (!lua_checkstack(L, 12)) return 0;
  if (!lua_getmetatable(L, index)) return 1;
  lua_pushliteral(L, "__gc");
  finalized = lua_rawget(L, copy + 1) != LUA_TNIL;
  lua_pop(L, 1);
  if (finalized || (!is_named(c) && !copy_table(c, copy + 1, depth))) return 0;
  lua_setmetatable(L, copy);
  lua_settop(L, copy);
  return 1;
}

/* Push the key with which lua_next goes on behind the first `slots` items, whether these are nil or not. */
static void push_key(lua_State *L, size_t slots) {
  if (slots)
    lua_pushinteger(L, (lua_Integer)slots);
  else
    lua_pushnil(L);
}

static int count_fields(lua_State *L, int index, size_t slots) {
  int count = 0;
  for (push_key(L, slots); lua_next(L, index); count++) lua_pop(L, 1);
  return count;
}

/* Copy what the table at `index` has behind its first `slots` items to the one at `copy`, the top of the stack, which
 * has room for `items`. */
static int copy_fields(struct copying *c, int index, int copy, size_t slots, lua_Unsigned items, int depth) {
  lua_State *L = c->L;
  int key = copy + 1;
  push_key(L, slots);
  while (lua_next(L, index)) {
    int type = lua_type(L, key);
    lua_Integer i = type == LUA_TNUMBER ? lua_tointeger(L, key) : 0; /* 0 for a float, which is no integer here */
    if ((lua_Unsigned)i - 1 < items) {
      if (!copy_value(c, key + 1, lua_type(L, key + 1), depth)) return 0;
      lua_rawseti(L, copy, i);
    } else {
      if (!copy_value(c, key, type, depth) || !copy_value(c, key + 1, lua_type(L, key + 1), depth)) return 0;
      lua_rawset(L, copy);
    }
    lua_settop(L, key);
  }
  return 1;
}

/* The same for these items of `table`; the copy is at index `copy`. */
static int copy_items(struct copying *c, const struct mb_table *table, int index, int copy, size_t slots, int depth) {
  lua_State *L = c->L;
  for (size_t i = 1; i <= slots; i++) {
    const struct mb_table_item *item = i <= table->item_limit ? &table->items[i - 1] : NULL;
    int type;
    if (item && item->type == MB_TYPE_INTEGER) {
      lua_pushinteger(L, item->value.integer);
      lua_rawseti(L, copy, (lua_Integer)i);
      continue;
    }
    type = lua_rawgeti(L, index, (lua_Integer)i);
    if (type == LUA_TNIL) {
      lua_pop(L, 1);
    } else if (type != LUA_TTABLE) {
      if (!is_scalar(type) && !is_constant(c->h, L, copy + 1)) return 0;
      lua_rawseti(L, copy, (lua_Integer)i);
    } else {
      if (!copy_table(c, copy + 1, depth)) return 0;
      lua_rawseti(L, copy, (lua_Integer)i);
      lua_pop(L, 1);
    }
  }
  return 1;
}

/* Whether the last of all slots for items is in use: then their number is the length, if there are no fields. */
static inline int is_full(const struct mb_table *table, size_t slots) {
  return slots && slots == table->item_limit && (table->items[slots - 1].type & MB_TYPE_BITS) != LUA_TNIL;
}

/* Push a copy of the table at `index`, or the copy that there is; else 0, the stack as before. Only what is in it tells
 * whether it can be copied: the last item is looked at before anything is made. */
static int copy_table(struct copying *c, int index, int depth) {
  lua_State *L = c->L;
  const struct mb_table *table = lua_topointer(L, index);
  lua_Unsigned items;
  size_t slots = 0; /* unknown layout: all is found by lua_next */
  int top = lua_gettop(L), number, fields = 0, has_fields = 1, has_metatable;
  if ((mb_modules_marked(c->h, table) || (const void *)table == c->h->globals) && !is_plain(c, index)) return 0;
  number = meet(c, table);
  if (number <= 0) {
    if (number < 0 && c->kept) return lua_rawgeti(L, c->kept, -number), 1;
    c->retry |= number < 0;
    return 0;
  }
  if (depth > c->room) {
    if (depth > MOST_DEPTH || !lua_checkstack(L, 2 * MOST_PASSED + 16)) return 0;
    c->room = depth;
  }
  if (mb_table_layout_known(L)) {
    slots = mb_table_items(table);
    has_fields = mb_table_has_fields(table);
    has_metatable = table->metatable != NULL;
    items = has_fields || !is_full(table, slots) ? lua_rawlen(L, index) : slots;
    if (has_fields)
      fields = table->field_bits <= MOST_FIELD_BITS ? 1 << table->field_bits : count_fields(L, index, slots);
  } else {
    has_metatable = lua_getmetatable(L, index);
    lua_settop(L, top);
    items = lua_rawlen(L, index);
    fields = count_fields(L, index, 0) - (int)items;
    if (fields < 0) fields = 0; /* there are holes */
  }
  if (items > FEW_ITEMS || fields > FEW_ITEMS) {
    if (c->small) return 0;
    c->large = 1;
  }
  if (items && depth == 1) {
    lua_rawgeti(L, index, (lua_Integer)items);
    if (!lua_istable(L, top + 1) && !is_constant(c->h, L, top + 1)) goto no;
    lua_settop(L, top);
  }
  lua_createtable(L, (int)items, fields);
  if (c->kept) {
    lua_pushvalue(L, top + 1);
    lua_rawseti(L, c->kept, number);
  }
  if (!copy_items(c, table, index, top + 1, slots, depth + 1)) goto no;
  if (has_fields) {
    if (slots && mb_table_items(table) != slots) goto no; /* a finalizer has changed it */
    if (!copy_fields(c, index, top + 1, slots, items, depth + 1)) goto no;
  }
  if (has_metatable && !copy_metatable(c, index, depth + 1)) goto no;
  return 1;

no:
  lua_settop(L, top);
  return 0;
}

/* Push copies of the n values from `first` on; 0, with the stack as before, when they do not go this way. */
static int copy_values(struct copying *c, int first, int n) {
  lua_State *L = c->L;
  int top = lua_gettop(L), ok = n == 1 || lua_checkstack(L, n + 12);
  for (int i = first; i < first + n && ok; i++) ok = copy_value(c, i, lua_type(L, i), 1);
  end(c);
  if (!ok) lua_settop(L, top);
  return ok;
}

/* The same with each table that is met again, in cycles, too, copied once. */
static int copy_shared(struct copying *c, int first, int n) {
  lua_State *L = c->L;
  int kept = lua_gettop(L) + 1, ok;
  begin(c, c->h, L, c->small);
  if (!lua_checkstack(L, 12)) return 0;
  lua_newtable(L);
  c->kept = kept;
  ok = copy_values(c, first, n);
  lua_remove(L, kept);
  return ok;
}

static int copy_all(struct mb_heap *h, lua_State *L, int first, int n, int small, int *large) {
  struct copying c;
  int ok;
  begin(&c, h, L, small);
  ok = copy_values(&c, first, n) || (c.retry && copy_shared(&c, first, n));
  *large = c.large;
  return ok;
}

/* Push the n values from `first` on as the receiver gets them, which wants small ones only, or any; 0, with the stack
 * as before, when they do not go this way. *large: whether there is much of them. */
static inline int copy(struct mb_heap *h, lua_State *L, int first, int n, int small, int *large) {
  *large = 0;
  if (n != 1 || !is_scalar(lua_type(L, first))) return copy_all(h, L, first, n, small, large);
  lua_pushvalue(L, first);
  return 1;
}

/* Whether items 1 to n of the table at `index` can be the receiver's as they are. */
static int items_are_constants(const struct mb_heap *h, lua_State *L, int index, int n) {
  const struct mb_table *table = mb_table_layout_known(L) ? lua_topointer(L, index) : NULL;
  int ok = 1;
  for (int i = 1; i <= n && ok; i++) {
    const struct mb_table_item *item = table ? mb_table_item(table, i) : NULL;
    if (item && is_scalar(item->type & MB_TYPE_BITS)) continue;
    ok = is_scalar(lua_rawgeti(L, index, i)) || is_constant(h, L, -1);
    lua_pop(L, 1);
  }
  return ok;
}

/* How many items the list at `index` has, or MB_GIVEN if there are holes. */
static int whole_list(lua_State *L, int index) {
  lua_Unsigned n = lua_rawlen(L, index);
  if (n == 0 || n > FEW_ITEMS) return MB_GIVEN;
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
    if (is_constant(c->h, L, value)) {
      lua_pop(L, 1);
      continue;
    }
    if (!lua_istable(L, value)) goto no;
    if (value - top > 2 * MOST_PASSED) {
      c->retry = 1;
      goto no;
    }
    if (!copy_table(c, value, 2)) goto no;
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
static int pass(struct mb_heap *h, lua_State *L, int index, int arguments, int small, int *large) {
  int type = lua_type(L, index), items = MB_NOT_GIVEN, ok;
  struct copying c;
  *large = 0;
  if (is_scalar(type)) {
    lua_pushvalue(L, index);
    return 1;
  }
  if (type == LUA_TTABLE && arguments == index && h->call_sites_known) items = mb_given_table(L, arguments);
  if (items == MB_NOT_GIVEN) return copy(h, L, index, 1, small, large);
  if (items == MB_GIVEN_LIST) items = whole_list(L, index);
  if (items >= 0 && items_are_constants(h, L, index, items)) {
    lua_pushvalue(L, index);
    return 1;
  }
  begin(&c, h, L, small);
  ok = pass_table(&c, index);
  end(&c);
  *large = c.large;
  return ok || (c.retry && copy(h, L, index, 1, small, large));
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
static inline int give(struct mb_heap *h, lua_State *L, struct mb_process *p, int n, int large) {
  if (p->state != MB_WAITING) {
    lua_pop(L, n);
    return 0;
  }
  lua_xmove(L, p->offered, n);
  p->got_direct = large ? MB_GOT_LARGE : MB_GOT_SMALL;
  mb_wake(h->scheduler, p);
  return 1;
}

int mb_send_direct(struct mb_heap *h, lua_State *L, mb_pid to, int index, int arguments) {
  struct mb_process *p = receiver(h, to);
  int large;
  if (!p || p->offer == MB_OFFER_REPLY) return 0;
  if (!pass(h, L, index, arguments, p->private_flags & MB_PRIVATE_CHOOSES, &large)) return 0;
  if (p->offer == MB_OFFER_MESSAGE) return give(h, L, p, 1, large);
  mb_push_ref(h, L, MB_REF_INFO);
  lua_insert(L, -2);
  return give(h, L, p, 2, large);
}

int mb_request_direct(struct mb_heap *h, lua_State *L, mb_pid to, mb_pid from, mb_ref ref, int index) {
  struct mb_process *p = receiver(h, to);
  int top = lua_gettop(L), large;
  if (!p || p->offer != MB_OFFER_EVENT) return 0;
  mb_push_ref(h, L, ref ? MB_REF_CALL : MB_REF_CAST);
  if (ref) {
    lua_createtable(L, 2, 0);
    mb_push_id(L, from);
    lua_rawseti(L, -2, 1);
    mb_push_id(L, ref);
    lua_rawseti(L, -2, 2);
  }
  if (copy(h, L, index, 1, 0, &large)) return give(h, L, p, lua_gettop(L) - top, large);
  lua_settop(L, top);
  return 0;
}

int mb_reply_direct(struct mb_heap *h, lua_State *L, mb_pid to, mb_ref ref, int first) {
  struct mb_process *p = receiver(h, to);
  int n = lua_gettop(L) - first + 1, large;
  if (!p || p->offer != MB_OFFER_REPLY || p->awaited != ref || n > MOST_VALUES || !mb_replies_welcome(p, ref)) return 0;
  return (!n || copy(h, L, first, n, 0, &large)) && give(h, L, p, n, 0);
}

void mb_hand_back(struct mb_heap *h, lua_State *L, struct mb_process *p, int got) {
  struct mb_signal *s = mb_encode_signal(h, L, lua_gettop(L), 1, "send message", MB_MESSAGE);
  mb_mailbox_insert(&p->mailbox, s);
  mb_count(&h->scheduler->messages, 1);
  lua_pop(L, 1);
  if (got == MB_GOT_LARGE) p->private_flags |= MB_PRIVATE_CHOOSES;
}

void mb_direct_to_mailbox(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  if (!p->got_direct || p->offer != MB_OFFER_MESSAGE) return;
  luaL_checkstack(L, 1, NULL);
  lua_xmove(p->offered, L, 1);
  p->got_direct = 0;
  mb_hand_back(h, L, p, MB_GOT_SMALL);
}
