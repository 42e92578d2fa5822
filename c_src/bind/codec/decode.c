/* The receiver's half of the codec: see codec.h for the format, encode.c for functions. The bytes come
 * from this program's own encoder, so they are trusted. */
#include <string.h>

#include "code/adopt.h"
#include "code/code_cache.h"
#include "code/environment.h"
#include "code/modules.h"
#include "codec/codec.h"
#include "heap/closing.h"
#include "heap/shared.h"

enum how {
  LOADED, /* no module is loaded: `missing` is set instead */
  LOADING,
  TELLING, /* and what cannot be loaded is replaced by a text */
  SHOWN    /* what is not loaded is */
};

struct decoder {
  struct mb_heap *h;
  lua_State *L;
  const unsigned char *bytes, *at;
  int objects;    /* stack index of the table of objects by number; 0: no object is met again */
  int deferred;   /* stack index of the sequence of tables and functions the rest of which follows; 0: none */
  uint32_t count; /* objects so far */
  lua_Integer deferred_count;
  int depth; /* of nested tables */
  enum how how;
  int texts;   /* TELLING: stack index of the texts by name, since each module is to be tried once */
  int missing; /* a module would have had to be loaded: what is pushed is of no use */
};

static void decode_value(struct decoder *d);

static uint32_t get_u32(struct decoder *d) {
  uint32_t v;
  memcpy(&v, d->at, 4);
  d->at += 4;
  return v;
}

/* The object on the top of the stack gets the next number. */
static void number(struct decoder *d) {
  d->count++;
  if (!d->objects) return;
  lua_pushvalue(d->L, -1);
  lua_rawseti(d->L, d->objects, d->count);
}

/* Fill the table on the top of the stack. */
static void decode_body(struct decoder *d, uint32_t items, uint32_t pairs) {
  lua_State *L = d->L;
  for (uint32_t i = 1; i <= items; i++) {
    if (*d->at == MB_T_NIL) {
      d->at++;
      continue;
    }
    decode_value(d);
    lua_rawseti(L, -2, i);
  }
  for (uint32_t i = 0; i < pairs; i++) {
    decode_value(d);
    decode_value(d);
    lua_rawset(L, -3);
  }
  if (*d->at == MB_T_NIL) {
    d->at++;
  } else {
    decode_value(d);
    if (lua_istable(L, -1))
      lua_setmetatable(L, -2);
    else
      lua_pop(L, 1); /* it could not be made */
  }
}

/* Push a function; its upvalues are nil. */
static void decode_code(struct decoder *d) {
  const unsigned char *at = d->at;
  uint64_t hash;
  uint32_t size = get_u32(d);
  luaL_checkstack(d->L, 8, NULL);
  if (size == 0) {
    at = d->bytes + get_u32(d);
    memcpy(&size, at, 4);
  } else {
    d->at += 8 + size;
  }
  memcpy(&hash, at + 4, 8);
  mb_code_cache_push(d->h, d->L, at + 12, size, hash);
  number(d);
}

/* Give the function on the top of the stack its upvalues. */
static void decode_upvalues(struct decoder *d) {
  lua_State *L = d->L;
  int upvalues = *d->at++;
  for (int u = 1; u <= upvalues; u++) {
    if (*d->at++ == MB_U_VALUE) {
      decode_value(d);
      lua_setupvalue(L, -2, u);
    } else {
      uint32_t function = get_u32(d);
      int index = *d->at++ + 1;
      lua_rawgeti(L, d->objects, function);
      lua_upvaluejoin(L, -2, u, -1, index);
      lua_pop(L, 1);
    }
  }
}

/* The rest of the object on the top of the stack, which has its number, follows. */
static void await_rest(struct decoder *d) {
  lua_pushvalue(d->L, -1);
  lua_rawseti(d->L, d->deferred, ++d->deferred_count);
}

/* Push the text that stands for a module's value: its name, and what else there is to say. */
static void push_text(lua_State *L, const char *name, size_t size, const char *what) {
  const char *module = lua_pushlstring(L, name, size), *last = strrchr(module, MB_NAME_AND);
  const char *field = module + strnlen(name, size);
  int has_field = field < module + size;
  if (last) module = last + 1; /* as errors name it */
  lua_pushfstring(L, "(%s%s%s, %s)", module, has_field ? "." : "", has_field ? field + 1 : "", what);
  lua_remove(L, -2);
}

/* (heap, name, size) -> value */
static int resolve(lua_State *L) {
  mb_modules_resolve(lua_touserdata(L, 1), L, lua_touserdata(L, 2), (size_t)lua_tointeger(L, 3));
  return 1;
}

/* Push a module's value, which a module may be loaded for, or its text. */
static void resolve_or_tell(struct decoder *d, const char *name, size_t size) {
  static const char prefix[] = MB_CANNOT_RECEIVE;
  lua_State *L = d->L;
  const char *why;
  int status;
  if (mb_modules_loaded(d->h, L, name, size)) return;
  lua_pushlstring(L, name, size);
  if (lua_rawget(L, d->texts) != LUA_TNIL) return;
  lua_pop(L, 1);
  lua_pushcfunction(L, resolve);
  lua_pushlightuserdata(L, d->h);
  lua_pushlightuserdata(L, (void *)name);
  lua_pushinteger(L, (lua_Integer)size);
  status = mb_pcall(d->h, L, 3, 1);
  if (status == LUA_OK) return;
  if (status == LUA_ERRMEM) lua_error(L);
  why = luaL_tolstring(L, -1, NULL);
  if (strncmp(why, prefix, sizeof prefix - 1) == 0) why += sizeof prefix - 1;
  push_text(L, name, size, lua_pushfstring(L, "which cannot be made here: %s", why));
  lua_pushlstring(L, name, size);
  lua_pushvalue(L, -2);
  lua_rawset(L, d->texts);
}

static void decode_module(struct decoder *d, const char *name, size_t size) {
  lua_State *L = d->L;
  int top = lua_gettop(L);
  luaL_checkstack(L, 12, NULL);
  if (d->how == LOADING) {
    mb_modules_resolve(d->h, L, name, size);
  } else if (d->how == TELLING) {
    resolve_or_tell(d, name, size);
  } else if (mb_modules_loaded(d->h, L, name, size)) {
    return;
  } else if (d->how == SHOWN) {
    push_text(L, name, size,
              lua_pushfstring(L, "whose module is not loaded on scheduler %d", (int)d->h->scheduler->id + 1));
  } else {
    d->missing = 1;
    lua_pushboolean(L, 0);
  }
  lua_insert(L, top + 1);
  lua_settop(L, top + 1);
}

static void decode_value(struct decoder *d) {
  lua_State *L = d->L;
  unsigned tag = *d->at++;
  if (tag >= MB_T_SHORT) {
    lua_pushlstring(L, (const char *)d->at, tag - MB_T_SHORT);
    d->at += tag - MB_T_SHORT;
    return;
  }
  switch (tag) {
    case MB_T_NIL:
      lua_pushnil(L);
      break;
    case MB_T_FALSE:
    case MB_T_TRUE:
      lua_pushboolean(L, tag == MB_T_TRUE);
      break;
    case MB_T_INT8:
      lua_pushinteger(L, (signed char)*d->at++);
      break;
    case MB_T_INT64: {
      lua_Integer v;
      memcpy(&v, d->at, 8);
      d->at += 8;
      lua_pushinteger(L, v);
      break;
    }
    case MB_T_FLOAT: {
      lua_Number v;
      memcpy(&v, d->at, 8);
      d->at += 8;
      lua_pushnumber(L, v);
      break;
    }
    case MB_T_STRING: {
      uint32_t size = get_u32(d);
      lua_pushlstring(L, (const char *)d->at, size);
      d->at += size;
      break;
    }
    case MB_T_LIGHT: {
      uint64_t v;
      memcpy(&v, d->at, 8);
      d->at += 8;
      mb_push_id(L, v);
      break;
    }
    case MB_T_TABLE: {
      uint32_t items = get_u32(d), pairs = get_u32(d);
      /* A C function starts with room for the first levels. */
      if (++d->depth > 3) luaL_checkstack(L, 8, NULL);
      lua_createtable(L, (int)items, (int)pairs);
      number(d);
      decode_body(d, items, pairs);
      d->depth--;
      break;
    }
    case MB_T_TABLE_LATER:
      lua_newtable(L);
      number(d);
      await_rest(d);
      break;
    case MB_T_AGAIN:
      lua_rawgeti(L, d->objects, get_u32(d));
      break;
    case MB_T_FUNCTION:
      decode_code(d);
      decode_upvalues(d);
      break;
    case MB_T_FUNCTION_LATER:
      decode_code(d);
      await_rest(d);
      break;
    case MB_T_MODULE: {
      size_t size = *d->at++;
      const char *name = (const char *)d->at;
      d->at += size;
      decode_module(d, name, size);
      break;
    }
    case MB_T_HANDLE: {
      uint64_t id;
      memcpy(&id, d->at, 8);
      d->at += 8;
      d->h->push_handle(d->h, L, id);
      break;
    }
    case MB_T_SHARED: {
      struct mb_shared *in;
      memcpy(&in, d->at, 8);
      d->at += 8;
      mb_shared_push(d->h, L, in, get_u32(d));
      break;
    }
    default: /* MB_T_ENV */
      switch (*d->at++) {
        case MB_E_BASE:
          mb_push_ref(d->h, L, MB_REF_BASE);
          break;
        case MB_E_PRIVATE:
          mb_environment_new(d->h, L);
          break;
        default:
          lua_pushglobaltable(L);
      }
      number(d);
  }
}

static void decode_later(struct decoder *d) {
  lua_State *L = d->L;
  lua_Integer object = 0;
  int top = lua_gettop(L);
  luaL_checkstack(L, 12, NULL);
  for (unsigned kind; (kind = *d->at++) != 0;) {
    if (kind == MB_L_TABLE || kind == MB_L_UPVALUES) {
      lua_rawgeti(L, d->deferred, ++object);
      if (kind == MB_L_TABLE) {
        uint32_t items = get_u32(d), pairs = get_u32(d);
        decode_body(d, items, pairs);
      } else {
        decode_upvalues(d);
      }
      lua_pushnil(L); /* done: a chain of any length must not be kept twice */
      lua_rawseti(L, d->deferred, object);
    } else {
      lua_rawgeti(L, d->objects, get_u32(d));
      if (kind == MB_L_WHOLE) {
        if (lua_getmetatable(L, -1)) {
          lua_pop(L, 1);
          mb_environment_complete(d->h, L, top + 1);
        }
      } else {
        decode_value(d);
        if (kind == MB_L_HIDE) {
          if (lua_getmetatable(L, top + 1)) {
            lua_pop(L, 1);
            mb_environment_complete(d->h, L, top + 1);
          }
          lua_pushnil(L);
        } else {
          decode_value(d);
        }
        lua_rawset(L, top + 1);
      }
    }
    lua_settop(L, top);
  }
}

/* Push the values; -1 and nothing pushed when a module is missing that may not be loaded. */
static int decode(struct mb_heap *h, lua_State *L, const unsigned char *bytes, enum how how) {
  struct decoder d = {.h = h, .L = L, .bytes = bytes, .at = bytes + MB_ENCODED_HEADER, .how = how};
  unsigned flags = bytes[0] & ~(unsigned)MB_F_TOLD;
  uint32_t count;
  int top = lua_gettop(L), values;
  if (how == LOADING) {
    mb_replica_refresh(h, L);
    if (bytes[0] & MB_F_TOLD) d.how = TELLING;
  }
  memcpy(&count, bytes + 1, 4);
  if (count > 4) luaL_checkstack(L, (int)count + 8, "too many values");
  if (flags) {
    lua_newtable(L);
    d.objects = top + 1;
    lua_newtable(L);
    d.deferred = top + 2;
  }
  if (d.how == TELLING) {
    lua_newtable(L);
    d.texts = lua_gettop(L);
  }
  values = lua_gettop(L) + 1;
  for (uint32_t i = 0; i < count; i++) decode_value(&d);
  if (flags & MB_F_LATER) decode_later(&d);
  if (d.missing) {
    lua_settop(L, top);
    return -1;
  }
  while (--values > top) lua_remove(L, values);
  return (int)count;
}

int mb_decode(struct mb_heap *h, lua_State *L, const unsigned char *bytes) { return decode(h, L, bytes, LOADING); }

int mb_decode_loaded(struct mb_heap *h, lua_State *L, const unsigned char *bytes) {
  return decode(h, L, bytes, LOADED);
}

int mb_decode_shown(struct mb_heap *h, lua_State *L, const unsigned char *bytes) { return decode(h, L, bytes, SHOWN); }
