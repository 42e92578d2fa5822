/* The layout of a dump (Lua 5.4):
 *
 *   header(31) upvalues(1) FUNCTION
 *   FUNCTION := source:string line:int last_line:int parameters(1) vararg(1) stack(1)
 *               n:int instruction(4)*n
 *               n:int constant*n            type(1), then 8 bytes for numbers, a string for strings
 *               n:int (in_stack(1) index(1) kind(1))*n
 *               n:int FUNCTION*n
 *               n:int line_info(1)*n   n:int (pc:int line:int)*n
 *               n:int (name:string first_pc:int last_pc:int)*n   n:int name:string*n
 *   int      big-endian groups of 7 bits, the last one with the high bit set
 *   string   size + 1 as an int (0: none), then the bytes */
#include "code/bytecode.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "code/instruction.h"

enum { HEADER = 31, NEST = 220, MOST_FACTORY_UPVALUES = 190, MOST_SHORT_KEYS = 256 };
enum { K_FLOAT = 0x13, K_INTEGER = 0x03, K_SHORT = 0x04, K_LONG = 0x14 };

struct reader {
  const char *at, *end;
  int bad;
};

static const char *get(struct reader *r, size_t size) {
  const char *at = r->at;
  if ((size_t)(r->end - r->at) < size) {
    r->bad = 1;
    r->at = r->end;
    return NULL;
  }
  r->at += size;
  return at;
}

static unsigned get_byte(struct reader *r) {
  const char *p = get(r, 1);
  return p ? (unsigned char)*p : 0;
}

static size_t get_int(struct reader *r) {
  size_t v = 0;
  for (;;) {
    unsigned b = get_byte(r);
    if (r->bad || v >> 56) {
      r->bad = 1;
      return 0;
    }
    v = v << 7 | (b & 0x7f);
    if (b & 0x80) return v;
  }
}

/* A count of things that take at least one byte each. */
static size_t get_count(struct reader *r) {
  size_t n = get_int(r);
  if (n > (size_t)(r->end - r->at)) {
    r->bad = 1;
    return 0;
  }
  return n;
}

struct text {
  const char *s; /* NULL: none */
  size_t len;
};

static struct text get_string(struct reader *r) {
  struct text t = {NULL, 0};
  size_t size = get_int(r);
  if (size == 0) return t;
  t.len = size - 1;
  t.s = get(r, t.len);
  return t;
}

/* A function's parts, in the order in which they stand. */

/* What comes before its constants: its instructions, *size of them. */
static const char *get_code(struct reader *r, int depth, size_t *size) {
  *size = 0;
  if (depth > NEST) r->bad = 1;
  if (r->bad) return NULL;
  (void)get_string(r);
  (void)get_int(r);
  (void)get_int(r);
  (void)get(r, 3);
  *size = get_count(r);
  return get(r, *size * 4);
}

/* A constant: its type, and the text of one that is a string. */
static unsigned get_constant(struct reader *r, struct text *string) {
  unsigned type = get_byte(r);
  if (type == K_FLOAT || type == K_INTEGER)
    (void)get(r, 8);
  else if (type == K_SHORT || type == K_LONG)
    *string = get_string(r);
  return type;
}

/* Upvalue descriptors and inner functions follow; then lines and locals, and then the names of upvalues. */
static void skip_lines_and_locals(struct reader *r) {
  (void)get(r, get_count(r));
  for (size_t i = get_count(r); i > 0 && !r->bad; i--) {
    (void)get_int(r);
    (void)get_int(r);
  }
  for (size_t i = get_count(r); i > 0 && !r->bad; i--) {
    (void)get_string(r);
    (void)get_int(r);
    (void)get_int(r);
  }
}

enum { DISTANT = 256 }; /* in the place of an upvalue's number */

/* What the scan finds, before it is put in order. */
struct found {
  uint32_t upvalue;
  struct text name;
  int read, written;
};

struct scan {
  struct reader r;
  struct mb_code_upvalue upvalues[256];
  size_t upvalue_count;
  struct found *found;
  size_t count, capacity;
  int no_memory;
};

static int by_upvalue_and_name(const void *a, const void *b) {
  const struct found *x = a, *y = b;
  size_t shorter = x->name.len < y->name.len ? x->name.len : y->name.len;
  int order = (x->upvalue > y->upvalue) - (x->upvalue < y->upvalue);
  if (!order) order = memcmp(x->name.s, y->name.s, shorter);
  return order ? order : (x->name.len > y->name.len) - (x->name.len < y->name.len);
}

/* Put what has been found in order, each name of an upvalue once. */
static void merge(struct scan *s) {
  size_t kept = 0;
  if (s->count) qsort(s->found, s->count, sizeof *s->found, by_upvalue_and_name);
  for (size_t i = 0; i < s->count; i++) {
    struct found *last = &s->found[kept - 1], *f = &s->found[i];
    if (kept && by_upvalue_and_name(last, f) == 0) {
      last->read |= f->read;
      last->written |= f->written;
    } else {
      s->found[kept++] = *f;
    }
  }
  s->count = kept;
}

enum use { READ, WRITTEN };

static void note(struct scan *s, int upvalue, struct text name, enum use use) {
  if (upvalue < 0 || !name.s) return;
  if (s->count == s->capacity) {
    merge(s);
    if (s->count * 2 >= s->capacity) {
      size_t capacity = s->capacity ? s->capacity * 2 : 16;
      struct found *grown = realloc(s->found, capacity * sizeof *grown);
      if (!grown) {
        s->no_memory = s->r.bad = 1;
        return;
      }
      s->found = grown;
      s->capacity = capacity;
    }
  }
  s->found[s->count++] = (struct found){(uint32_t)upvalue, name, use == READ, use == WRITTEN};
}

struct constant {
  struct text string; /* not a string: s is NULL */
  int distant;        /* a string that cannot be part of an instruction */
};

/* One function's constants, read where they stand. */
struct constants {
  struct constant *at; /* by number */
  size_t count;
  int distant; /* there are such */
};

static uint32_t instruction(const char *code, size_t i) {
  uint32_t v;
  memcpy(&v, code + 4 * i, 4);
  return v;
}

/* Returns whether something can be used by a distant name. Upvalue b of this function is upvalue map[b] of the
 * outermost one, -1: none of it. */
static int scan_code(struct scan *s, const char *code, size_t size, const struct constants *k,
                      const int *map, size_t upvalues) {
  int distant = 0;
  for (size_t i = 0; i < size && !s->r.bad; i++) {
    uint32_t in = instruction(code, i);
    switch (op_of(in)) {
      case OP_GETTABUP:
        if (b_of(in) >= upvalues || c_of(in) >= k->count)
          s->r.bad = 1;
        else
          note(s, map[b_of(in)], k->at[c_of(in)].string, READ);
        break;
      case OP_SETTABUP:
        if (a_of(in) >= upvalues || b_of(in) >= k->count) {
          s->r.bad = 1;
        } else if (map[a_of(in)] >= 0) {
          note(s, map[a_of(in)], k->at[b_of(in)].string, WRITTEN);
          s->upvalues[map[a_of(in)]].written = 1;
        }
        break;
      case OP_SETUPVAL:
        if (b_of(in) >= upvalues)
          s->r.bad = 1;
        else if (map[b_of(in)] >= 0)
          s->upvalues[map[b_of(in)]].written = s->upvalues[map[b_of(in)]].dynamic = 1;
        break;
      case OP_GETUPVAL:
        if (b_of(in) >= upvalues) {
          s->r.bad = 1;
        } else if (map[b_of(in)] >= 0) {
          s->upvalues[map[b_of(in)]].dynamic = 1;
          s->upvalues[map[b_of(in)]].distant |= k->distant;
          distant = k->distant;
        }
        break;
      default:
        break;
    }
  }
  return distant;
}

static void scan_function(struct scan *s, const int *outer, size_t outer_count, int depth) {
  struct reader *r = &s->r;
  struct constants k = {.count = 0};
  const char *code;
  size_t size, n;
  int map[256];
  code = get_code(r, depth, &size);
  k.count = get_count(r);
  if (r->bad) return;
  k.at = calloc(k.count + 1, sizeof *k.at);
  if (!k.at) {
    s->no_memory = r->bad = 1;
    return;
  }
  for (size_t i = 0; i < k.count && !r->bad; i++) {
    unsigned type = get_constant(r, &k.at[i].string);
    if (type == K_LONG || (type == K_SHORT && i >= MOST_SHORT_KEYS)) k.distant = k.at[i].distant = 1;
  }
  n = get_count(r);
  if (n > 255) r->bad = 1;
  for (size_t i = 0; i < n && !r->bad; i++) {
    unsigned in_stack = get_byte(r), index = get_byte(r);
    (void)get_byte(r);
    map[i] = depth == 0 ? (int)i : (!in_stack && index < outer_count ? outer[index] : -1);
  }
  if (depth == 0) s->upvalue_count = n;
  if (!r->bad && scan_code(s, code, size, &k, map, n)) {
    for (size_t i = 0; i < k.count; i++)
      if (k.at[i].distant) note(s, DISTANT, k.at[i].string, READ);
  }
  free(k.at);
  for (size_t functions = get_count(r); functions > 0 && !r->bad; functions--)
    scan_function(s, map, n, depth + 1);
  skip_lines_and_locals(r);
  n = get_count(r);
  for (size_t i = 0; i < n && !r->bad; i++) {
    struct text name = get_string(r);
    if (depth == 0 && i < s->upvalue_count && name.s) {
      s->upvalues[i].named = 1;
      s->upvalues[i].is_env = name.len == 4 && memcmp(name.s, "_ENV", 4) == 0;
    }
  }
}

/* The scan's result as one block: the struct, names, upvalues. */
static struct mb_code *put_in_order(struct scan *s) {
  uint32_t distant = 0;
  struct mb_code *c;
  merge(s);
  c = malloc(sizeof *c + s->upvalue_count * sizeof *c->upvalues + s->count * sizeof *c->names);
  if (!c) return NULL;
  c->names = (struct mb_code_name *)(c + 1);
  c->upvalues = (struct mb_code_upvalue *)(c->names + s->count);
  c->upvalue_count = (uint32_t)s->upvalue_count;
  for (size_t i = 0; i < s->count; i++) {
    const struct found *f = &s->found[i];
    c->names[i] = (struct mb_code_name){f->name.s, f->name.len, f->read, f->written};
    if (f->upvalue == DISTANT)
      distant++;
    else if (s->upvalues[f->upvalue].name_count++ == 0)
      s->upvalues[f->upvalue].first_name = (uint32_t)i;
  }
  c->name_count = (uint32_t)s->count;
  c->first_distant = (uint32_t)s->count - distant;
  c->distant_count = distant;
  memcpy(c->upvalues, s->upvalues, s->upvalue_count * sizeof *c->upvalues);
  return c;
}

int mb_code_scan(const char *dump, size_t len, struct mb_code **out) {
  struct scan *s = calloc(1, sizeof *s);
  int err = 0;
  *out = NULL;
  if (!s) return MB_ENOMEM;
  s->r = (struct reader){dump, dump + len, 0};
  if (len < HEADER + 1 || memcmp(dump, LUA_SIGNATURE "\x54\x00", 6) != 0) {
    err = MB_EFORMAT;
  } else {
    (void)get(&s->r, HEADER + 1);
    scan_function(s, NULL, 0, 0);
    if (s->r.bad) err = s->no_memory ? MB_ENOMEM : MB_EFORMAT;
    if (!err && !(*out = put_in_order(s))) err = MB_ENOMEM;
  }
  free(s->found);
  free(s);
  return err;
}

void mb_code_free(struct mb_code *c) { free(c); }

/* Factories */

/* Skip a function; *upvalues: where its upvalue descriptors start, *count of them. */
static void skip_function(struct reader *r, const char **upvalues, size_t *count,
                          const char **inner, size_t *inner_size, int depth) {
  struct text unused;
  size_t n;
  (void)get_code(r, depth, &n);
  for (n = get_count(r); n > 0 && !r->bad; n--) (void)get_constant(r, &unused);
  n = get_count(r);
  if (upvalues) {
    *upvalues = r->at;
    *count = n;
  }
  (void)get(r, n * 3);
  for (n = get_count(r); n > 0 && !r->bad; n--) {
    const char *start = r->at;
    skip_function(r, NULL, NULL, NULL, NULL, depth + 1);
    if (inner) {
      *inner = start;
      *inner_size = (size_t)(r->at - start);
    }
  }
  skip_lines_and_locals(r);
  for (n = get_count(r); n > 0 && !r->bad; n--) (void)get_string(r);
}

/* lua_dump's writer: the buffer is begun with the first piece, above the function on the stack. */
struct dump {
  int begun;
  luaL_Buffer b;
};

static int write_piece(lua_State *L, const void *p, size_t size, void *data) {
  struct dump *d = data;
  if (!d->begun) {
    d->begun = 1;
    luaL_buffinit(L, &d->b);
  }
  luaL_addlstring(&d->b, p, size);
  return 0;
}

enum debug_info { KEPT, STRIPPED };

/* Replace the function on the top of the stack by its dump, a string. */
static void dump_top(lua_State *L, enum debug_info debug) {
  struct dump d = {.begun = 0};
  (void)lua_dump(L, write_piece, &d, debug == STRIPPED);
  luaL_pushresult(&d.b);
  lua_remove(L, -2);
}

/* Push the dump of a function that returns a new function with its `count` locals as upvalues. */
static void push_template(lua_State *L, size_t count) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (int part = 0; part < 2; part++) {
    luaL_addstring(&b, part == 0 ? (count ? "local " : "") : " return function() return ");
    for (size_t i = 0; i < count; i++) {
      lua_pushfstring(L, "%su%d", i ? "," : "", (int)i);
      luaL_addvalue(&b);
    }
  }
  luaL_addstring(&b, " end");
  luaL_pushresult(&b);
  if (luaL_loadstring(L, lua_tostring(L, -1)) != LUA_OK) lua_error(L);
  lua_remove(L, -2);
  dump_top(L, STRIPPED);
}

/* The factory for functions with more upvalues than registers: upvalue 1 is the dump. */
static int load_again(lua_State *L) {
  size_t size;
  const char *dump = lua_tolstring(L, lua_upvalueindex(1), &size);
  if (luaL_loadbufferx(L, dump, size, "=?", "b") != LUA_OK) return lua_error(L);
  return 1;
}

int mb_code_factory(lua_State *L, const char *dump, size_t len) {
  struct reader r = {dump + HEADER + 1, dump + len, 0};
  const char *upvalues, *inner = NULL, *inner_upvalues, *template;
  size_t count, inner_size = 0, inner_count, size;
  luaL_Buffer b;
  int top = lua_gettop(L), err;
  if (len < HEADER + 1) return MB_EFORMAT;
  skip_function(&r, &upvalues, &count, NULL, NULL, 0);
  if (r.bad) return MB_EFORMAT;
  luaL_checkstack(L, 12, NULL);
  if (count > MOST_FACTORY_UPVALUES) {
    lua_pushlstring(L, dump, len);
    lua_pushcclosure(L, load_again, 1);
    return 0;
  }
  push_template(L, count);
  template = lua_tolstring(L, -1, &size);
  r = (struct reader){template + HEADER + 1, template + size, 0};
  skip_function(&r, NULL, NULL, &inner, &inner_size, 0);
  if (r.bad || !inner) goto malformed;
  r = (struct reader){inner, template + size, 0};
  skip_function(&r, &inner_upvalues, &inner_count, NULL, NULL, 0);
  if (r.bad || inner_count != count) goto malformed;
  /* The template with the dumped function in the place of its inner one, whose way of finding the
   * upvalues (in the stack, at this index) it takes over. */
  luaL_buffinit(L, &b);
  luaL_addlstring(&b, template, (size_t)(inner - template));
  luaL_addlstring(&b, dump + HEADER + 1, (size_t)(upvalues - dump) - HEADER - 1);
  for (size_t i = 0; i < count; i++) {
    luaL_addlstring(&b, inner_upvalues + 3 * i, 2);
    luaL_addchar(&b, upvalues[3 * i + 2]);
  }
  luaL_addlstring(&b, upvalues + 3 * count, len - (size_t)(upvalues + 3 * count - dump));
  luaL_addlstring(&b, inner + inner_size, size - (size_t)(inner + inner_size - template));
  luaL_pushresult(&b);
  template = lua_tolstring(L, -1, &size);
  err = luaL_loadbufferx(L, template, size, "=moonbeam", "b");
  if (err == LUA_ERRMEM) lua_error(L);
  if (err != LUA_OK) goto malformed;
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
  return 0;

malformed:
  lua_settop(L, top);
  return MB_EFORMAT;
}

/* A function whose use of upvalues is known: a by value, _ENV by the names x (read) and y (written). */
static const char sample[] =
    "local a = ...\n"
    "return function(n) y = n; return a + x + (function() return x end)() end";

static int is_name(const struct mb_code_name *n, const char *s) {
  return n->len == strlen(s) && memcmp(n->s, s, n->len) == 0;
}

static int check_sample(lua_State *L, const char *dump, size_t size) {
  struct mb_code *c;
  int ok = 0, env = -1, other = -1, err = mb_code_scan(dump, size, &c);
  if (err) return err;
  for (uint32_t u = 0; u < c->upvalue_count; u++) {
    if (c->upvalues[u].is_env)
      env = (int)u;
    else
      other = (int)u;
  }
  if (c->upvalue_count == 2 && env >= 0 && other >= 0) {
    const struct mb_code_upvalue *u = &c->upvalues[env];
    const struct mb_code_name *n = c->names + u->first_name;
    int x = n[0].s[0] == 'x' ? 0 : 1;
    ok = u->name_count == 2 && !u->dynamic && u->written && c->upvalues[other].dynamic &&
         c->upvalues[other].name_count == 0 && is_name(&n[x], "x") && n[x].read && is_name(&n[!x], "y") &&
         n[!x].written && !n[!x].read;
  }
  mb_code_free(c);
  if (!ok) return MB_EFORMAT;
  err = mb_code_factory(L, dump, size);
  if (err) return err;
  lua_call(L, 0, 1);
  lua_newtable(L);
  lua_pushinteger(L, 3);
  lua_setfield(L, -2, "x");
  lua_pushvalue(L, -1);
  lua_setupvalue(L, -3, env + 1);
  lua_pushinteger(L, 10);
  lua_setupvalue(L, -3, other + 1);
  lua_pushvalue(L, -2);
  lua_pushinteger(L, 5);
  if (lua_pcall(L, 1, 1, 0) != LUA_OK || lua_tointeger(L, -1) != 16) return MB_EFORMAT;
  lua_getfield(L, -2, "y");
  return lua_tointeger(L, -1) == 5 ? 0 : MB_EFORMAT;
}

int mb_bytecode_check(lua_State *L) {
  int top = lua_gettop(L), err = MB_EFORMAT;
  luaL_checkstack(L, 16, NULL);
  if (luaL_loadstring(L, sample) == LUA_OK) {
    size_t size;
    const char *dump;
    lua_pushinteger(L, 1);
    lua_call(L, 1, 1);
    dump_top(L, KEPT);
    dump = lua_tolstring(L, -1, &size);
    err = check_sample(L, dump, size);
  }
  lua_settop(L, top);
  return err;
}

/* A Lua closure starts with the collector's header and list link; the prototype is the fourth word. */
enum { PROTOTYPE_WORD = 3 };

const void *mb_code_identity(lua_State *L, int index) {
  const void *const *closure = lua_topointer(L, index);
  return lua_iscfunction(L, index) ? NULL : closure[PROTOTYPE_WORD];
}

int mb_code_identity_works(lua_State *L) {
  static const char source[] =
      "local function make(x) return function() return x end end\n"
      "return make(1), make(2), function() return 1 end, make";
  int top = lua_gettop(L), works = 0;
  if (luaL_loadstring(L, source) == LUA_OK) {
    const void *a, *b, *c, *d;
    lua_call(L, 0, 4);
    a = mb_code_identity(L, top + 1);
    b = mb_code_identity(L, top + 2);
    c = mb_code_identity(L, top + 3);
    d = mb_code_identity(L, top + 4);
    works = a && a == b && c && d && a != c && a != d && c != d && a != lua_topointer(L, top + 1);
  }
  lua_settop(L, top);
  return works;
}
