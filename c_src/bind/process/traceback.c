/* A level is hidden that is the library's: a function of its files, or one of C's that a hidden one has called. Hidden
 * levels in a row are one line that names the public function among them, the outermost one: what the user has called.
 * They are no line where none of them has a name, as when an exit is raised by what has taken the place of one that
 * has; nor at the bottom of a process, where nobody of the user's has called them, unless there would be none without
 * it.
 *
 * Of many lines the first 10 and the last 11 are shown, as Lua does; of very deep stacks only those levels are looked
 * at (lua_getstack counts from the top). What is not hidden reads as luaL_traceback has it. */
#include "process/traceback.h"

#include <string.h>

#include "code/library.h"
#include "heap/errors.h"

enum {
  INNERMOST = 10, /* lines that are shown of many */
  OUTERMOST = 11,
  ALL = 64,   /* levels of which all are looked at, */
  FIRST = 24, /* else so many, and the outermost ones */
  NESTED = 3  /* tables within that of the library's first module: Task.Supervisor's functions */
};

#define TAIL "\n\t(...tail calls...)"

struct frame {
  lua_Debug ar;
  int level;
  int hidden;
  int called_back; /* by a hidden one of Lua, which names it */
};

/* A line: of one level that is shown, or of a run of hidden ones. */
struct line {
  struct frame *innermost, *outermost;
};

struct trace {
  struct mb_heap *h;
  lua_State *L, *of;
  luaL_Buffer b;
};

static int is_of_c(const struct frame *f) { return *f->ar.what == 'C'; }

/* Whether the table on the top of the stack, or one in it, has the value at `value`: push its name there. */
static int push_field_of(lua_State *L, int value, int nested) {
  if (!lua_istable(L, -1)) return 0;
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    if (lua_type(L, -2) == LUA_TSTRING) {
      if (lua_rawequal(L, -1, value)) {
        lua_pop(L, 1);
        return 1;
      }
      if (nested > 1 && push_field_of(L, value, nested - 1)) {
        lua_pushfstring(L, "%s.%s", lua_tostring(L, -3), lua_tostring(L, -1));
        lua_replace(L, -4);
        lua_pop(L, 2);
        return 1;
      }
    }
    lua_pop(L, 1);
  }
  return 0;
}

/* Replace the function on the top of the stack by the name that it has for the library's users: 1; 0: it has none, and
 * stays. */
static int name_public(struct mb_heap *h, lua_State *L) {
  int function = lua_gettop(L), found;
  if (!mb_library_loaded(h, L, "moonbeam")) return 0;
  found = push_field_of(L, function, NESTED);
  if (found) lua_replace(L, function);
  lua_settop(L, function);
  return found;
}

/* Push the name that the user's function has in a parameter of one that several of the library's share. */
static int push_given_name(struct trace *t, lua_Debug *ar) {
  const char *name;
  if (!lua_checkstack(t->of, 1)) return 0;
  lua_getinfo(t->of, "u", ar);
  for (int i = 1; i <= ar->nparams && (name = lua_getlocal(t->of, ar, i)) != NULL; i++) {
    if ((!strcmp(name, "user") || !strcmp(name, "fname")) && lua_type(t->of, -1) == LUA_TSTRING &&
        strchr(lua_tostring(t->of, -1), '.')) {
      if (t->of != t->L) lua_xmove(t->of, t->L, 1);
      return 1;
    }
    lua_pop(t->of, 1);
  }
  return 0;
}

/* Push the name of what the user has called in a run of hidden levels, `outermost` the last of them: 1. *left: the
 * function that has called it has left its place to it. */
static int push_called(struct trace *t, struct frame *innermost, struct frame *outermost, int *left) {
  *left = 0;
  for (struct frame *f = outermost; f >= innermost; f--) {
    if (is_of_c(f)) continue;
    if (push_given_name(t, &f->ar)) return 1;
    lua_getinfo(t->L, "f", &f->ar);
    if (name_public(t->h, t->L)) {
      *left = f->ar.istailcall;
      return 1;
    }
    lua_pop(t->L, 1);
    if (f == outermost && *f->ar.namewhat) {
      lua_pushstring(t->L, f->ar.name);
      return 1;
    }
  }
  return 0;
}

/* Whether a name in package.loaded is the library's, which has others for its users. */
static int is_of_library(const char *name) {
  return !strncmp(name, "moonbeam", 8) && (name[8] == '.' || name[8] == '\0');
}

/* Likewise by the name that it has in package.loaded, as Lua finds it. */
static int name_loaded(lua_State *L) {
  int function = lua_gettop(L), found;
  const char *name;
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  found = push_field_of(L, function, 2) && !is_of_library(lua_tostring(L, -1));
  if (found) {
    name = lua_tostring(L, -1);
    if (!strncmp(name, LUA_GNAME ".", sizeof LUA_GNAME)) lua_pushstring(L, name + sizeof LUA_GNAME);
    lua_replace(L, function);
  }
  lua_settop(L, function);
  return found;
}

/* What a level is called where it was called; NULL: nothing that says more than its place. In the library's code, that
 * is but the callbacks of servers. */
static const char *name_there(const struct frame *f) {
  if (f->called_back) return !strncmp(f->ar.name, "handle_", 7) ? "function" : NULL;
  return *f->ar.namewhat ? f->ar.namewhat : NULL;
}

/* Push how the function of a level that is shown is called. */
static void push_function(struct trace *t, struct frame *f) {
  lua_State *L = t->L;
  lua_Debug *ar = &f->ar;
  const char *there;
  lua_getinfo(L, "f", ar);
  if (name_loaded(L) || (is_of_c(f) && name_public(t->h, L)))
    lua_pushfstring(L, "function '%s'", lua_tostring(L, -1));
  else if ((there = name_there(f)) != NULL)
    lua_pushfstring(L, "%s '%s'", there, ar->name);
  else if (*ar->what == 'm')
    lua_pushliteral(L, "main chunk");
  else if (!is_of_c(f))
    lua_pushfstring(L, "function <%s:%d>", ar->short_src, ar->linedefined);
  else
    lua_pushliteral(L, "?");
  lua_remove(L, -2);
}

static void add_frame(struct trace *t, struct frame *f) {
  lua_State *L = t->L;
  const char *tail = f->ar.istailcall ? TAIL : "";
  push_function(t, f);
  if (f->ar.currentline > 0)
    lua_pushfstring(L, "\n\t%s:%d: in %s%s", f->ar.short_src, f->ar.currentline, lua_tostring(L, -1), tail);
  else
    lua_pushfstring(L, "\n\t%s: in %s%s", f->ar.short_src, lua_tostring(L, -1), tail);
  lua_remove(L, -2);
  luaL_addvalue(&t->b);
}

static void add_run(struct trace *t, const struct line *run) {
  int left;
  if (push_called(t, run->innermost, run->outermost, &left)) {
    lua_pushfstring(t->L, "\n\t[C]: in function '%s'%s", lua_tostring(t->L, -1), left ? TAIL : "");
    lua_remove(t->L, -2);
    luaL_addvalue(&t->b);
  }
}

static void add_lines(struct trace *t, const struct line *lines, int count) {
  for (int i = 0; i < count; i++) {
    if (lines[i].innermost->hidden)
      add_run(t, &lines[i]);
    else
      add_frame(t, lines[i].innermost);
  }
}

/* Look at levels [from, from + count): how many there are. */
static int look(struct trace *t, struct frame *frames, int from, int count) {
  int n = 0;
  for (; n < count && lua_getstack(t->of, from + n, &frames[n].ar); n++) {
    frames[n].level = from + n;
    frames[n].called_back = 0;
    lua_getinfo(t->of, "Slnt", &frames[n].ar);
    frames[n].hidden = !is_of_c(&frames[n]) && mb_is_own(t->h, frames[n].ar.source);
  }
  for (int i = n - 2; i >= 0; i--) { /* the outermost is no callback, and no C function that is called by the library */
    if (is_of_c(&frames[i])) frames[i].hidden = frames[i + 1].hidden;
    frames[i].called_back = frames[i + 1].hidden && !is_of_c(&frames[i + 1]) && *frames[i].ar.namewhat;
  }
  return n;
}

/* Make lines of n levels: how many; `bottom`: the last ones are the thread's outermost. */
static int make_lines(struct line *lines, struct frame *frames, int n, int bottom) {
  int count = 0;
  for (int i = 0; i < n; i++) {
    struct line *line = &lines[count++];
    *line = (struct line){&frames[i], &frames[i]};
    if (!frames[i].hidden) continue;
    while (i + 1 < n && frames[i + 1].hidden) i++;
    line->outermost = &frames[i];
  }
  return bottom && count > 1 && frames[n - 1].hidden ? count - 1 : count;
}

static void leave_out(struct trace *t, int levels) {
  lua_pushfstring(t->L, "\n\t...\t(skipping %d levels)", levels - 1); /* as Lua counts them */
  luaL_addvalue(&t->b);
}

void mb_traceback(struct mb_heap *h, lua_State *L, lua_State *of, const char *text, int level, int depth) {
  struct trace t = {.h = h, .L = L, .of = of};
  struct frame frames[ALL];
  struct line lines[ALL];
  int levels = depth - level, count, first, last; /* lines in all, and of those shown first and last */
  luaL_checkstack(L, 20, NULL);
  luaL_buffinit(L, &t.b);
  if (text) {
    luaL_addstring(&t.b, text);
    luaL_addchar(&t.b, '\n');
  }
  luaL_addstring(&t.b, "stack traceback:");
  if (levels <= ALL) {
    count = make_lines(lines, frames, look(&t, frames, level, levels), 1);
    first = count > INNERMOST + OUTERMOST + 1 ? INNERMOST : count;
    last = first < count ? OUTERMOST : 0;
  } else {
    int seen = look(&t, frames, level, FIRST);
    count = make_lines(lines, frames, seen, 0);
    first = count < INNERMOST ? count : INNERMOST;
    seen += look(&t, frames + seen, depth - OUTERMOST, OUTERMOST);
    last = make_lines(lines + count, frames + FIRST, seen - FIRST, 1);
    count += last;
  }
  add_lines(&t, lines, first);
  if (last) {
    leave_out(&t, lines[count - last].innermost->level - lines[first - 1].outermost->level - 1);
    add_lines(&t, lines + count - last, last);
  }
  luaL_pushresult(&t.b);
}
