#include "process/memory.h"

#include "code/modules.h"
#include "core/hash.h"

/* As in Lua 5.4 on 64-bit machines. */
enum { SIZE_TABLE = 56, SIZE_ITEM = 16, SIZE_FIELD = 40, SIZE_STRING = 25, SIZE_CLOSURE = 32, SIZE_UPVALUE = 48,
       SIZE_USERDATA = 40, SIZE_THREAD = 208, SIZE_STACK = 40 * 16, SIZE_FRAME = 64, SIZE_SLOT = 16 };
enum {
  MOST_FRAMES = 200,     /* of a stack, the innermost */
  STEP_OBJECTS = 1000,   /* of a step */
  STEP_ENTRIES = 5000,   /* of tables, likewise */
  MOST_MESSAGES = 4000,  /* that are counted; the others are taken to be like them */
  SHARDS = 1024,         /* of a large walk: tables of what has been met, so that none is ever large */
  CHUNK = 500            /* objects of one table of those to visit */
};

/* Uservalues of a walk. */
enum {
  SEEN = 1, /* by number of the shard: a table by address */
  TO_VISIT, /* objects: a chunk, whose item 0 is the one before */
  TABLE,    /* in which it stands, nil: in none, */
  KEY,      /* and the key it has seen last; nil: none */
  USERVALUES = KEY
};

struct mb_walk {
  unsigned shards;
  lua_Integer waiting;  /* objects in the chunk */
  lua_Unsigned items;   /* of the table in which it stands */
  int objects, entries; /* left of this step */
  size_t bytes;
};

/* A step that goes on. On L, from `base` on: the uservalues. */
struct step {
  struct mb_heap *h;
  lua_State *L;
  struct mb_walk *walk;
  int base;
};

static int at(const struct step *s, int uservalue) { return s->base + uservalue; }

/* Code, and what others reach, too: the value on the top of the stack. */
static int is_shared(struct step *s, int type) {
  lua_State *L = s->L;
  int top = lua_gettop(L), shared;
  if (type == LUA_TFUNCTION && lua_iscfunction(L, top)) return 1;
  if (type != LUA_TFUNCTION && type != LUA_TTABLE) return 0;
  if (lua_topointer(L, top) == s->h->globals) return 1;
  if (!mb_modules_marked(s->h, lua_topointer(L, top))) return 0;
  shared = mb_modules_name(s->h, L, top, MB_AS_METATABLE);
  lua_settop(L, top);
  return shared;
}

/* The object with this address need not be visited any more. 1: that was known already. */
static int mark(struct step *s, const void *identity) {
  lua_State *L = s->L;
  lua_Integer shard = (lua_Integer)(mb_hash_u64((uint64_t)(uintptr_t)identity) % s->walk->shards) + 1;
  int known;
  if (lua_rawgeti(L, at(s, SEEN), shard) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawseti(L, at(s, SEEN), shard);
  }
  known = lua_rawgetp(L, -1, identity) != LUA_TNIL;
  if (!known) {
    lua_pushboolean(L, 1);
    lua_rawsetp(L, -3, identity);
  }
  lua_pop(L, 2);
  return known;
}

/* Take the value on the top of the stack: it is visited later, unless that has been done. */
static void meet(struct step *s) {
  lua_State *L = s->L;
  int type = lua_type(L, -1);
  if (type < LUA_TSTRING || is_shared(s, type) || mark(s, lua_topointer(L, -1))) {
    lua_pop(L, 1);
    return;
  }
  s->walk->objects--;
  if (type == LUA_TSTRING) {
    s->walk->bytes += SIZE_STRING + lua_rawlen(L, -1);
    lua_pop(L, 1);
    return;
  }
  if (s->walk->waiting == CHUNK) {
    lua_createtable(L, CHUNK, 1);
    lua_pushvalue(L, at(s, TO_VISIT));
    lua_rawseti(L, -2, 0);
    lua_replace(L, at(s, TO_VISIT));
    s->walk->waiting = 0;
  }
  lua_rawseti(L, at(s, TO_VISIT), ++s->walk->waiting);
}

/* Push the next object to visit; 0: there is none. */
static int take(struct step *s) {
  lua_State *L = s->L;
  if (s->walk->waiting == 0) {
    if (lua_rawgeti(L, at(s, TO_VISIT), 0) == LUA_TNIL) {
      lua_pop(L, 1);
      return 0;
    }
    lua_replace(L, at(s, TO_VISIT));
    s->walk->waiting = CHUNK;
  }
  lua_rawgeti(L, at(s, TO_VISIT), s->walk->waiting);
  lua_pushnil(L);
  lua_rawseti(L, at(s, TO_VISIT), s->walk->waiting--);
  return 1;
}

/* Go on in the table where the walk stands, to its end or that of the step. */
static void traverse(struct step *s) {
  lua_State *L = s->L;
  int key = s->base + USERVALUES + 1;
  lua_pushvalue(L, at(s, KEY));
  while (s->walk->entries > 0 && s->walk->objects > 0) {
    if (!lua_next(L, at(s, TABLE))) {
      lua_pushnil(L);
      lua_replace(L, at(s, TABLE));
      lua_pushnil(L);
      lua_replace(L, at(s, KEY));
      return;
    }
    s->walk->entries--;
    meet(s);
    if (lua_type(L, key) == LUA_TNUMBER && (lua_Unsigned)lua_tointeger(L, key) - 1 < s->walk->items) continue;
    s->walk->bytes += SIZE_FIELD;
    lua_pushvalue(L, key);
    meet(s);
  }
  lua_replace(L, at(s, KEY));
}

/* Begin with the table on the top of the stack (popped). */
static void visit_table(struct step *s) {
  lua_State *L = s->L;
  s->walk->items = lua_rawlen(L, -1);
  s->walk->bytes += SIZE_TABLE + s->walk->items * SIZE_ITEM;
  if (lua_getmetatable(L, -1)) meet(s);
  lua_replace(L, at(s, TABLE));
}

/* What the frames of a thread hold: of each, first all of it is taken, and then met, for meeting allocates, which may
 * run finalizers, and one may go on with the thread. A Lua function that is preempted shows all of its registers: those
 * that it has not set yet may hold what an earlier process left there, until the next collection. */
static void visit_stack(struct step *s, lua_State *co) {
  lua_State *L = s->L;
  lua_Debug ar;
  int first = co == L; /* level 0 is the function that asks */
  s->walk->bytes += SIZE_THREAD + SIZE_STACK;
  for (int level = first; level < first + MOST_FRAMES && lua_checkstack(co, 2) && lua_getstack(co, level, &ar);
       level++) {
    int top = lua_gettop(L);
    s->walk->bytes += SIZE_FRAME;
    lua_getinfo(co, "f", &ar);
    lua_xmove(co, L, 1);
    for (int direction = 1; direction >= -1; direction -= 2) { /* variables, then what `...` is */
      const char *name;
      for (int i = direction; lua_checkstack(L, 4) && (name = lua_getlocal(co, &ar, i)); i += direction) {
        s->walk->bytes += SIZE_SLOT;
        lua_xmove(co, L, 1);
        /* Lua's compiler keeps closures there that are half made. */
        if (lua_isfunction(L, -1) && name[0] == '(' && name[1] == 'C') lua_pop(L, 1);
      }
    }
    while (lua_gettop(L) > top) meet(s);
  }
}

/* Visit the object on the top of the stack (popped). */
static void visit(struct step *s) {
  lua_State *L = s->L;
  int object = lua_gettop(L);
  switch (lua_type(L, object)) {
    case LUA_TTABLE: visit_table(s); return;
    case LUA_TFUNCTION:
      s->walk->bytes += SIZE_CLOSURE;
      for (int i = 1; lua_getupvalue(L, object, i); i++) {
        s->walk->bytes += SIZE_UPVALUE;
        meet(s);
      }
      break;
    case LUA_TTHREAD: visit_stack(s, lua_tothread(L, object)); break;
    default: /* a full userdatum */
      s->walk->bytes += SIZE_USERDATA + lua_rawlen(L, object);
      for (int i = 1; lua_getiuservalue(L, object, i) != LUA_TNONE; i++) meet(s);
  }
  lua_settop(L, object - 1);
}

/* Go on with the walk at an index: its uservalues are pushed, until `leave`. */
static struct step enter(struct mb_heap *h, lua_State *L, int index) {
  struct step s = {h, L, lua_touserdata(L, index), 0};
  index = lua_absindex(L, index);
  luaL_checkstack(L, LUA_MINSTACK + USERVALUES, NULL);
  s.base = lua_gettop(L);
  for (int i = 1; i <= USERVALUES; i++) lua_getiuservalue(L, index, i);
  return s;
}

static void leave(struct step *s, int index) {
  for (int i = USERVALUES; i >= 1; i--) {
    lua_settop(s->L, at(s, i));
    lua_setiuservalue(s->L, index, i);
  }
}

static size_t bytes_of_messages(const struct mb_process *p) {
  size_t bytes = 0, counted = 0;
  for (const struct mb_signal *s = p->mailbox.head; s && counted < MOST_MESSAGES; s = s->next, counted++)
    bytes += sizeof *s + s->size;
  return counted < MOST_MESSAGES ? bytes : (size_t)((double)bytes / MOST_MESSAGES * p->mailbox.count);
}

void mb_memory_push_walk(struct mb_heap *h, lua_State *L, struct mb_process *p, lua_State *co, enum mb_walk_size size) {
  struct mb_walk *walk;
  struct step s;
  int index;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  mb_modules_refresh(h, L);
  walk = lua_newuserdatauv(L, sizeof *walk, USERVALUES);
  *walk = (struct mb_walk){.shards = size == MB_WALK_LARGE ? SHARDS : 1,
                           .bytes = sizeof *p + bytes_of_messages(p)};
  index = lua_gettop(L);
  (void)luaL_newmetatable(L, MB_WALK_TYPE);
  lua_setmetatable(L, index);
  if (p->start) walk->bytes += sizeof *p->start + p->start->size;
  lua_newtable(L);
  lua_setiuservalue(L, index, SEEN);
  lua_newtable(L);
  lua_setiuservalue(L, index, TO_VISIT);
  s = enter(h, L, index);
  (void)mark(&s, walk); /* a variable of whoever goes on with it */
  mb_push_ref(h, L, MB_REF_BASE); /* everybody's */
  (void)mark(&s, lua_topointer(L, -1));
  lua_pop(L, 1);
  if (p->private_flags & MB_PRIVATE_VALUES) {
    mb_push_ref(h, L, MB_REF_PRIVATE);
    lua_rawgeti(L, -1, p->index);
    lua_remove(L, -2);
    meet(&s);
  }
  if (co) {
    (void)mark(&s, co);
    visit_stack(&s, co);
  }
  leave(&s, index);
}

int mb_memory_step(struct mb_heap *h, lua_State *L, int index) {
  struct step s;
  int more = 1;
  index = lua_absindex(L, index);
  s = enter(h, L, index);
  s.walk->objects = STEP_OBJECTS;
  s.walk->entries = STEP_ENTRIES;
  while (more && s.walk->objects > 0 && s.walk->entries > 0) {
    if (!lua_isnil(L, at(&s, TABLE))) {
      traverse(&s);
    } else if ((more = take(&s))) {
      s.walk->entries--;
      visit(&s);
    }
  }
  leave(&s, index);
  return !more;
}

void mb_memory_skip(lua_State *L, int index) {
  index = lua_absindex(L, index);
  for (int i = TABLE; i <= KEY; i++) {
    lua_pushnil(L);
    lua_setiuservalue(L, index, i);
  }
}

size_t mb_memory_walked(lua_State *L, int index) { return ((struct mb_walk *)lua_touserdata(L, index))->bytes; }
