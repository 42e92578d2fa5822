#include "io/file_value.h"

#include <string.h>

#include "heap/arguments.h"
#include "heap/errors.h"
#include "process/wait.h"

static const char metatable_key; /* its address is the key of the metatable */

void mb_file_push_metatable(lua_State *L) { lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key); }

void mb_file_set_metatable(lua_State *L) { lua_rawsetp(L, LUA_REGISTRYINDEX, &metatable_key); }

struct mb_file *mb_file_push_new(struct mb_heap *h, lua_State *L, const char *path, int at) {
  struct mb_process *p = mb_current(h, L);
  struct mb_file **box, *f;
  if (!mb_can_wait(h, L)) mb_cannot_wait(h, L, p);
  box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  mb_file_push_metatable(L);
  lua_setmetatable(L, -2);
  f = *box = mb_file_new(h->scheduler, path);
  if (!f) mb_no_memory(L);
  f->box = box;
  lua_replace(L, at);
  lua_settop(L, at);
  mb_file_hold(f, p);
  return f;
}

struct mb_file **mb_file_box(lua_State *L, int at) {
  int is;
  if (lua_type(L, at) != LUA_TUSERDATA || !lua_getmetatable(L, at)) return NULL;
  mb_file_push_metatable(L);
  is = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return is ? lua_touserdata(L, at) : NULL;
}

int mb_file_refuse_stranger(struct mb_heap *h, lua_State *L, enum mb_file_verb verb, const struct mb_file *f) {
  char owner[MB_ID_TEXT];
  mb_pid_text(f->owner, owner);
  return mb_raise(h, L, "%s: the file %s belongs to %s, the process that opened it: let that one do it, or open the "
                        "path here",
                  mb_file_verb_name(verb), f->path, owner);
}

struct mb_file *mb_file_check(lua_State *L, enum mb_file_verb verb) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_file **box = mb_file_box(L, 1), *f;
  if (!box) mb_bad_type(h, L, mb_file_verb_name(verb), 0, "file", 1);
  f = *box;
  if (!f || (f->fd < 0 && !f->step && verb != MB_VERB_CLOSE)) mb_file_refuse_closed(h, L, verb, f);
  if (f->owner != mb_pid_of(mb_current(h, L))) mb_file_refuse_stranger(h, L, verb, f);
  return f;
}

lua_Integer mb_file_check_what(struct mb_heap *h, lua_State *L, int at, const char *function, int index) {
  static const struct {
    const char *name;
    int what;
  } names[] = {{"l", MB_READ_LINE}, {"line", MB_READ_LINE}, {"L", MB_READ_LINE_WITH_END}, {"a", MB_READ_ALL}};
  if (lua_isnoneornil(L, at)) return MB_READ_LINE;
  if (lua_type(L, at) == LUA_TNUMBER) {
    int ok;
    lua_Integer n = lua_tointegerx(L, at, &ok);
    if (ok && n >= 0 && n <= MB_READ_MOST) return n;
  } else if (lua_type(L, at) == LUA_TSTRING) {
    const char *name = lua_tostring(L, at);
    if (*name == '*') name++;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
      if (strcmp(names[i].name, name) == 0) return names[i].what;
  }
  return mb_bad_argument(h, L, function, index, "a number of bytes, \"line\", \"L\" or \"a\" expected, got %s",
                         mb_push_shown(h, L, at));
}
