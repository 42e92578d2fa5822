#include "io/object.h"

#include <stdlib.h>
#include <string.h>

#include "core/lock.h"
#include "heap/arguments.h"
#include "heap/errors.h"

uint64_t mb_object_id(void) {
  static _Atomic uint64_t last; /* relaxed: nothing else depends on it */
  return atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
}

/* The process exits. */
static void end(struct mb_scheduler *s, struct mb_process *p, struct mb_holding *holding) {
  struct mb_object *o = (struct mb_object *)((char *)holding - offsetof(struct mb_object, holding));
  (void)s;
  (void)p;
  o->owner = 0;
  o->waiter = 0;
  mb_object_close(o, MB_CLOSE_IN_ORDER);
}

void mb_object_init_unowned(struct mb_object *o, struct mb_heap *h, const struct mb_object_type *type) {
  o->type = type;
  o->io = h->io;
  if (!o->id) o->id = mb_object_id();
  o->references = 1;
  h->io->uses++;
  (void)mb_map_put(&h->io->by_id, o->id, (uint64_t)(uintptr_t)o); /* without memory no message finds it */
}

void mb_object_init(struct mb_object *o, struct mb_heap *h, const struct mb_object_type *type, struct mb_process *p) {
  mb_object_init_unowned(o, h, type);
  o->owner = mb_pid_of(p);
  if (!o->holding.kind) o->holding.kind = (uint8_t)type->kind;
  o->holding.end = end;
  p->flags |= MB_PINNED; /* if it has not started yet: the handle is on this loop */
  if (mb_holding_add(h->scheduler, p, o->owner, &o->holding) != 0) o->owner = 0; /* it exits */
}

void mb_object_release(struct mb_object *o) {
  const uint64_t *known;
  if (--o->references > 0) return;
  known = mb_map_get(&o->io->by_id, o->id);
  if (known && *known == (uint64_t)(uintptr_t)o) /* a traveller may have arrived anew meanwhile */
    mb_map_remove(&o->io->by_id, o->id, NULL);
  o->io->uses--;
  o->type->free(o);
}

void mb_object_close(struct mb_object *o, int how) {
  struct mb_scheduler *s = o->io->heap->scheduler;
  struct mb_process *p = o->owner ? mb_process_here(s, o->owner) : NULL;
  if (o->closed) return;
  if (p) (void)mb_holding_remove(s, p, &o->holding);
  o->closed = 1;
  mb_wake_waiter(s, &o->waiter);
  o->owner = 0;
  o->type->close(o, how);
}

int mb_object_give(struct mb_object *o, struct mb_process *to, mb_pid pid) {
  struct mb_scheduler *s = o->io->heap->scheduler;
  struct mb_process *from = mb_process_here(s, o->owner);
  if (from && !mb_holding_remove(s, from, &o->holding)) return MB_ENOPROC;
  if (mb_holding_add(s, to, pid, &o->holding) != 0) {
    if (from) (void)mb_holding_add(s, from, o->owner, &o->holding);
    return MB_ENOPROC;
  }
  to->flags |= MB_PINNED;
  o->owner = pid;
  return 0;
}

/* Userdata: a box with the object, or with NULL for one that is gone and was closed. */

struct box {
  struct mb_object *object;
  uint64_t id;
};

static int collect(lua_State *L) {
  struct box *b = lua_touserdata(L, 1);
  struct mb_object *o = b ? b->object : NULL;
  if (!o) return 0;
  b->object = NULL;
  if (o->io->heap->scheduler && !o->closed && !o->mailed && (!o->type->is_idle || o->type->is_idle(o)))
    mb_object_close(o, MB_CLOSE_IN_ORDER);
  mb_object_release(o);
  return 0;
}

static int push_text(lua_State *L) {
  struct box *b = lua_touserdata(L, 1);
  const char *name = "object";
  if (luaL_getmetafield(L, 1, "__name") == LUA_TSTRING) name = lua_tostring(L, -1);
  lua_pushfstring(L, "#%s<%I>", name, (LUAI_UACINT)(b ? b->id & (MB_PROGRAM_ID - 1) : 0));
  return 1;
}

/* Push the metatable of a type's userdata. */
static void push_metatable(struct mb_heap *h, lua_State *L, const struct mb_object_type *type) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, type) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_createtable(L, 0, 6);
  lua_pushstring(L, type->name);
  lua_setfield(L, -2, "__name");
  if (type->instead) {
    lua_pushstring(L, type->instead);
    lua_setfield(L, -2, "__stays");
  }
  lua_pushcfunction(L, collect);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, push_text);
  lua_setfield(L, -2, "__tostring");
  lua_newtable(L);
  lua_pushlightuserdata(L, h);
  lua_pushvalue(L, -3);
  luaL_setfuncs(L, type->methods ? type->methods : h->io->socket_methods, 2);
  if (lua_getfield(L, -1, "close") == LUA_TFUNCTION) /* of the methods, for variables that are to be closed */
    lua_setfield(L, -3, "__close");
  else
    lua_pop(L, 1);
  if (type->index) {
    lua_pushlightuserdata(L, h);
    lua_insert(L, -2);
    lua_pushcclosure(L, type->index, 2);
  }
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, type);
}

/* Push {id = userdata}. */
static void push_objects(struct mb_heap *h, lua_State *L) {
  if (h->io->objects == LUA_NOREF) {
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    h->io->objects = luaL_ref(L, LUA_REGISTRYINDEX);
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->io->objects);
}

/* Push the userdata of object `id` that there is, if it is that of o; o is NULL: whatever it has. One that has left the
 * scheduler and come back is another object of the same number: userdata of the former one stay closed. NULL: nothing is
 * pushed. */
static struct box *push_known(struct mb_heap *h, lua_State *L, uint64_t id, const struct mb_object *o) {
  struct box *b;
  luaL_checkstack(L, 8, NULL);
  push_objects(h, L);
  b = lua_rawgeti(L, -1, (lua_Integer)id) == LUA_TUSERDATA ? lua_touserdata(L, -1) : NULL;
  if (b && (!o || b->object == o)) {
    lua_remove(L, -2);
    return b;
  }
  lua_pop(L, 2);
  return NULL;
}

/* Push the userdata of object `id`; when there is none, a new one, which has no object yet. Making it may collect
 * others, and free objects that nothing else keeps. */
static struct box *push_box(struct mb_heap *h, lua_State *L, uint64_t id, const struct mb_object *o,
                            const struct mb_object_type *type) {
  struct box *b = push_known(h, L, id, o);
  if (b) return b;
  push_objects(h, L);
  b = lua_newuserdatauv(L, sizeof *b, type->values);
  *b = (struct box){NULL, id};
  push_metatable(h, L, type);
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_rawseti(L, -3, (lua_Integer)id);
  lua_remove(L, -2);
  return b;
}

static void fill_box(struct box *b, struct mb_object *o) {
  if (b->object) return;
  b->object = o;
  mb_object_retain(o);
}

struct mb_object *mb_object_of(lua_State *L, int index, const struct mb_object_type *type) {
  struct box *b = lua_touserdata(L, index);
  int is;
  if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index)) return NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, type);
  is = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return is ? b->object : NULL;
}

void mb_object_push(struct mb_heap *h, lua_State *L, struct mb_object *o) {
  fill_box(push_box(h, L, o->id, o, o->type), o);
}

struct mb_object *mb_object_check(lua_State *L, const char *method) {
  struct box *b = lua_touserdata(L, 1);
  if (b && lua_getmetatable(L, 1)) {
    int is = lua_rawequal(L, -1, lua_upvalueindex(2));
    lua_pop(L, 1);
    if (is) return b->object;
  }
  lua_getfield(L, lua_upvalueindex(2), "__name");
  mb_raise(mb_heap_of(L), L, "bad argument #1 to '%s' (%s expected, got %s: call it as object:%s(...))", method,
           lua_tostring(L, -1), mb_type_name(mb_heap_of(L), L, 1), method);
  return NULL;
}

struct mb_object *mb_object_own(struct mb_heap *h, lua_State *L, struct mb_process *p, const char *method) {
  struct mb_object *o = mb_object_check(L, method);
  char owner[MB_ID_TEXT];
  if (!o || o->closed) return NULL;
  if (o->owner == mb_pid_of(p)) return o;
  lua_pushlstring(L, owner, mb_pid_text(o->owner, owner));
  mb_raise(h, L, "%s: the %s belongs to %s, which has to give it away: %s:give_away(pid)", method, o->type->name,
           lua_tostring(L, -1), o->type->name);
  return NULL;
}

void mb_object_wait(struct mb_heap *h, lua_State *L, struct mb_object *o, struct mb_process *p, uint64_t deadline,
                    lua_KFunction k) {
  o->waiter = mb_pid_of(p);
  mb_block(h, L, p, deadline, (lua_KContext)deadline, k);
}

int mb_object_gone(lua_State *L, int has_waited) { return mb_failure(L, has_waited ? UV_ECANCELED : UV_EBADF); }

int mb_object_do_close(lua_State *L) {
  struct mb_object *o = mb_object_check(L, "close");
  if (o) mb_object_close(o, MB_CLOSE_IN_ORDER);
  lua_pushboolean(L, 1);
  return 1;
}

uint64_t mb_handle_id(struct mb_heap *h, lua_State *L, int index) {
  return h->io->id_of ? h->io->id_of(h, L, index) : 0;
}

/* What a message means by an id; NULL: it is gone, or a traveller that has to arrive anew. */
static struct mb_object *find(const struct mb_heap *h, uint64_t id) {
  const uint64_t *known = mb_map_get(&h->io->by_id, id);
  struct mb_object *o = known ? (struct mb_object *)(uintptr_t)*known : NULL;
  return o && !(id & MB_TRAVELLER && o->closed) ? o : NULL;
}

static const struct mb_object_type *type_of_gone(const struct mb_io *io, uint64_t id) {
  return id & MB_TRAVELLER ? io->gone_traveller : id & MB_PROGRAM_ID ? io->gone_program : io->gone;
}

void mb_object_push_id(struct mb_heap *h, lua_State *L, uint64_t id) {
  struct mb_object *o = find(h, id);
  const struct mb_object_type *type = o ? o->type : type_of_gone(h->io, id);
  struct box *b;
  if (push_known(h, L, id, o)) return;
  if (!o && h->io->arrived(h, L, id)) return;
  b = push_box(h, L, id, o, type);
  o = find(h, id); /* again: its last userdata may have been collected just now, and it with that */
  if (o && o->type == type) fill_box(b, o);
}
