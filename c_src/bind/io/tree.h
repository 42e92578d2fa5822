/* What takes many calls of the system's to a tree of directories, for a thread of the pool: no Lua, nothing of the
 * runtime's. Results are 0 or an error of libuv's. */
#ifndef MB_TREE_H
#define MB_TREE_H

#include "codec/buffer.h"

/* Make a directory and those above it that are missing; 0 as well when there is one already. */
int mb_tree_make(const char *path, unsigned mode);

/* Remove a file, a link, or a directory with all that is in it; links are not followed. 0 when there is nothing. */
int mb_tree_remove(const char *path);

/* The names in a directory, sorted by their bytes, each as TYPE(1) name NUL, TYPE as enum uv_dirent_type_t; '.' and
 * '..' are left out. On failure nothing is in `out`, which the caller frees. */
int mb_tree_list(const char *path, struct mb_buffer *out, size_t *count);

#endif
