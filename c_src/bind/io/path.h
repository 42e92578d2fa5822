/* Names of files as arguments, and the failures that are about them. */
#ifndef MB_PATH_H
#define MB_PATH_H

#include "heap/heap.h"

/* A path argument: a string without NUL, which stays on the stack. Raises naming function and argument. */
const char *mb_check_path(struct mb_heap *h, lua_State *L, int at, const char *function, int index);

/* Push nil, "ECODE: text: path", "ECODE" for an error of libuv's (negative); other: NULL, or the second path that the
 * call was about. Returns 3. */
int mb_path_failure(lua_State *L, int64_t error, const char *path, const char *other);

/* Bytes to write: a string, a number, or a sequence of those. Returns how many there are; raises naming the item that
 * is none. */
size_t mb_check_data(struct mb_heap *h, lua_State *L, int at, const char *function, int index);

/* Copy those bytes, `size` of them as mb_check_data has said, and no more: finalizers may change the sequence
 * meanwhile. Returns how many there still were. */
size_t mb_copy_data(lua_State *L, int at, char *to, size_t size);

/* An argument of permission bits: an integer, or octal digits; -1 for nil. Raises naming function and argument. */
int mb_check_permissions(struct mb_heap *h, lua_State *L, int at, const char *function, int index);

#endif
