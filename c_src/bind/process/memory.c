#include "process/memory.h"

#include "code/modules.h"

/* As in Lua 5.4 on 64-bit machines. */
enum { SIZE_TABLE = 56, SIZE_ITEM = 16, SIZE_FIELD = 40, SIZE_STRING = 25, SIZE_CLOSURE = 32, SIZE_UPVALUE = 48,
       SIZE_USERDATA = 40, SIZE_THREAD = 208, SIZE_STACK = 40 * 16, SIZE_FRAME = 64, SIZE_SLOT = 16 };
enum { MOST_OBJECTS = 10000, MOST_ENTRIES = 100000, MOST_FRAMES = 200 };

/* A walk over all that can be reached. L has `seen`, by address, and `todo`, a stack of objects to visit. */
struct walk {
  struct mb_heap *h;
  lua_State *L;
  int seen, todo;
  lua_Integer waiting; /* in todo */
  int objects, entries; /* that may still be visited */
  size_t bytes;
};

/* Code, and what others reach, too: the value on the top of the stack. */
static int is_shared(struct walk *w, int type) {
  lua_State *L = w->L;
  int top = lua_gettop(L), shared;
  if (type == LUA_TFUNCTION && lua_iscfunction(L, top)) return 1;
  if (type != LUA_TFUNCTION && type != LUA_TTABLE) return 0;
  if (lua_topointer(L, top) == w->h->globals) return 1;
  if (!mb_modules_marked(w->h, lua_topointer(L, top))) return 0;
  shared = mb_modules_name(w->h, L, top, MB_AS_METATABLE);
  lua_settop(L, top);
  return shared;
}

/* The object with this address need not be visited any more. */
static void mark(struct walk *w, const void *identity) {
  lua_pushboolean(w->L, 1);
  lua_rawsetp(w->L, w->seen, identity);
}

/* Take the value on the top of the stack: it is visited later, unless that has been done. */
static void meet(struct walk *w) {
  lua_State *L = w->L;
  int type = lua_type(L, -1);
  const void *identity;
  if (type < LUA_TSTRING || w->objects == 0 || is_shared(w, type)) {
    lua_pop(L, 1);
    return;
  }
  identity = lua_topointer(L, -1);
  if (lua_rawgetp(L, w->seen, identity) != LUA_TNIL) {
    lua_pop(L, 2);
    return;
  }
  lua_pop(L, 1);
  mark(w, identity);
  w->objects--;
  if (type == LUA_TSTRING) {
    w->bytes += SIZE_STRING + lua_rawlen(L, -1);
    lua_pop(L, 1);
  } else {
    lua_rawseti(L, w->todo, ++w->waiting);
  }
}

static void visit_table(struct walk *w, int at) {
  lua_State *L = w->L;
  lua_Unsigned items = lua_rawlen(L, at);
  w->bytes += SIZE_TABLE + items * SIZE_ITEM;
  if (lua_getmetatable(L, at)) meet(w);
  lua_pushnil(L);
  while (lua_next(L, at)) {
    if (w->entries == 0) {
      lua_pop(L, 2);
      return;
    }
    w->entries--;
    meet(w);
    if (lua_type(L, -1) == LUA_TNUMBER && (lua_Unsigned)lua_tointeger(L, -1) - 1 < items) continue;
    w->bytes += SIZE_FIELD;
    lua_pushvalue(L, -1);
    meet(w);
  }
}

/* What the frames of a thread hold: of each, first all of it is taken, and then met, for meeting allocates, which may
 * run finalizers, and one may go on with the thread. A Lua function that is preempted shows all of its registers: those
 * that it has not set yet may hold what an earlier process left there, until the next collection. */
static void visit_stack(struct walk *w, lua_State *co) {
  lua_State *L = w->L;
  lua_Debug ar;
  int first = co == L; /* level 0 is the function that asks */
  w->bytes += SIZE_THREAD + SIZE_STACK;
  for (int level = first; level < first + MOST_FRAMES && lua_checkstack(co, 2) && lua_getstack(co, level, &ar);
       level++) {
    int top = lua_gettop(L);
    w->bytes += SIZE_FRAME;
    lua_getinfo(co, "f", &ar);
    lua_xmove(co, L, 1);
    for (int direction = 1; direction >= -1; direction -= 2) { /* variables, then what `...` is */
      const char *name;
      for (int i = direction; lua_checkstack(L, 4) && (name = lua_getlocal(co, &ar, i)); i += direction) {
        w->bytes += SIZE_SLOT;
        lua_xmove(co, L, 1);
        /* Lua's compiler keeps closures there that are half made. */
        if (lua_isfunction(L, -1) && name[0] == '(' && name[1] == 'C') lua_pop(L, 1);
      }
    }
    while (lua_gettop(L) > top) meet(w);
  }
}

static void visit(struct walk *w, int at) {
  lua_State *L = w->L;
  switch (lua_type(L, at)) {
    case LUA_TTABLE: visit_table(w, at); break;
    case LUA_TFUNCTION:
      w->bytes += SIZE_CLOSURE;
      for (int i = 1; lua_getupvalue(L, at, i); i++) {
        w->bytes += SIZE_UPVALUE;
        meet(w);
      }
      break;
    case LUA_TTHREAD: visit_stack(w, lua_tothread(L, at)); break;
    default: /* a full userdatum */
      w->bytes += SIZE_USERDATA + lua_rawlen(L, at);
      for (int i = 1; lua_getiuservalue(L, at, i) != LUA_TNONE; i++) meet(w);
      lua_pop(L, 1);
  }
}

size_t mb_memory_of(struct mb_heap *h, lua_State *L, struct mb_process *p, lua_State *co) {
  int top = lua_gettop(L);
  struct walk w = {h, L, top + 1, top + 2, 0, MOST_OBJECTS, MOST_ENTRIES, sizeof *p};
  for (struct mb_signal *s = p->mailbox.head; s; s = s->next) w.bytes += sizeof *s + s->size;
  if (p->start) w.bytes += sizeof *p->start + p->start->size;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  mb_modules_refresh(h, L);
  lua_newtable(L);
  lua_newtable(L);
  for (int i = w.seen; i <= w.todo; i++) mark(&w, lua_topointer(L, i));
  mb_push_ref(h, L, MB_REF_BASE); /* everybody's */
  mark(&w, lua_topointer(L, -1));
  lua_pop(L, 1);
  if (p->private_flags & MB_PRIVATE_VALUES) {
    mb_push_ref(h, L, MB_REF_PRIVATE);
    lua_rawgeti(L, -1, p->index);
    lua_remove(L, -2);
    meet(&w);
  }
  if (co) {
    mark(&w, co);
    visit_stack(&w, co);
  }
  while (w.waiting > 0) {
    lua_rawgeti(L, w.todo, w.waiting);
    lua_pushnil(L);
    lua_rawseti(L, w.todo, w.waiting--);
    visit(&w, top + 3);
    lua_settop(L, top + 2);
  }
  lua_settop(L, top);
  return w.bytes;
}
