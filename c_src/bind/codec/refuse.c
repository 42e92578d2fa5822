/* The error that says what cannot travel and where it is: the path from the value that was to be sent. It is of bounded
 * length, whatever the depth and the names, and no code of the user's runs for it. */
#include <string.h>

#include "codec/encoder.h"
#include "heap/errors.h"

void mb_encoder_give_up(struct mb_encoder *e) { e->h->encoding = e->nested; }

void mb_encoder_no_memory(struct mb_encoder *e) {
  mb_encoder_give_up(e);
  mb_no_memory(e->L);
}

void mb_encoder_no_stack(struct mb_encoder *e) {
  mb_encoder_give_up(e);
  luaL_error(e->L, "stack overflow");
}

enum {
  FIRST_STEPS = 4, LAST_STEPS = 8, /* of a path that are shown; the others are three dots */
  MOST_FRAMES = MB_NEST + 8,
  MOST_NAME = 60 /* bytes of a name */
};

struct path {
  lua_State *L;
  luaL_Buffer text;
  int some; /* there is a step before */
  int open; /* the path of fields, whose quotation mark is open */
};

static void add_name(struct path *p, const char *s) {
  size_t size = strlen(s);
  luaL_addlstring(&p->text, s, size > MOST_NAME ? MOST_NAME : size);
  if (size > MOST_NAME) luaL_addstring(&p->text, "...");
}

static void add_key(struct path *p, int key) {
  lua_State *L = p->L;
  int type = lua_type(L, key);
  if (type == LUA_TSTRING) {
    if (p->open) luaL_addchar(&p->text, '.');
    add_name(p, lua_tostring(L, key));
    return;
  }
  luaL_addchar(&p->text, '[');
  if (type == LUA_TNUMBER) {
    lua_pushvalue(L, key);
    (void)lua_tostring(L, -1); /* makes it a string */
    luaL_addvalue(&p->text);
  } else {
    luaL_addstring(&p->text, type != LUA_TBOOLEAN ? lua_typename(L, type) : lua_toboolean(L, key) ? "true" : "false");
  }
  luaL_addchar(&p->text, ']');
}

static int is_own_function(struct mb_encoder *e, int index) {
  lua_Debug ar;
  if (!lua_isfunction(e->L, index)) return 0;
  lua_pushvalue(e->L, index);
  lua_getinfo(e->L, ">S", &ar);
  return mb_is_own(e->h, ar.source);
}

/* Push what the user calls value `i` of those that a process is spawned with. Tasks and servers begin in a function of
 * the library's, which gets two values of its own, perhaps more, and then the user's function or module. */
static void push_root(struct mb_encoder *e, int i) {
  lua_State *L = e->L;
  int function = 0, skipped = 0;
  if (is_own_function(e, e->first)) {
    skipped = 2;
    for (function = 1; function < e->count && !lua_isfunction(L, e->first + function);) function++;
  }
  if (i == function)
    lua_pushliteral(L, "the function");
  else
    lua_pushfstring(L, "argument %d", i > function ? i - function : i - skipped);
}

enum step { IN_FIELD, ELSEWHERE };

/* Begin a step: of fields that follow each other one path is made. */
static void begin(struct path *p, enum step step) {
  if (p->open && step == IN_FIELD) return;
  if (p->open) luaL_addchar(&p->text, '"');
  if (p->some) luaL_addstring(&p->text, ", ");
  p->some = 1;
  p->open = 0;
}

static void add_dots(struct path *p) {
  begin(p, ELSEWHERE);
  luaL_addstring(&p->text, "...");
}

static void add_step(struct path *p, const struct mb_frame *f) {
  begin(p, f->at == AT_FIELD ? IN_FIELD : ELSEWHERE);
  switch (f->at) {
    case AT_FIELD:
      if (!p->open) luaL_addstring(&p->text, "field \"");
      add_key(p, f->index);
      p->open = 1;
      break;
    case AT_KEY:
      luaL_addstring(&p->text, "a key");
      break;
    case AT_METATABLE:
      luaL_addstring(&p->text, "the metatable");
      break;
    default:
      luaL_addstring(&p->text, f->at == AT_UPVALUE ? "upvalue \"" : "global \"");
      add_name(p, f->name);
      luaL_addchar(&p->text, '"');
  }
}

/* The way to the innermost frame f. */
static void add_path(struct mb_encoder *e, struct path *p, const struct mb_frame *f) {
  const struct mb_frame *frames[MOST_FRAMES];
  int count = 0;
  for (; f->outer && count < MOST_FRAMES; f = f->outer) frames[count++] = f;
  if (f->at != AT_GLOBAL && strcmp(e->doing, "spawn") == 0) {
    begin(p, ELSEWHERE);
    push_root(e, e->root);
    luaL_addvalue(&p->text);
  }
  if (f->at == AT_DEEP)
    add_dots(p);
  else if (f->at == AT_GLOBAL)
    add_step(p, f);
  for (int i = count - 1; i >= 0; i--) {
    if (i < LAST_STEPS || i >= count - FIRST_STEPS)
      add_step(p, frames[i]);
    else if (i == LAST_STEPS)
      add_dots(p);
  }
  if (p->open) luaL_addchar(&p->text, '"');
}

static int has_state(lua_State *L, int function) {
  if (!lua_getupvalue(L, function, 1)) return 0;
  lua_pop(L, 1);
  return 1;
}

void mb_encoder_refuse(struct mb_encoder *e, int index, const struct mb_frame *f) {
  lua_State *L = e->L;
  struct path p = {.L = L};
  const char *name = NULL, *stays = NULL; /* a userdata of the runtime's says what to do instead */
  mb_encoder_stack(e, 30);
  if (lua_type(L, index) == LUA_TUSERDATA && luaL_getmetafield(L, index, "__stays") == LUA_TSTRING)
    stays = lua_tostring(L, -1);
  if (luaL_getmetafield(L, index, "__name") == LUA_TSTRING) name = lua_tostring(L, -1);
  luaL_buffinit(L, &p.text);
  add_path(e, &p, f);
  luaL_addstring(&p.text, p.some ? " is a " : "it is a ");
  if (lua_isthread(L, index))
    luaL_addstring(&p.text, "coroutine");
  else if (lua_iscfunction(L, index))
    luaL_addstring(&p.text, has_state(L, index)
                                ? "C function with state (as io.lines, string.gmatch and coroutine.wrap make)"
                                : "C function that no module holds");
  else
    luaL_addstring(&p.text, luaL_typename(L, index));
  if (name) {
    luaL_addstring(&p.text, " (");
    add_name(&p, name);
    luaL_addstring(&p.text, ")");
  }
  if (stays) {
    luaL_addstring(&p.text, ": ");
    luaL_addstring(&p.text, stays);
  }
  luaL_pushresult(&p.text);
  mb_encoder_give_up(e);
  mb_raise(e->h, L, "cannot %s: %s", e->doing, lua_tostring(L, -1));
}
