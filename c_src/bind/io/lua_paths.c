/* Functions of fs about names: each is one call of a pool thread, see call.h. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "heap/arguments.h"
#include "heap/errors.h"
#include "io/call.h"
#include "io/fs.h"
#include "io/path.h"
#include "io/tree.h"

struct paths {
  struct mb_call call;
  char *path, *other;    /* other: NULL, or the second one */
  int64_t number;        /* what else the functions are given */
  int flag;
  double accessed, modified;
  uv_stat_t stat;        /* what they bring */
  char *text;
  struct mb_buffer entries;
  size_t count, pushed;
};

static void release(struct mb_call *call) {
  struct paths *c = (struct paths *)call;
  free(c->path);
  free(c->other);
  free(c->text);
  mb_buffer_deinit(&c->entries);
}

/* The call of a function with one path, or two. The stack keeps its arguments, up to `top`, below the call's
 * userdata. */
static struct paths *begin(lua_State *L, const char *function, int count, int top, void (*run)(struct mb_call *),
                           int (*finish)(struct mb_heap *, lua_State *, struct mb_call *)) {
  struct mb_heap *h = mb_heap_of(L);
  const char *path = mb_check_path(h, L, 1, function, 1),
             *other = count > 1 ? mb_check_path(h, L, 2, function, 2) : NULL;
  struct paths *c;
  lua_settop(L, top);
  c = mb_call_new(h, L, sizeof *c);
  c->call.run = run;
  c->call.finish = finish;
  c->call.release = release;
  c->path = strdup(path);
  if (other) c->other = strdup(other);
  if (!c->path || (other && !c->other)) mb_no_memory(L);
  return c;
}

static int wait(lua_State *L) { return mb_call_wait(mb_heap_of(L), L, lua_gettop(L)); }

static void done(struct paths *c, int result) { c->call.result = result == 0 ? 0 : -errno; }

static int failure(lua_State *L, const struct paths *c) {
  return mb_path_failure(L, c->call.result, c->path, c->other);
}

static int finish_true(struct mb_heap *h, lua_State *L, struct mb_call *call) {
  (void)h;
  if (call->result < 0) return failure(L, (struct paths *)call);
  lua_pushboolean(L, 1);
  return 1;
}

static int finish_text(struct mb_heap *h, lua_State *L, struct mb_call *call) {
  struct paths *c = (struct paths *)call;
  (void)h;
  if (call->result < 0) return failure(L, c);
  lua_pushstring(L, c->text);
  return 1;
}

/* stat */

static const char *type_name(uint64_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG: return "file";
    case S_IFDIR: return "directory";
    case S_IFLNK: return "link";
    case S_IFIFO: return "fifo";
    case S_IFSOCK: return "socket";
    case S_IFCHR: return "char";
    case S_IFBLK: return "block";
    default: return "unknown";
  }
}

void mb_push_stat(lua_State *L, const uv_stat_t *st) {
  const struct {
    const char *name;
    uint64_t value;
  } numbers[] = {{"size", st->st_size}, {"mode", st->st_mode & 07777}, {"uid", st->st_uid},       {"gid", st->st_gid},
                 {"dev", st->st_dev},   {"ino", st->st_ino},           {"nlink", st->st_nlink},   {"rdev", st->st_rdev},
                 {"blocks", st->st_blocks}, {"blksize", st->st_blksize}};
  const struct {
    const char *name;
    const uv_timespec_t *value;
  } times[] = {
      {"atime", &st->st_atim}, {"mtime", &st->st_mtim}, {"ctime", &st->st_ctim}, {"birthtime", &st->st_birthtim}};
  lua_createtable(L, 0, 15);
  lua_pushstring(L, type_name(st->st_mode));
  lua_setfield(L, -2, "type");
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    lua_pushinteger(L, (lua_Integer)numbers[i].value);
    lua_setfield(L, -2, numbers[i].name);
  }
  for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
    lua_pushnumber(L, (lua_Number)times[i].value->tv_sec + (lua_Number)times[i].value->tv_nsec / 1e9);
    lua_setfield(L, -2, times[i].name);
  }
}

static void run_stat(struct mb_call *call) {
  struct paths *c = (struct paths *)call;
  uv_fs_t request;
  call->result = c->flag ? uv_fs_lstat(NULL, &request, c->path, NULL) : uv_fs_stat(NULL, &request, c->path, NULL);
  c->stat = request.statbuf;
  uv_fs_req_cleanup(&request);
}

static int finish_stat(struct mb_heap *h, lua_State *L, struct mb_call *call) {
  struct paths *c = (struct paths *)call;
  (void)h;
  if (call->result < 0) return failure(L, c);
  mb_push_stat(L, &c->stat);
  return 1;
}

/* stat(path) -> table */
static int fs_stat(lua_State *L) {
  begin(L, "fs.stat", 1, 1, run_stat, finish_stat);
  return wait(L);
}

/* lstat(path) -> table */
static int fs_lstat(lua_State *L) {
  begin(L, "fs.lstat", 1, 1, run_stat, finish_stat)->flag = 1;
  return wait(L);
}

static int finish_exists(struct mb_heap *h, lua_State *L, struct mb_call *call) {
  (void)h;
  if (call->result < 0 && call->result != UV_ENOENT && call->result != UV_ENOTDIR)
    return failure(L, (struct paths *)call);
  lua_pushboolean(L, call->result >= 0);
  return 1;
}

/* exists(path) -> boolean */
static int fs_exists(lua_State *L) {
  begin(L, "fs.exists", 1, 1, run_stat, finish_exists);
  return wait(L);
}

/* Directories */

static const char *const entry_types[] = {[UV_DIRENT_UNKNOWN] = "unknown", [UV_DIRENT_FILE] = "file",
                                          [UV_DIRENT_DIR] = "directory",   [UV_DIRENT_LINK] = "link",
                                          [UV_DIRENT_FIFO] = "fifo",       [UV_DIRENT_SOCKET] = "socket",
                                          [UV_DIRENT_CHAR] = "char",       [UV_DIRENT_BLOCK] = "block"};
enum { ENTRIES_AT_ONCE = 4000 };

static void run_readdir(struct mb_call *call) {
  struct paths *c = (struct paths *)call;
  call->result = mb_tree_list(c->path, &c->entries, &c->count);
}

/* Stack: path, types, the call, the result once there is one. */
static int finish_readdir(struct mb_heap *h, lua_State *L, struct mb_call *call) {
  struct paths *c = (struct paths *)call;
  (void)h;
  if (call->result < 0) return failure(L, c);
  if (lua_gettop(L) == 3) lua_createtable(L, c->count < INT_MAX ? (int)c->count : 0, 0);
  for (int i = 0; c->pushed < c->count; i++) {
    const char *entry = (const char *)c->entries.bytes + c->number, *name = entry + 1;
    if (i == ENTRIES_AT_ONCE) return MB_CALL_GOES_ON;
    if (c->flag) {
      lua_createtable(L, 2, 0);
      lua_pushstring(L, name);
      lua_rawseti(L, -2, 1);
      lua_pushstring(L, entry_types[(int)*entry]);
      lua_rawseti(L, -2, 2);
    } else {
      lua_pushstring(L, name);
    }
    lua_rawseti(L, 4, (lua_Integer)++c->pushed);
    c->number += (int64_t)strlen(name) + 2;
  }
  return 1;
}

/* readdir(path, types) -> sequence of names, or of {name, type} */
static int fs_readdir(lua_State *L) {
  begin(L, "fs.readdir", 1, 2, run_readdir, finish_readdir)->flag = lua_toboolean(L, 2);
  return wait(L);
}

static void run_mkdir(struct mb_call *call) {
  struct paths *c = (struct paths *)call;
  if (c->flag)
    call->result = mb_tree_make(c->path, (unsigned)c->number);
  else
    done(c, mkdir(c->path, (mode_t)c->number));
}

/* mkdir(path, parents, mode, function) -> true */
static int fs_mkdir(lua_State *L) {
  const char *function = luaL_checkstring(L, 4);
  int mode = mb_check_permissions(mb_heap_of(L), L, 3, function, 2);
  struct paths *c = begin(L, function, 1, 4, run_mkdir, finish_true);
  c->flag = lua_toboolean(L, 2);
  c->number = mode < 0 ? 0777 : mode;
  return wait(L);
}

static void run_remove(struct mb_call *call) {
  struct paths *c = (struct paths *)call;
  if (c->flag)
    call->result = mb_tree_remove(c->path);
  else
    done(c, remove(c->path));
}

/* remove(path, recursive) -> true */
static int fs_remove(lua_State *L) {
  begin(L, "fs.remove", 1, 2, run_remove, finish_true)->flag = lua_toboolean(L, 2);
  return wait(L);
}

/* Links and names */

static void run_rename(struct mb_call *call) {
  struct paths *c = (struct paths *)call;
  done(c, rename(c->path, c->other));
}

/* rename(from, to) -> true */
static int fs_rename(lua_State *L) {
  begin(L, "fs.rename", 2, 2, run_rename, finish_true);
  return wait(L);
}

static void run_copy(struct mb_call *call) {
  struct paths *c = (struct paths *)call;
  struct stat from, to;
  uv_fs_t request;
  if (stat(c->path, &from) == 0) {
    if (!S_ISREG(from.st_mode)) {
      call->result = S_ISDIR(from.st_mode) ? UV_EISDIR : UV_EINVAL;
      return;
    }
    /* Opening the second would empty the first. */
    if (stat(c->other, &to) == 0 && from.st_dev == to.st_dev && from.st_ino == to.st_ino) {
      call->result = c->flag ? UV_EEXIST : 0;
      return;
    }
  }
  call->result = uv_fs_copyfile(NULL, &request, c->path, c->other,
                                UV_FS_COPYFILE_FICLONE | (c->flag ? UV_FS_COPYFILE_EXCL : 0), NULL);
  uv_fs_req_cleanup(&request);
}

/* copy(from, to, exclusive) -> true */
static int fs_copy(lua_State *L) {
  begin(L, "fs.copy", 2, 3, run_copy, finish_true)->flag = lua_toboolean(L, 3);
  return wait(L);
}

static void run_symlink(struct mb_call *call) {
  struct paths *c = (struct paths *)call;
  done(c, symlink(c->path, c->other));
}

/* symlink(target, path) -> true */
static int fs_symlink(lua_State *L) {
  begin(L, "fs.symlink", 2, 2, run_symlink, finish_true);
  return wait(L);
}

static void run_link(struct mb_call *call) {
  struct paths *c = (struct paths *)call;
  done(c, link(c->path, c->other));
}

/* link(existing, path) -> true */
static int fs_link(lua_State *L) {
  begin(L, "fs.link", 2, 2, run_link, finish_true);
  return wait(L);
}

static void run_readlink(struct mb_call *call) {
  struct paths *c = (struct paths *)call;
  for (size_t room = 256;; room *= 2) {
    ssize_t size;
    char *text = realloc(c->text, room);
    if (!text) {
      call->result = UV_ENOMEM;
      return;
    }
    c->text = text;
    size = readlink(c->path, text, room - 1);
    if (size < 0) {
      call->result = -errno;
      return;
    }
    if ((size_t)size < room - 1) {
      text[size] = 0;
      return;
    }
  }
}

/* readlink(path) -> target */
static int fs_readlink(lua_State *L) {
  begin(L, "fs.readlink", 1, 1, run_readlink, finish_text);
  return wait(L);
}

static void run_realpath(struct mb_call *call) {
  struct paths *c = (struct paths *)call;
  c->text = realpath(c->path, NULL);
  done(c, c->text ? 0 : -1);
}

/* realpath(path) -> path */
static int fs_realpath(lua_State *L) {
  begin(L, "fs.realpath", 1, 1, run_realpath, finish_text);
  return wait(L);
}

/* What a name says besides */

static void run_chmod(struct mb_call *call) {
  struct paths *c = (struct paths *)call;
  done(c, chmod(c->path, (mode_t)c->number));
}

/* chmod(path, mode) -> true */
static int fs_chmod(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  int mode = mb_check_permissions(h, L, 2, "fs.chmod", 2);
  if (mode < 0) mb_bad_type(h, L, "fs.chmod", 2, "permissions", 2);
  begin(L, "fs.chmod", 1, 2, run_chmod, finish_true)->number = mode;
  return wait(L);
}

static struct timespec timespec_of(double seconds) {
  struct timespec t = {.tv_nsec = UTIME_OMIT};
  double whole = floor(seconds);
  if (isnan(seconds)) return t;
  t.tv_sec = (time_t)whole;
  t.tv_nsec = (long)((seconds - whole) * 1e9);
  return t;
}

static void run_utime(struct mb_call *call) {
  struct paths *c = (struct paths *)call;
  struct timespec times[2] = {timespec_of(c->accessed), timespec_of(c->modified)};
  done(c, utimensat(AT_FDCWD, c->path, times, 0));
}

/* A time argument: seconds, NaN for nil. */
static double check_time(struct mb_heap *h, lua_State *L, int at) {
  double seconds;
  if (lua_isnoneornil(L, at)) return NAN;
  if (lua_type(L, at) != LUA_TNUMBER) mb_bad_type(h, L, "fs.utime", at, "seconds, a number,", at);
  seconds = lua_tonumber(L, at);
  if (!(seconds > -1e15 && seconds < 1e15)) mb_bad_argument(h, L, "fs.utime", at, "seconds since 1970 expected");
  return seconds;
}

/* utime(path, accessed, modified) -> true */
static int fs_utime(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  double accessed = check_time(h, L, 2), modified = check_time(h, L, 3);
  struct paths *c = begin(L, "fs.utime", 1, 3, run_utime, finish_true);
  c->accessed = accessed;
  c->modified = modified;
  return wait(L);
}

static void run_mkdtemp(struct mb_call *call) {
  struct paths *c = (struct paths *)call;
  c->text = strdup(c->path);
  if (!c->text)
    call->result = UV_ENOMEM;
  else
    done(c, mkdtemp(c->text) ? 0 : -1);
}

/* mkdtemp(template) -> path */
static int fs_mkdtemp(lua_State *L) {
  begin(L, "fs.mkdtemp", 1, 1, run_mkdtemp, finish_text);
  return wait(L);
}

void mb_open_paths(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"stat", fs_stat},         {"lstat", fs_lstat},       {"exists", fs_exists},
                                       {"readdir", fs_readdir},   {"mkdir", fs_mkdir},       {"remove", fs_remove},
                                       {"rename", fs_rename},     {"copy", fs_copy},         {"symlink", fs_symlink},
                                       {"link", fs_link},         {"readlink", fs_readlink}, {"realpath", fs_realpath},
                                       {"chmod", fs_chmod},       {"utime", fs_utime},       {"mkdtemp", fs_mkdtemp},
                                       {NULL, NULL}};
  mb_set_functions(h, L, functions);
}
