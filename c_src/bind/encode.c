/* The sender's half of the codec: see codec.h for the format.
 *
 * A function is written as
 *   hash(8) size(4) dump(size) upvalues(1), then for every upvalue
 *   MB_U_VALUE value, or MB_U_SHARED function number(4) index(1): the same cell as that one.
 *
 * Tables nest by C recursion down to NEST levels; what is deeper is put off and written afterwards,
 * one queue for the whole message, so depth is bounded by memory alone. The globals that functions
 * name are put off likewise. Lua code runs in one place only, when an environment has a metatable of
 * its own; the workspace is marked busy then, and an encoding that starts meanwhile brings its own. */
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "codes.h"
#include "crash.h"
#include "errors.h"
#include "hash.h"
#include "modules.h"
#include "workspace.h"

enum { NEST = 60 };

/* Where the encoder is: one frame per value that contains the next. */
struct frame {
  const struct frame *outer;
  enum { AT_ROOT, AT_FIELD, AT_KEY, AT_METATABLE, AT_UPVALUE, AT_GLOBAL, AT_DEEP } at;
  int index;        /* AT_ROOT: number of the value; AT_FIELD: stack index of the key */
  const char *name; /* AT_UPVALUE, AT_GLOBAL */
};

struct encoder {
  struct mb_heap *h;
  lua_State *L;
  struct mb_workspace *w;
  const char *doing;
  unsigned flags;
};

static void encode_value(struct encoder *e, int index, int depth, const struct frame *f);

static void no_memory(struct encoder *e) { luaL_error(e->L, "not enough memory"); }

static unsigned char *reserve(struct encoder *e, size_t size) {
  unsigned char *p = mb_buffer_reserve(&e->w->out, size);
  if (!p) no_memory(e);
  return p;
}

static void put_byte(struct encoder *e, unsigned b) {
  *reserve(e, 1) = (unsigned char)b;
  e->w->out.size++;
}

static void put_u32(struct encoder *e, uint32_t v) {
  memcpy(reserve(e, 4), &v, 4);
  e->w->out.size += 4;
}

static void put_tagged8(struct encoder *e, unsigned tag, const void *v) {
  unsigned char *p = reserve(e, 9);
  p[0] = (unsigned char)tag;
  memcpy(p + 1, v, 8);
  e->w->out.size += 9;
}

static void put_string(struct encoder *e, const char *s, size_t size) {
  unsigned char *p = reserve(e, size + 5);
  if (size < 128) {
    p[0] = (unsigned char)(MB_T_SHORT + size);
    memcpy(p + 1, s, size);
    e->w->out.size += size + 1;
  } else {
    uint32_t n = (uint32_t)size;
    if (size > UINT32_MAX / 2) mb_raise(e->h, e->L, "cannot %s: a string of %d MB", e->doing, (int)(size >> 20));
    p[0] = MB_T_STRING;
    memcpy(p + 1, &n, 4);
    memcpy(p + 5, s, size);
    e->w->out.size += size + 5;
  }
}

static void put_name(struct encoder *e, const char *s, size_t size) {
  unsigned char *p = reserve(e, size + 2);
  if (size > 255) mb_raise(e->h, e->L, "cannot %s: the name of a module is too long", e->doing);
  p[0] = MB_T_MODULE;
  p[1] = (unsigned char)size;
  memcpy(p + 2, s, size);
  e->w->out.size += size + 2;
}

/* Refusals */

static void add_key(luaL_Buffer *b, lua_State *L, int key, int first) {
  if (lua_type(L, key) == LUA_TSTRING) {
    if (!first) luaL_addchar(b, '.');
    lua_pushvalue(L, key);
    luaL_addvalue(b);
  } else if (lua_isinteger(L, key)) {
    lua_pushfstring(L, "[%I]", (LUAI_UACINT)lua_tointeger(L, key));
    luaL_addvalue(b);
  } else {
    luaL_addchar(b, '[');
    luaL_tolstring(L, key, NULL);
    luaL_addvalue(b);
    luaL_addchar(b, ']');
  }
}

/* The frames from the outermost on; returns whether a field path is open. */
static int add_path(struct encoder *e, luaL_Buffer *b, const struct frame *f, int *some) {
  int open = f->outer ? add_path(e, b, f->outer, some) : 0;
  int joins = open && (f->at == AT_FIELD);
  if (open && !joins) luaL_addstring(b, "\"");
  if (f->at == AT_ROOT) {
    if (strcmp(e->doing, "spawn") == 0) {
      if (f->index == 0)
        lua_pushliteral(e->L, "the function");
      else
        lua_pushfstring(e->L, "argument %d", f->index);
      luaL_addvalue(b);
      *some = 1;
    }
    return 0;
  }
  if (*some && !joins) luaL_addstring(b, ", ");
  *some = 1;
  switch (f->at) {
    case AT_FIELD:
      if (!joins) luaL_addstring(b, "field \"");
      add_key(b, e->L, f->index, !joins);
      return 1;
    case AT_DEEP:
      luaL_addstring(b, "field \"...");
      return 1;
    case AT_KEY:
      luaL_addstring(b, "a key");
      return 0;
    case AT_METATABLE:
      luaL_addstring(b, "the metatable");
      return 0;
    default:
      luaL_addstring(b, f->at == AT_UPVALUE ? "upvalue \"" : "global \"");
      luaL_addstring(b, f->name);
      luaL_addstring(b, "\"");
      return 0;
  }
}

static void refuse(struct encoder *e, int index, const struct frame *f) {
  lua_State *L = e->L;
  luaL_Buffer b;
  int some = 0;
  const char *name = NULL;
  luaL_checkstack(L, 30, NULL);
  if (luaL_getmetafield(L, index, "__name") == LUA_TSTRING) name = lua_tostring(L, -1);
  luaL_buffinit(L, &b);
  if (add_path(e, &b, f, &some)) luaL_addstring(&b, "\"");
  luaL_addstring(&b, some ? " is a " : "it is a ");
  if (lua_isthread(L, index))
    luaL_addstring(&b, "coroutine");
  else if (lua_iscfunction(L, index))
    luaL_addstring(&b, "C function that no module holds");
  else
    luaL_addstring(&b, luaL_typename(L, index));
  if (name) {
    luaL_addstring(&b, " (");
    luaL_addstring(&b, name);
    luaL_addstring(&b, ")");
  }
  luaL_pushresult(&b);
  mb_raise(e->h, L, "cannot %s: %s", e->doing, lua_tostring(L, -1));
}

/* What has been met */

static int again(struct encoder *e, const void *object) {
  struct mb_seen *s = mb_workspace_find(e->w, object);
  if (!s) return 0;
  put_byte(e, MB_T_AGAIN);
  put_u32(e, s->number);
  e->flags |= MB_F_AGAIN;
  return 1;
}

static struct mb_seen *meet(struct encoder *e, const void *object) {
  struct mb_seen *s = mb_workspace_add(e->w, object);
  if (!s) no_memory(e);
  s->number = ++e->w->objects;
  return s;
}

/* Push the table that holds what is put off, by its number. */
static void push_anchors(struct encoder *e) {
  if (e->w->anchors == LUA_NOREF) {
    lua_newtable(e->L);
    e->w->anchors = luaL_ref(e->L, LUA_REGISTRYINDEX);
  }
  lua_rawgeti(e->L, LUA_REGISTRYINDEX, e->w->anchors);
}

/* Put off the value on the top of the stack (popped). */
static void put_off(struct encoder *e, unsigned char kind, uint32_t environment) {
  struct mb_later *l = mb_workspace_later(e->w);
  if (!l) no_memory(e);
  l->kind = kind;
  l->environment = environment;
  push_anchors(e);
  lua_insert(e->L, -2);
  lua_rawseti(e->L, -2, (lua_Integer)e->w->later_count);
  lua_pop(e->L, 1);
  e->flags |= MB_F_LATER;
}

/* Environments */

/* A table that is the value of its own _G. */
static int is_whole_environment(struct encoder *e, int index) {
  const void *identity = lua_topointer(e->L, index);
  int self;
  if (identity == e->h->globals) return 1;
  if (!mb_modules_marked(e->h, identity)) return 0;
  lua_pushliteral(e->L, "_G");
  lua_rawget(e->L, index);
  self = lua_rawequal(e->L, -1, index);
  lua_pop(e->L, 1);
  return self;
}

static int get_global(lua_State *L) {
  lua_gettable(L, 1);
  return 1;
}

/* Push environment[name], both given; user code may run. */
static void push_global(struct encoder *e, int environment, int name) {
  lua_State *L = e->L;
  int plain = 1, status, busy;
  if (lua_getmetatable(L, environment)) {
    mb_push_ref(e->h, L, MB_REF_ENV_MT);
    plain = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
  }
  if (plain) {
    lua_pushvalue(L, name);
    lua_gettable(L, environment);
    return;
  }
  lua_pushcfunction(L, get_global);
  lua_pushvalue(L, environment);
  lua_pushvalue(L, name);
  busy = e->h->scratch_busy;
  e->h->scratch_busy = 1;
  status = lua_pcall(L, 2, 1, 0);
  e->h->scratch_busy = busy;
  if (status != LUA_OK) lua_error(L);
}

static int shows_globals(const char *name) {
  return strcmp(name, "_G") == 0 || strcmp(name, "load") == 0 || strcmp(name, "loadfile") == 0 ||
         strcmp(name, "dofile") == 0;
}

static void make_private(struct encoder *e, struct mb_seen *s) { e->w->out.bytes[s->offset] = 1; }

static void make_whole(struct encoder *e, struct mb_seen *s) {
  make_private(e, s);
  if (s->whole) return;
  s->whole = 1;
  lua_pushboolean(e->L, 1);
  put_off(e, MB_L_WHOLE, s->number);
}

/* One name that code uses: carried, hidden, or found in the base anyway. */
static void encode_global(struct encoder *e, int environment, struct mb_seen *s,
                          const struct mb_code_name *n) {
  lua_State *L = e->L;
  int top = lua_gettop(L), same;
  luaL_checkstack(L, 12, NULL);
  lua_pushlstring(L, n->s, n->len);
  push_global(e, environment, top + 1);
  if (lua_istable(L, top + 2) &&
      (lua_rawequal(L, top + 2, environment) || is_whole_environment(e, top + 2))) {
    make_whole(e, s);
    lua_settop(L, top);
    return;
  }
  if (n->written) make_private(e, s);
  if (shows_globals(n->s)) make_whole(e, s);
  mb_push_ref(e->h, L, MB_REF_BASE);
  lua_pushvalue(L, top + 1);
  lua_rawget(L, -2);
  same = lua_rawequal(L, top + 2, -1);
  if (!same) {
    /* Once for every environment: anchors[-number] = {[name] = true} */
    push_anchors(e);
    if (lua_rawgeti(L, -1, -(lua_Integer)s->number) == LUA_TNIL) {
      lua_pop(L, 1);
      lua_newtable(L);
      lua_pushvalue(L, -1);
      lua_rawseti(L, -3, -(lua_Integer)s->number);
    }
    lua_pushvalue(L, top + 1);
    if (lua_rawget(L, -2) == LUA_TNIL) {
      lua_pushvalue(L, top + 1);
      lua_pushboolean(L, 1);
      lua_rawset(L, -4);
      make_private(e, s);
      /* anchored as {name, value} */
      lua_createtable(L, 2, 0);
      lua_pushvalue(L, top + 1);
      lua_rawseti(L, -2, 1);
      lua_pushvalue(L, top + 2);
      lua_rawseti(L, -2, 2);
      put_off(e, lua_isnil(L, top + 2) ? MB_L_HIDE : MB_L_GLOBAL, s->number);
    }
  }
  lua_settop(L, top);
}

/* Take along of the environment at `index`, which has been met, what `code` uses as its upvalue u. */
static void use_environment(struct encoder *e, int index, const struct mb_code *code, int u) {
  const void *identity = lua_topointer(e->L, index);
  struct mb_seen *s = mb_workspace_find(e->w, identity);
  if (!s || !s->is_env) return; /* met as a plain table, by a function without debug names */
  if (code->upvalues[u].written) make_private(e, s);
  if (code->upvalues[u].dynamic) make_whole(e, s);
  for (uint32_t i = 0; i < code->upvalues[u].name_count; i++) {
    encode_global(e, index, s, &code->names[code->upvalues[u].first_name + i]);
    s = mb_workspace_find(e->w, identity); /* the table of what was met may have moved */
  }
}

static struct mb_seen *encode_environment(struct encoder *e, int index) {
  const void *identity = lua_topointer(e->L, index);
  struct mb_seen *s;
  if (again(e, identity)) return mb_workspace_find(e->w, identity);
  put_byte(e, MB_T_ENV);
  s = meet(e, identity);
  s->offset = e->w->out.size;
  s->is_env = 1;
  put_byte(e, 0);
  return s;
}

/* Functions */

static int write_dump(lua_State *L, const void *p, size_t size, void *data) {
  struct mb_buffer *out = data;
  unsigned char *at = mb_buffer_reserve(out, size);
  (void)L;
  if (!at) return 1;
  memcpy(at, p, size);
  out->size += size;
  return 0;
}

static int encode_named(struct encoder *e, int index, int metatable) {
  size_t size;
  const char *name;
  if (!mb_modules_name(e->h, e->L, index, metatable)) return 0;
  name = lua_tolstring(e->L, -1, &size);
  put_name(e, name, size);
  lua_pop(e->L, 1);
  return 1;
}

/* Find the entry of a function's code by dumping it; NULL when the function turns out to have a name, which
 * is written then. */
static struct mb_code_entry *dump_function(struct encoder *e, int index) {
  lua_State *L = e->L;
  struct mb_buffer *out = &e->w->out;
  size_t start = out->size, size;
  struct mb_code_entry *code;
  int fresh;
  lua_pushvalue(L, index);
  if (lua_dump(L, write_dump, out, 0) != 0) no_memory(e);
  lua_pop(L, 1);
  size = out->size - start;
  out->size = start;
  code = mb_codes_get(e->h, L, out->bytes + start, size, mb_hash_bytes(out->bytes + start, size), &fresh);
  if (fresh && mb_modules_unseen(e->h, L, index) && encode_named(e, index, 0)) return NULL;
  mb_codes_remember(e->h, L, index, code);
  return code;
}

static void encode_function(struct encoder *e, int index, int depth, const struct frame *f) {
  lua_State *L = e->L;
  const void *identity = lua_topointer(L, index);
  static const unsigned char tag = MB_T_FUNCTION;
  struct mb_buffer *out = &e->w->out;
  struct mb_code_entry *code;
  uint32_t number;
  if (encode_named(e, index, 0)) return;
  if (lua_iscfunction(L, index)) {
    (void)mb_modules_unseen(e->h, L, index);
    if (!encode_named(e, index, 0)) refuse(e, index, f);
    return;
  }
  if (again(e, identity)) return;
  code = mb_codes_recall(e->h, L, index);
  if (!code) {
    code = dump_function(e, index);
    if (!code) return; /* it has a name after all, which is written */
  }
  memcpy(reserve(e, 13 + code->size), &tag, 1);
  memcpy(out->bytes + out->size + 1, &code->hash, 8);
  memcpy(out->bytes + out->size + 9, &code->size, 4);
  memcpy(out->bytes + out->size + 13, code->bytes, code->size);
  out->size += 13 + code->size;
  put_byte(e, code->scan->upvalue_count);
  number = meet(e, identity)->number;
  for (uint32_t u = 0; u < code->scan->upvalue_count; u++) {
    void *cell = lua_upvalueid(L, index, (int)u + 1);
    struct mb_seen *s = mb_workspace_find(e->w, cell);
    const char *name = lua_getupvalue(L, index, (int)u + 1);
    int value = lua_gettop(L);
    int is_env = lua_istable(L, value) &&
                 (code->scan->upvalues[u].is_env ||
                  (!code->scan->upvalues[u].named && is_whole_environment(e, value)));
    if (s) {
      put_byte(e, MB_U_SHARED);
      put_u32(e, s->number);
      put_byte(e, s->upvalue);
      e->flags |= MB_F_AGAIN;
    } else {
      struct frame inner = {f, AT_UPVALUE, 0, name};
      s = mb_workspace_add(e->w, cell);
      if (!s) no_memory(e);
      s->number = number;
      s->upvalue = (unsigned char)u;
      put_byte(e, MB_U_VALUE);
      if (is_env)
        (void)encode_environment(e, value);
      else
        encode_value(e, value, depth + 1, &inner);
    }
    if (is_env) use_environment(e, value, code->scan, (int)u);
    lua_pop(L, 1);
  }
}

/* Tables */

static void encode_body(struct encoder *e, int index, int depth, const struct frame *f) {
  lua_State *L = e->L;
  struct mb_buffer *out = &e->w->out;
  size_t sizes = out->size;
  lua_Integer length = (lua_Integer)lua_rawlen(L, index), next = 1;
  uint32_t counts[2] = {0, 0};
  struct frame inner = {f, AT_FIELD, 0, NULL};
  int top = lua_gettop(L);
  if (depth > 2) luaL_checkstack(L, 12, NULL); /* a C function starts with room for the first levels */
  reserve(e, 8);
  out->size += 8;
  lua_pushnil(L);
  while (lua_next(L, index)) {
    int keyed = 1;
    if (counts[1] == 0 && lua_isinteger(L, top + 1)) {
      lua_Integer key = lua_tointeger(L, top + 1);
      if (key >= next && key <= length && key - next < 64) {
        for (; next < key; next++, counts[0]++) put_byte(e, MB_T_NIL); /* holes keep their place */
        next++;
        counts[0]++;
        keyed = 0;
      }
    }
    inner.index = top + 1;
    if (keyed) {
      struct frame key = {f, AT_KEY, 0, NULL};
      counts[1]++;
      encode_value(e, top + 1, depth + 1, &key);
    }
    encode_value(e, top + 2, depth + 1, &inner);
    lua_settop(L, top + 1);
  }
  memcpy(e->w->out.bytes + sizes, counts, 8);
  if (lua_getmetatable(L, index)) {
    struct frame meta = {f, AT_METATABLE, 0, NULL};
    if (!encode_named(e, top + 1, 1)) encode_value(e, top + 1, depth + 1, &meta);
    lua_settop(L, top);
  } else {
    put_byte(e, MB_T_NIL);
  }
}

static void encode_table(struct encoder *e, int index, int depth, const struct frame *f) {
  const void *identity = lua_topointer(e->L, index);
  /* Few tables are marked; the others are neither environments nor modules. */
  if (identity == e->h->globals || mb_modules_marked(e->h, identity)) {
    if (is_whole_environment(e, index)) {
      struct mb_seen *s = encode_environment(e, index);
      if (s->is_env) make_whole(e, s);
      return;
    }
    if (encode_named(e, index, 0)) return;
  }
  if (again(e, identity)) return;
  meet(e, identity);
  if (depth >= NEST) {
    put_byte(e, MB_T_TABLE_LATER);
    lua_pushvalue(e->L, index);
    put_off(e, MB_L_TABLE, 0);
    return;
  }
  put_byte(e, MB_T_TABLE);
  encode_body(e, index, depth, f);
}

static void encode_value(struct encoder *e, int index, int depth, const struct frame *f) {
  lua_State *L = e->L;
  switch (lua_type(L, index)) {
    case LUA_TNIL:
      put_byte(e, MB_T_NIL);
      break;
    case LUA_TBOOLEAN:
      put_byte(e, lua_toboolean(L, index) ? MB_T_TRUE : MB_T_FALSE);
      break;
    case LUA_TNUMBER:
      if (lua_isinteger(L, index)) {
        lua_Integer v = lua_tointeger(L, index);
        if (v >= -128 && v <= 127) {
          unsigned char *p = reserve(e, 2);
          p[0] = MB_T_INT8;
          p[1] = (unsigned char)(signed char)v;
          e->w->out.size += 2;
        } else {
          put_tagged8(e, MB_T_INT64, &v);
        }
      } else {
        lua_Number v = lua_tonumber(L, index);
        put_tagged8(e, MB_T_FLOAT, &v);
      }
      break;
    case LUA_TSTRING: {
      size_t size;
      const char *s = lua_tolstring(L, index, &size);
      put_string(e, s, size);
      break;
    }
    case LUA_TLIGHTUSERDATA: {
      uint64_t v = (uint64_t)(uintptr_t)lua_touserdata(L, index);
      put_tagged8(e, MB_T_LIGHT, &v);
      break;
    }
    case LUA_TTABLE:
      encode_table(e, index, depth, f);
      break;
    case LUA_TFUNCTION:
      luaL_checkstack(L, 8, NULL);
      encode_function(e, index, depth, f);
      break;
    default:
      refuse(e, index, f);
  }
}

static void encode_later(struct encoder *e) {
  lua_State *L = e->L;
  int top = lua_gettop(L);
  for (size_t i = 0; i < e->w->later_count; i++) {
    struct mb_later l = e->w->later[i];
    push_anchors(e);
    lua_rawgeti(L, -1, (lua_Integer)i + 1);
    lua_replace(L, top + 1);
    put_byte(e, l.kind);
    if (l.kind == MB_L_TABLE) {
      struct frame f = {NULL, AT_DEEP, 0, NULL};
      encode_body(e, top + 1, 1, &f);
    } else {
      put_u32(e, l.environment);
      if (l.kind != MB_L_WHOLE) {
        struct frame f = {NULL, AT_GLOBAL, 0, NULL};
        size_t size;
        lua_rawgeti(L, top + 1, 1);
        f.name = lua_tolstring(L, -1, &size);
        put_string(e, f.name, size);
        lua_rawgeti(L, top + 1, 2);
        if (l.kind == MB_L_GLOBAL) encode_value(e, top + 3, 1, &f);
      }
    }
    lua_settop(L, top);
  }
}

void mb_encode(struct mb_heap *h, lua_State *L, int first, int count, const char *doing,
               const struct mb_buffer **out) {
  struct encoder e = {.h = h, .L = L, .doing = doing, .w = h->workspace};
  int top = lua_gettop(L);
  uint32_t count32 = (uint32_t)count;
  if (count > 1) luaL_checkstack(L, 12, NULL);
  if (h->scratch_busy)
    e.w = mb_workspace_push(L);
  else
    mb_codes_trim(h, L);
  mb_modules_refresh(h, L);
  mb_workspace_reset(e.w, L);
  reserve(&e, MB_ENCODED_HEADER);
  e.w->out.size = MB_ENCODED_HEADER;
  for (int i = 0; i < count; i++) {
    struct frame f = {NULL, AT_ROOT, i, NULL};
    encode_value(&e, first + i, 1, &f);
  }
  if (e.flags & MB_F_LATER) {
    encode_later(&e);
    put_byte(&e, 0);
  }
  if (e.w->out.size > UINT32_MAX / 2) mb_raise(h, L, "cannot %s: it is too large", doing);
  e.w->out.bytes[0] = (unsigned char)e.flags;
  memcpy(e.w->out.bytes + 1, &count32, 4);
  *out = &e.w->out;
  if (!h->scratch_busy) lua_settop(L, top); /* a workspace of one's own stays alive on the stack */
}

struct mb_signal *mb_encode_signal(struct mb_heap *h, lua_State *L, int first, int count,
                                   const char *doing, enum mb_signal_kind kind) {
  const struct mb_buffer *out;
  struct mb_signal *s;
  mb_encode(h, L, first, count, doing, &out);
  s = mb_signal_new(kind, (uint32_t)out->size);
  if (!s) luaL_error(L, "not enough memory");
  memcpy(s->data, out->bytes, out->size);
  return s;
}

/* Reasons */

static int encode_reason(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  const struct mb_buffer *out;
  enum mb_reason_kind kind = MB_REASON_OTHER;
  struct mb_reason *r;
  if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "kill") == 0)
    kind = MB_REASON_KILL;
  else if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "normal") == 0)
    kind = MB_REASON_NORMAL;
  mb_encode(h, L, 2, 1, "exit", &out);
  r = mb_reason_new(kind, out->bytes, (uint32_t)out->size);
  if (!r) luaL_error(L, "not enough memory");
  lua_pushlightuserdata(L, r);
  return 1;
}

struct mb_reason *mb_encode_reason(struct mb_heap *h, lua_State *L, int index) {
  struct mb_reason *r;
  int status;
  if (lua_type(L, index) == LUA_TSTRING && h->runtime.normal &&
      strcmp(lua_tostring(L, index), "normal") == 0)
    return mb_reason_retain(h->runtime.normal);
  index = lua_absindex(L, index);
  luaL_checkstack(L, 12, NULL);
  lua_pushcfunction(L, encode_reason);
  lua_pushlightuserdata(L, h);
  lua_pushvalue(L, index);
  status = lua_pcall(L, 2, 1, 0);
  if (status == LUA_ERRRUN) { /* it cannot travel: its text does */
    lua_pop(L, 1);
    lua_pushcfunction(L, encode_reason);
    lua_pushlightuserdata(L, h);
    mb_push_inspect(h, L, index);
    status = lua_pcall(L, 2, 1, 0);
  }
  if (status != LUA_OK) lua_error(L);
  r = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return r;
}
