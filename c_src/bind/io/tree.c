#include "io/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

int mb_tree_make(const char *path, unsigned mode) {
  struct stat st;
  size_t size = strlen(path);
  char *part;
  int err = 0;
  if (mkdir(path, mode) == 0) return 0;
  if (errno != ENOENT) {
    err = -errno;
    return err == UV_EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? 0 : err;
  }
  part = strdup(path);
  if (!part) return UV_ENOMEM;
  for (size_t i = 1; i <= size && !err; i++) {
    if (i < size && (part[i] != '/' || part[i - 1] == '/')) continue;
    part[i] = 0;
    /* What others make meanwhile is as good. */
    if (mkdir(part, i < size ? mode | S_IWUSR | S_IXUSR : mode) != 0 && errno != EEXIST) err = -errno;
    if (i < size) part[i] = '/';
  }
  if (!err && (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))) err = UV_ENOTDIR;
  free(part);
  return err;
}

/* A directory that is being emptied: those above it are open, too, so that nobody can put a link in the way. */
struct level {
  DIR *directory;
  char *name; /* of it in the one above */
};

static int push(struct level **levels, size_t *depth, size_t *room, int above, const char *name) {
  struct level *all = *levels;
  int fd;
  if (*depth == *room) {
    all = realloc(all, (*room * 2 + 8) * sizeof *all);
    if (!all) return UV_ENOMEM;
    *levels = all;
    *room = *room * 2 + 8;
  }
  fd = openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return -errno;
  all[*depth].directory = fdopendir(fd);
  if (!all[*depth].directory) {
    int err = -errno;
    close(fd);
    return err;
  }
  all[*depth].name = strdup(name);
  if (!all[*depth].name) {
    closedir(all[*depth].directory);
    return UV_ENOMEM;
  }
  ++*depth;
  return 0;
}

int mb_tree_remove(const char *path) {
  struct level *levels = NULL;
  size_t depth = 0, room = 0;
  int err;
  if (unlink(path) == 0 || errno == ENOENT) return 0;
  if (errno != EISDIR && errno != EPERM) return -errno;
  err = push(&levels, &depth, &room, AT_FDCWD, path);
  if (err == UV_ENOTDIR || err == UV_ELOOP) err = UV_EPERM; /* it is none: unlink has said why */
  while (!err && depth) {
    struct level *level = &levels[depth - 1];
    int fd = dirfd(level->directory);
    struct dirent *entry;
    errno = 0;
    entry = readdir(level->directory);
    if (entry) {
      if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
      if (unlinkat(fd, entry->d_name, 0) == 0 || errno == ENOENT) continue;
      err = errno == EISDIR || errno == EPERM ? push(&levels, &depth, &room, fd, entry->d_name) : -errno;
      if (err == UV_ENOTDIR || err == UV_ELOOP) err = UV_EPERM;
      continue;
    }
    if (errno) {
      err = -errno;
      break;
    }
    depth--;
    closedir(level->directory);
    if (unlinkat(depth ? dirfd(levels[depth - 1].directory) : AT_FDCWD, level->name, AT_REMOVEDIR) != 0 &&
        errno != ENOENT)
      err = -errno;
    free(level->name);
  }
  while (depth) {
    depth--;
    closedir(levels[depth].directory);
    free(levels[depth].name);
  }
  free(levels);
  return err;
}

static int type_of(int fd, const struct dirent *entry) {
  struct stat st;
  switch (entry->d_type) {
    case DT_DIR: return UV_DIRENT_DIR;
    case DT_REG: return UV_DIRENT_FILE;
    case DT_LNK: return UV_DIRENT_LINK;
    case DT_FIFO: return UV_DIRENT_FIFO;
    case DT_SOCK: return UV_DIRENT_SOCKET;
    case DT_CHR: return UV_DIRENT_CHAR;
    case DT_BLK: return UV_DIRENT_BLOCK;
    default: break; /* the file system does not tell */
  }
  if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) return UV_DIRENT_UNKNOWN;
  switch (st.st_mode & S_IFMT) {
    case S_IFDIR: return UV_DIRENT_DIR;
    case S_IFREG: return UV_DIRENT_FILE;
    case S_IFLNK: return UV_DIRENT_LINK;
    case S_IFIFO: return UV_DIRENT_FIFO;
    case S_IFSOCK: return UV_DIRENT_SOCKET;
    case S_IFCHR: return UV_DIRENT_CHAR;
    case S_IFBLK: return UV_DIRENT_BLOCK;
    default: return UV_DIRENT_UNKNOWN;
  }
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a + 1, *(char *const *)b + 1); }

/* Sort what has been read. */
static int sort(struct mb_buffer *out, size_t count) {
  char **entries = malloc(count * sizeof *entries), *at = (char *)out->bytes, *sorted = malloc(out->size), *to = sorted;
  if (!entries || !sorted) {
    free(entries);
    free(sorted);
    return UV_ENOMEM;
  }
  for (size_t i = 0; i < count; i++, at += strlen(at + 1) + 2) entries[i] = at;
  qsort(entries, count, sizeof *entries, by_name);
  for (size_t i = 0; i < count; i++) {
    size_t size = strlen(entries[i] + 1) + 2;
    memcpy(to, entries[i], size);
    to += size;
  }
  free(out->bytes);
  out->bytes = (unsigned char *)sorted;
  out->capacity = out->size;
  free(entries);
  return 0;
}

int mb_tree_list(const char *path, struct mb_buffer *out, size_t *count) {
  DIR *directory = opendir(path);
  int err = 0;
  *count = 0;
  if (!directory) return -errno;
  for (;;) {
    struct dirent *entry;
    size_t size;
    unsigned char *to;
    errno = 0;
    entry = readdir(directory);
    if (!entry) {
      err = -errno;
      break;
    }
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    size = strlen(entry->d_name) + 1;
    to = mb_buffer_reserve(out, size + 1);
    if (!to) {
      err = UV_ENOMEM;
      break;
    }
    to[0] = (unsigned char)type_of(dirfd(directory), entry);
    memcpy(to + 1, entry->d_name, size);
    out->size += size + 1;
    ++*count;
  }
  closedir(directory);
  if (!err && *count > 1) err = sort(out, *count);
  if (err) mb_buffer_deinit(out);
  return err;
}
