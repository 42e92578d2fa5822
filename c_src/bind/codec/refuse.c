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

static void add_number(struct path *p, const char *before, int number) {
  lua_pushfstring(p->L, "%s%d", before, number);
  luaL_addvalue(&p->text);
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

/* The number of the user's argument in which the refused value is: what has been met first is `root`, and `first` the
 * step from there, NULL for none. 0: it is not known. *in_step: that step is the argument itself. */
static int argument_number(struct mb_encoder *e, const struct mb_frame *root, const struct mb_frame *first,
                           int *in_step) {
  const struct mb_given *given = e->h->given;
  if (root->at == AT_GLOBAL && e->count > 1) return 0;
  if (given->form == MB_GIVEN_ITSELF) return given->number + e->root;
  *in_step = root->at == AT_ROOT && first && first->at == AT_FIELD && lua_isinteger(e->L, first->index);
  return *in_step ? given->number + (int)lua_tointeger(e->L, first->index) : 0;
}

/* Add what is said before the path. 1: its first step is said there. */
static int add_begin(struct mb_encoder *e, struct path *p, const struct mb_frame *root, const struct mb_frame *first) {
  const char *to = e->h->given->to;
  int in_step = 0, number;
  if (!to[0]) {
    lua_pushfstring(p->L, "cannot %s: ", e->doing);
  } else {
    number = argument_number(e, root, first, &in_step);
    if (number > 0)
      lua_pushfstring(p->L, "cannot copy argument #%d of %s: ", number, to);
    else
      lua_pushfstring(p->L, "cannot copy what %s was given: ", to);
  }
  luaL_addvalue(&p->text);
  return in_step;
}

/* The way to the innermost frame f. */
static void add_path(struct mb_encoder *e, struct path *p, const struct mb_frame *f) {
  const struct mb_frame *frames[MOST_FRAMES];
  int count = 0;
  for (; f->outer && count < MOST_FRAMES; f = f->outer) frames[count++] = f;
  if (add_begin(e, p, f, count ? frames[count - 1] : NULL)) count--;
  if (f->at != AT_GLOBAL && !e->h->given->to[0] && strcmp(e->doing, "spawn") == 0) {
    begin(p, ELSEWHERE);
    if (e->root == 0)
      luaL_addstring(&p->text, "the function");
    else
      add_number(p, "argument ", e->root);
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
  mb_raise(e->h, L, "%s", lua_tostring(L, -1));
}
