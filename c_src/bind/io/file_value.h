/* Files as Lua values: a userdata, which belongs to the process that made it, and what its methods are given. */
#ifndef MB_FILE_VALUE_H
#define MB_FILE_VALUE_H

#include "io/file_verb.h"

/* Push the metatable of files; nil before mb_open_file. */
void mb_file_push_metatable(lua_State *L);

/* Make the table on the top of the stack, which is popped, that metatable. */
void mb_file_set_metatable(lua_State *L);

/* Make a file that is not open, and the calling process's. Its userdata is put at stack index `at`, with nothing above.
 * The path is copied. Raises where the process cannot wait, and when memory is out. */
struct mb_file *mb_file_push_new(struct mb_heap *h, lua_State *L, const char *path, int at);

/* What the userdata at an index has, NULL in it: collected. NULL: it is none. */
struct mb_file **mb_file_box(lua_State *L, int at);

/* The file that a method is called with, at 1: open, and the calling process's. Raises naming the verb. */
struct mb_file *mb_file_check(lua_State *L, enum mb_file_verb verb);

/* Raise that it belongs to another process. */
int mb_file_refuse_stranger(struct mb_heap *h, lua_State *L, enum mb_file_verb verb, const struct mb_file *f);

/* What to read, an argument: a number of bytes, or enum mb_read_what; nil: a line. Raises naming function and
 * argument. */
lua_Integer mb_file_check_what(struct mb_heap *h, lua_State *L, int at, const char *function, int index);

#endif
