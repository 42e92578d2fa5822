/* The sender's half of the codec for functions and the environments they use: see codec.h.
 *
 * A function is written as its code and its upvalues: MB_U_VALUE value, or, for the same cell as another's,
 * MB_U_SHARED function number(4) index(1).
 *
 * Of an environment only the names travel that code uses, and of those only what differs from the base
 * every process has; they are deferred until all values are written. Lua code runs in one place, when an
 * environment has a metatable of its own; the scratch is marked busy then, and an encoding that
 * starts meanwhile brings its own. */
#include <string.h>

#include "code/code_cache.h"
#include "code/modules.h"
#include "codec/encoder.h"
#include "core/hash.h"

/* Environments */

/* A table that is the value of its own _G. */
int mb_encoder_is_environment(struct mb_encoder *e, int index) {
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

/* Push environment[name], both given; user code may run. Where that raises, as where globals have to be declared, there
 * is no such name: the code that is sent may never read it. */
static void push_global(struct mb_encoder *e, int environment, int name) {
  lua_State *L = e->L;
  struct mb_process *p;
  int plain = 1, status;
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
  e->h->uninterruptible++;
  status = lua_pcall(L, 2, 1, 0);
  e->h->uninterruptible--;
  if (status == LUA_OK) return;
  p = mb_running(e->h);
  if (status != LUA_ERRRUN || (p && p->state == MB_EXITING)) {
    mb_encoder_give_up(e);
    lua_error(L);
  }
  lua_pop(L, 1);
  lua_pushnil(L);
}

static int shows_globals(const struct mb_code_name *n) {
  static const char *const names[] = {"_G", "load", "loadfile", "dofile", NULL};
  for (int i = 0; names[i]; i++)
    if (n->len == strlen(names[i]) && memcmp(n->s, names[i], n->len) == 0) return 1;
  return 0;
}

static void make_private(struct mb_encoder *e, struct mb_seen *s) { e->scratch->out.bytes[s->offset] = MB_E_PRIVATE; }

static void make_whole(struct mb_encoder *e, struct mb_seen *s) {
  make_private(e, s);
  if (s->whole) return;
  s->whole = 1;
  lua_pushboolean(e->L, 1);
  mb_encoder_defer(e, MB_L_WHOLE, s->number);
}

/* One name that code uses: carried, hidden, or found in the base anyway. */
static void encode_global(struct mb_encoder *e, int environment, struct mb_seen *s,
                          const struct mb_code_name *n) {
  lua_State *L = e->L;
  int top = lua_gettop(L), same;
  mb_encoder_stack(e, 12);
  lua_pushlstring(L, n->s, n->len);
  push_global(e, environment, top + 1);
  if (lua_istable(L, top + 2) &&
      (lua_rawequal(L, top + 2, environment) || mb_encoder_is_environment(e, top + 2))) {
    make_whole(e, s);
    lua_settop(L, top);
    return;
  }
  if (n->written) make_private(e, s);
  if (shows_globals(n)) make_whole(e, s);
  mb_push_ref(e->h, L, MB_REF_BASE);
  lua_pushvalue(L, top + 1);
  lua_rawget(L, -2);
  same = lua_rawequal(L, top + 2, -1);
  if (!same) {
    /* Once for every environment: deferred_values[-number] = {[name] = true} */
    mb_encoder_deferred(e);
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
      mb_encoder_defer(e, lua_isnil(L, top + 2) ? MB_L_HIDE : MB_L_GLOBAL, s->number);
    }
  }
  lua_settop(L, top);
}

static void encode_globals(struct mb_encoder *e, int environment, const struct mb_code_name *names, uint32_t count) {
  const void *identity = lua_topointer(e->L, environment);
  for (uint32_t i = 0; i < count; i++) /* the table of what was met may move */
    encode_global(e, environment, mb_scratch_find(e->scratch, identity), &names[i]);
}

/* Take along of the environment at `index`, which has been met, what `code` uses as its upvalue u. */
static void use_environment(struct mb_encoder *e, int index, const struct mb_code *code, int u) {
  const void *identity = lua_topointer(e->L, index);
  struct mb_seen *s = mb_scratch_find(e->scratch, identity);
  if (!s || !s->is_env) return; /* met as a plain table, by a function without debug names */
  if (code->upvalues[u].written) make_private(e, s);
  if (code->upvalues[u].dynamic) make_whole(e, s);
  encode_globals(e, index, code->names + code->upvalues[u].first_name, code->upvalues[u].name_count);
  if (code->upvalues[u].distant) encode_globals(e, index, code->names + code->first_distant, code->distant_count);
}

static struct mb_seen *write_environment(struct mb_encoder *e, int index) {
  const void *identity = lua_topointer(e->L, index);
  struct mb_seen *s;
  if (mb_encoder_again(e, identity)) return mb_scratch_find(e->scratch, identity);
  mb_encoder_byte(e, MB_T_ENV);
  s = mb_encoder_meet(e, identity);
  if (identity == e->h->globals && mb_encoder_replicates(e)) { /* not part of the values: each heap has it */
    mb_encoder_byte(e, MB_E_STATE);
    return s;
  }
  s->offset = e->scratch->out.size;
  s->is_env = 1;
  mb_encoder_byte(e, MB_E_BASE);
  return s;
}

void mb_encoder_whole_environment(struct mb_encoder *e, int index) {
  struct mb_seen *s = write_environment(e, index);
  if (s->is_env) make_whole(e, s);
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

/* Find the entry of a function's code by dumping it; NULL when the function turns out to have a name, which
 * is written then. */
static struct mb_code_entry *dump_function(struct mb_encoder *e, int index) {
  lua_State *L = e->L;
  struct mb_buffer *out = &e->scratch->out;
  size_t start = out->size, size;
  struct mb_code_entry *code;
  int fresh;
  lua_pushvalue(L, index);
  if (lua_dump(L, write_dump, out, 0) != 0) mb_encoder_no_memory(e);
  lua_pop(L, 1);
  size = out->size - start;
  out->size = start;
  code = mb_code_cache_get(e->h, L, out->bytes + start, size, mb_hash_bytes(out->bytes + start, size), &fresh);
  if (fresh && mb_modules_unseen(e->h, L, index) && mb_encoder_named(e, index, MB_AS_VALUE)) return NULL;
  mb_code_cache_remember(e->h, L, index, code);
  return code;
}

/* Write code: the first time in a message as it is, then by its place there. */
static void write_code(struct mb_encoder *e, struct mb_code_entry *code) {
  struct mb_buffer *out = &e->scratch->out;
  unsigned char *p;
  if (code->message == e->number) {
    mb_encoder_u32(e, 0);
    mb_encoder_u32(e, code->at);
    return;
  }
  code->message = e->number;
  code->at = (uint32_t)out->size;
  p = mb_encoder_reserve(e, 12 + (size_t)code->size);
  memcpy(p, &code->size, 4);
  memcpy(p + 4, &code->hash, 8);
  memcpy(p + 12, code->bytes, code->size);
  out->size += 12 + (size_t)code->size;
}

/* The code of the function at `index`; NULL when the function turns out to have a name, which is written then. */
static struct mb_code_entry *code_of(struct mb_encoder *e, int index) {
  struct mb_code_entry *code = mb_code_cache_recall(e->h, e->L, index);
  return code ? code : dump_function(e, index);
}

static void write_upvalues(struct mb_encoder *e, int index, const struct mb_code *scan, uint32_t number, int depth,
                           const struct mb_frame *f) {
  lua_State *L = e->L;
  mb_encoder_byte(e, scan->upvalue_count);
  for (uint32_t u = 0; u < scan->upvalue_count; u++) {
    void *cell = lua_upvalueid(L, index, (int)u + 1);
    struct mb_seen *s = mb_scratch_find(e->scratch, cell);
    const char *name = lua_getupvalue(L, index, (int)u + 1);
    int value = lua_gettop(L);
    int is_env = lua_istable(L, value) && (scan->upvalues[u].is_env ||
                                           (!scan->upvalues[u].named && mb_encoder_is_environment(e, value)));
    if (s) {
      mb_encoder_byte(e, MB_U_SHARED);
      mb_encoder_u32(e, s->number);
      mb_encoder_byte(e, s->upvalue);
      e->flags |= MB_F_AGAIN;
    } else {
      struct mb_frame inner = {f, AT_UPVALUE, 0, name};
      s = mb_scratch_add(e->scratch, cell);
      if (!s) mb_encoder_no_memory(e);
      s->number = number;
      s->upvalue = (unsigned char)u;
      mb_encoder_byte(e, MB_U_VALUE);
      if (is_env)
        (void)write_environment(e, value);
      else
        mb_encoder_value(e, value, depth + 1, &inner);
    }
    if (is_env) use_environment(e, value, scan, (int)u);
    lua_pop(L, 1);
  }
}

void mb_encoder_upvalues(struct mb_encoder *e, int index, int depth, const struct mb_frame *f) {
  struct mb_seen *s = mb_scratch_find(e->scratch, lua_topointer(e->L, index));
  uint32_t number = s->number;
  write_upvalues(e, index, code_of(e, index)->scan, number, depth, f);
}

void mb_encoder_function(struct mb_encoder *e, int index, int depth, const struct mb_frame *f) {
  lua_State *L = e->L;
  const void *identity = lua_topointer(L, index);
  int later = depth >= MB_NEST;
  struct mb_code_entry *code;
  uint32_t number;
  if (mb_encoder_named(e, index, MB_AS_VALUE)) return;
  if (lua_iscfunction(L, index)) {
    (void)mb_modules_unseen(e->h, L, index);
    if (!mb_encoder_named(e, index, MB_AS_VALUE)) mb_encoder_refuse(e, index, f);
    return;
  }
  if (mb_encoder_again(e, identity)) return;
  code = code_of(e, index);
  if (!code) return; /* it has a name after all, which is written */
  mb_encoder_byte(e, later ? MB_T_FUNCTION_LATER : MB_T_FUNCTION);
  write_code(e, code);
  number = mb_encoder_meet(e, identity)->number;
  if (later) {
    lua_pushvalue(L, index);
    mb_encoder_defer(e, MB_L_UPVALUES, 0);
  } else {
    write_upvalues(e, index, code->scan, number, depth, f);
  }
}
