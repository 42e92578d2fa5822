/* Opening files: fs.open and fs.mkstemp. */
#include <fcntl.h>
#include <string.h>

#include "heap/arguments.h"
#include "heap/errors.h"
#include "io/file_value.h"
#include "io/fs.h"
#include "io/path.h"

/* flags of open(2) for a mode as io.open's, or with "x": a new file. -1: it is none. */
static int flags_of(const char *mode, size_t size) {
  int plus = 0, first = *mode;
  if (!first || strlen(mode) != size) return -1;
  if (first == 'w' && mode[1] == 'x') first = *++mode;
  for (const char *c = mode + 1; *c; c++) {
    if (*c == '+' && !plus)
      plus = 1;
    else if (*c != 'b' || c[1])
      return -1;
  }
  switch (first) {
    case 'r': return plus ? O_RDWR : O_RDONLY;
    case 'w': return (plus ? O_RDWR : O_WRONLY) | O_CREAT | O_TRUNC;
    case 'a': return (plus ? O_RDWR : O_WRONLY) | O_CREAT | O_APPEND;
    case 'x': return (plus ? O_RDWR : O_WRONLY) | O_CREAT | O_EXCL;
    default: return -1;
  }
}

/* open(path, mode, permissions) -> file */
static int fs_open(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  const char *path = mb_check_path(h, L, 1, "fs.open", 1);
  int flags = O_RDONLY, permissions = mb_check_permissions(h, L, 3, "fs.open", 3);
  struct mb_file *f;
  if (!lua_isnoneornil(L, 2)) {
    flags = lua_type(L, 2) == LUA_TSTRING ? flags_of(lua_tostring(L, 2), lua_rawlen(L, 2)) : -1;
    if (flags < 0)
      mb_bad_argument(h, L, "fs.open", 2, "mode \"r\", \"w\", \"a\" or \"x\", with \"+\" or without, expected, got %s",
                      mb_push_shown(h, L, 2));
  }
  f = mb_file_push_new(h, L, path, 1);
  lua_pushinteger(L, MB_FILE_PAUSE);
  f->flags = flags;
  f->append = (flags & O_APPEND) != 0;
  f->mode = permissions < 0 ? 0666 : permissions;
  return mb_file_do(L, MB_VERB_OPEN);
}

/* open_lines(path [, what]) -> file: of fs.lines, which has them checked before there is a file */
static int open_lines(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  const char *path = mb_check_path(h, L, 1, "fs.lines", 1);
  (void)mb_file_check_what(h, L, 2, "fs.lines", 2);
  mb_file_push_new(h, L, path, 1)->flags = O_RDONLY;
  lua_pushinteger(L, MB_FILE_PAUSE);
  return mb_file_do(L, MB_VERB_OPEN);
}

/* mkstemp(template) -> file, path */
static int fs_mkstemp(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  const char *path = mb_check_path(h, L, 1, "fs.mkstemp", 1);
  mb_file_push_new(h, L, path, 1)->flag = 1;
  lua_pushinteger(L, MB_FILE_PAUSE);
  return mb_file_do(L, MB_VERB_OPEN);
}

void mb_open_opening(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"open", fs_open}, {"open_lines", open_lines}, {"mkstemp", fs_mkstemp}, {NULL, NULL}};
  mb_set_functions(h, L, functions);
}
