/* The methods of files: their arguments. What they do is in file_verb.c. */
#include <string.h>
#include <sys/file.h>

#include "heap/arguments.h"
#include "heap/errors.h"
#include "io/file_value.h"
#include "io/fs.h"
#include "io/path.h"
#include "process/wait.h"

/* A number of bytes or a place in a file. */
static lua_Integer check_count(lua_State *L, int at, enum mb_file_verb verb, lua_Integer most, const char *what) {
  int ok;
  lua_Integer n = lua_tointegerx(L, at, &ok);
  if (!ok || lua_type(L, at) != LUA_TNUMBER || n < 0 || n > most)
    mb_bad_argument(mb_heap_of(L), L, mb_file_verb_name(verb), at - 1, "%s expected, got %s", what,
                    mb_push_shown(mb_heap_of(L), L, at));
  return n;
}

static int file_read(lua_State *L) {
  lua_Integer what;
  uint64_t deadline;
  mb_file_check(L, MB_VERB_READ);
  what = mb_file_check_what(mb_heap_of(L), L, 2, mb_file_verb_name(MB_VERB_READ), 1);
  lua_settop(L, 3);
  deadline = mb_check_deadline(mb_heap_of(L), L, 3, mb_file_verb_name(MB_VERB_READ), 2, MB_TIMEOUT_OPTIONAL);
  lua_settop(L, 1);
  lua_pushinteger(L, what);
  lua_pushinteger(L, (lua_Integer)deadline);
  return mb_file_do(L, MB_VERB_READ);
}

static int file_write(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  mb_file_check(L, MB_VERB_WRITE);
  for (int i = 2; i <= lua_gettop(L); i++) mb_check_data(h, L, i, mb_file_verb_name(MB_VERB_WRITE), i - 1);
  return mb_file_do(L, MB_VERB_WRITE);
}

static int file_pread(lua_State *L) {
  mb_file_check(L, MB_VERB_PREAD);
  check_count(L, 2, MB_VERB_PREAD, MB_READ_MOST, "a number of bytes");
  check_count(L, 3, MB_VERB_PREAD, INT64_MAX, "an offset, an integer >= 0,");
  return mb_file_do(L, MB_VERB_PREAD);
}

static int file_pwrite(lua_State *L) {
  mb_file_check(L, MB_VERB_PWRITE);
  mb_check_data(mb_heap_of(L), L, 2, mb_file_verb_name(MB_VERB_PWRITE), 1);
  check_count(L, 3, MB_VERB_PWRITE, INT64_MAX, "an offset, an integer >= 0,");
  return mb_file_do(L, MB_VERB_PWRITE);
}

static int file_seek(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  const char *whence;
  int ok = 1;
  mb_file_check(L, MB_VERB_SEEK);
  lua_settop(L, 3);
  if (lua_isnil(L, 2)) {
    lua_pushliteral(L, "cur");
    lua_replace(L, 2);
  }
  if (lua_isnil(L, 3)) {
    lua_pushinteger(L, 0);
    lua_replace(L, 3);
  }
  whence = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  if (strcmp(whence, "set") != 0 && strcmp(whence, "cur") != 0 && strcmp(whence, "end") != 0)
    mb_bad_argument(h, L, mb_file_verb_name(MB_VERB_SEEK), 1, "\"set\", \"cur\" or \"end\" expected, got %s",
                    mb_push_shown(h, L, 2));
  (void)lua_tointegerx(L, 3, &ok);
  if (!ok || lua_type(L, 3) != LUA_TNUMBER)
    mb_bad_argument(h, L, mb_file_verb_name(MB_VERB_SEEK), 2, "an offset, an integer, expected, got %s",
                    mb_push_shown(h, L, 3));
  return mb_file_do(L, MB_VERB_SEEK);
}

static int file_sync(lua_State *L) {
  mb_file_check(L, MB_VERB_SYNC);
  return mb_file_do(L, MB_VERB_SYNC);
}

static int file_datasync(lua_State *L) {
  mb_file_check(L, MB_VERB_DATASYNC);
  return mb_file_do(L, MB_VERB_DATASYNC);
}

static int file_truncate(lua_State *L) {
  mb_file_check(L, MB_VERB_TRUNCATE);
  check_count(L, 2, MB_VERB_TRUNCATE, INT64_MAX, "a size, an integer >= 0,");
  return mb_file_do(L, MB_VERB_TRUNCATE);
}

static int file_stat(lua_State *L) {
  mb_file_check(L, MB_VERB_STAT);
  return mb_file_do(L, MB_VERB_STAT);
}

static int file_lock(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  int operation = 0;
  uint64_t deadline;
  mb_file_check(L, MB_VERB_LOCK);
  lua_settop(L, 3);
  if (lua_type(L, 2) == LUA_TSTRING) {
    const char *how = lua_tostring(L, 2);
    operation = strcmp(how, "exclusive") == 0 ? LOCK_EX : strcmp(how, "shared") == 0 ? LOCK_SH : 0;
  }
  if (!operation)
    mb_bad_argument(h, L, mb_file_verb_name(MB_VERB_LOCK), 1, "\"exclusive\" or \"shared\" expected, got %s",
                    mb_push_shown(h, L, 2));
  deadline = mb_check_deadline(h, L, 3, mb_file_verb_name(MB_VERB_LOCK), 2, MB_TIMEOUT_OPTIONAL);
  lua_settop(L, 1);
  lua_pushinteger(L, operation);
  lua_pushinteger(L, (lua_Integer)deadline);
  lua_pushinteger(L, MB_FILE_PAUSE);
  return mb_file_do(L, MB_VERB_LOCK);
}

static int file_unlock(lua_State *L) {
  mb_file_check(L, MB_VERB_UNLOCK);
  return mb_file_do(L, MB_VERB_UNLOCK);
}

/* close, and the end of a to-be-closed variable: where nothing may wait, it is closed in the background. */
static int file_close(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_file **box = mb_file_box(L, 1);
  if (!box) mb_bad_type(h, L, mb_file_verb_name(MB_VERB_CLOSE), 0, "file", 1);
  if (*box && !mb_can_wait(h, L)) mb_file_close(*box);
  if (!*box || !mb_can_wait(h, L) || (!(*box)->step && (*box)->fd < 0)) {
    lua_pushboolean(L, 1);
    return 1;
  }
  mb_file_check(L, MB_VERB_CLOSE);
  return mb_file_do(L, MB_VERB_CLOSE);
}

static int file_tostring(lua_State *L) {
  struct mb_file **box = mb_file_box(L, 1);
  if (!box || !*box || (*box)->fd < 0)
    lua_pushliteral(L, "file (closed)");
  else
    lua_pushfstring(L, "file (%s)", (*box)->path);
  return 1;
}

static int file_collect(lua_State *L) {
  struct mb_heap *h = mb_any_heap_of(L);
  struct mb_file **box = mb_file_box(L, 1), *f = box ? *box : NULL;
  if (!f) return 0;
  *box = NULL;
  mb_file_collect(f, h->scheduler != NULL);
  return 0;
}

void mb_open_file(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg methods[] = {{"read", file_read},         {"write", file_write},       {"pread", file_pread},
                                     {"pwrite", file_pwrite},     {"seek", file_seek},         {"sync", file_sync},
                                     {"datasync", file_datasync}, {"truncate", file_truncate}, {"stat", file_stat},
                                     {"lock", file_lock},         {"unlock", file_unlock},     {"close", file_close},
                                     {NULL, NULL}};
  static const luaL_Reg events[] = {
      {"__gc", file_collect}, {"__close", file_close}, {"__tostring", file_tostring}, {NULL, NULL}};
  lua_newtable(L);
  mb_set_functions(h, L, events);
  lua_newtable(L);
  mb_set_functions(h, L, methods);
  mb_open_lines(h, L);
  lua_setfield(L, -2, "__index");
  lua_pushliteral(L, "moonbeam.file");
  lua_setfield(L, -2, "__name");
  lua_pushliteral(L, "a file belongs to the process that opened it: send its path, or what is read from it");
  lua_setfield(L, -2, "__stays");
  mb_file_set_metatable(L);
}
