/* Whole files: reading and writing what is in one, each as one call of a pool thread. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "heap/arguments.h"
#include "heap/errors.h"
#include "io/call.h"
#include "io/fs.h"
#include "io/path.h"

enum { FIRST_BLOCK = 65536, SUFFIX = 8 };

/* Whether it may take for ever: that is left to file.c. Then the functions give nil, text, "EAGAIN". */
static int waits(const struct stat *st) { return S_ISFIFO(st->st_mode) || S_ISCHR(st->st_mode); }

/* Reading */

struct reading {
  struct mb_call call;
  char *path;
  char *data;
  size_t size;
};

static void release_reading(struct mb_call *call) {
  struct reading *c = (struct reading *)call;
  free(c->path);
  free(c->data);
}

/* All of a file that has begun to be read; 0 or an error. */
static int read_all(int fd, struct reading *c, const struct stat *st) {
  size_t room = FIRST_BLOCK;
  if (S_ISREG(st->st_mode) && st->st_size > 0) room = (size_t)st->st_size + 1; /* 1 more finds the end */
  for (;;) {
    ssize_t n;
    if (!c->data || c->size == room) {
      char *data;
      if (c->size == room) room *= 2;
      data = realloc(c->data, room);
      if (!data) return UV_ENOMEM;
      c->data = data;
    }
    n = read(fd, c->data + c->size, room - c->size);
    if (n == 0) return 0;
    if (n < 0 && errno != EINTR) return -errno;
    if (n > 0) c->size += (size_t)n;
  }
}

static void run_read(struct mb_call *call) {
  struct reading *c = (struct reading *)call;
  struct stat st;
  int fd = open(c->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    call->result = -errno;
    return;
  }
  call->result = fstat(fd, &st) == 0 && waits(&st) ? UV_EAGAIN : read_all(fd, c, &st);
  close(fd);
}

static int finish_read(struct mb_heap *h, lua_State *L, struct mb_call *call) {
  struct reading *c = (struct reading *)call;
  (void)h;
  if (call->result < 0) return mb_path_failure(L, call->result, c->path, NULL);
  lua_pushlstring(L, c->data, c->size);
  return 1;
}

/* read(path) -> string */
static int fs_read(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  const char *path = mb_check_path(h, L, 1, "fs.read", 1);
  struct reading *c;
  lua_settop(L, 1);
  c = mb_call_new(h, L, sizeof *c);
  c->call.run = run_read;
  c->call.finish = finish_read;
  c->call.release = release_reading;
  c->path = strdup(path);
  if (!c->path) mb_no_memory(L);
  return mb_call_wait(h, L, 2);
}

/* Writing */

struct writing {
  struct mb_call call;
  char *path;
  char *data;
  size_t size;
  int mode; /* permissions; -1: those of a new file */
  int append, atomic, sync;
};

static void release_writing(struct mb_call *call) {
  struct writing *c = (struct writing *)call;
  free(c->path);
  free(c->data);
}

static int write_all(int fd, const char *data, size_t size) {
  while (size > 0) {
    ssize_t n = write(fd, data, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -errno;
    data += n;
    size -= (size_t)n;
  }
  return 0;
}

/* Write to a file that has been opened, and close it: some file systems say only then that there is no room. */
static int fill(int fd, const struct writing *c) {
  int err = write_all(fd, c->data, c->size);
  if (!err && c->sync && fsync(fd) != 0) err = -errno;
  if (close(fd) != 0 && !err && errno != EINTR) err = -errno;
  return err;
}

/* What is in the directory of a file is on the disk. */
static int sync_directory(const char *path) {
  char *copy = strdup(path), *slash;
  int fd, err = 0;
  if (!copy) return UV_ENOMEM;
  slash = strrchr(copy, '/');
  if (slash) slash[slash == copy] = 0;
  fd = open(slash ? copy : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0 || fsync(fd) != 0) err = -errno;
  if (fd >= 0) close(fd);
  free(copy);
  return err;
}

/* Open a new file whose name is `name`, of which the last SUFFIX bytes are chosen here. */
static int open_new(char *name, mode_t mode, int *fd) {
  static atomic_uint opened;
  for (int tries = 0; tries < 100; tries++) {
    uint64_t number = mb_clock_system() * 31 + atomic_fetch_add(&opened, 1) + ((uint64_t)getpid() << 40);
    snprintf(name + strlen(name) - SUFFIX, SUFFIX + 1, ".%07x", (unsigned)(number ^ number >> 28) & 0xfffffff);
    *fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (*fd >= 0) return 0;
    if (errno != EEXIST) return -errno;
  }
  return UV_EEXIST;
}

/* A file of another name gets the contents and then takes the place of the old one, whose permissions it has. */
static int replace(const struct writing *c) {
  char *target = realpath(c->path, NULL), *new = NULL; /* a link stays one */
  struct stat old;
  int fd, err, exists;
  if (!target) target = strdup(c->path);
  if (!target || asprintf(&new, "%s%*s", target, SUFFIX, "") < 0) {
    free(target);
    return UV_ENOMEM;
  }
  exists = stat(target, &old) == 0;
  err = exists && S_ISDIR(old.st_mode) ? UV_EISDIR : open_new(new, c->mode < 0 ? 0666 : (mode_t)c->mode, &fd);
  if (!err) {
    if (c->mode < 0 && exists && fchmod(fd, old.st_mode & 07777) != 0) err = -errno;
    if (err)
      close(fd);
    else
      err = fill(fd, c);
    if (!err && rename(new, target) != 0) err = -errno;
    if (err) unlink(new);
  }
  if (!err && c->sync) err = sync_directory(target);
  free(new);
  free(target);
  return err;
}

static void run_write(struct mb_call *call) {
  struct writing *c = (struct writing *)call;
  struct stat st;
  int fd;
  if (stat(c->path, &st) == 0 && waits(&st)) {
    call->result = UV_EAGAIN;
    return;
  }
  if (c->atomic) {
    call->result = replace(c);
    return;
  }
  fd = open(c->path, O_WRONLY | O_CREAT | O_CLOEXEC | (c->append ? O_APPEND : O_TRUNC),
            c->mode < 0 ? 0666 : (mode_t)c->mode);
  call->result = fd < 0 ? -errno : fill(fd, c);
}

static int finish_write(struct mb_heap *h, lua_State *L, struct mb_call *call) {
  struct writing *c = (struct writing *)call;
  (void)h;
  if (call->result < 0) return mb_path_failure(L, call->result, c->path, NULL);
  lua_pushboolean(L, 1);
  return 1;
}

/* write(path, data, append, atomic, sync, mode, function) -> true */
static int fs_write(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  const char *function = luaL_checkstring(L, 7), *path = mb_check_path(h, L, 1, function, 1);
  size_t size = mb_check_data(h, L, 2, function, 2);
  int mode = mb_check_permissions(h, L, 6, function, 3);
  struct writing *c;
  lua_settop(L, 7);
  c = mb_call_new(h, L, sizeof *c);
  c->call.run = run_write;
  c->call.finish = finish_write;
  c->call.release = release_writing;
  c->append = lua_toboolean(L, 3);
  c->atomic = lua_toboolean(L, 4);
  c->sync = lua_toboolean(L, 5);
  c->mode = mode;
  c->path = strdup(path);
  c->data = malloc(size + 1);
  if (!c->path || !c->data) mb_no_memory(L);
  c->size = mb_copy_data(L, 2, c->data, size);
  return mb_call_wait(h, L, 8);
}

void mb_open_contents(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"read", fs_read}, {"write", fs_write}, {NULL, NULL}};
  mb_set_functions(h, L, functions);
}
