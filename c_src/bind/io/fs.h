/* The functions of fs, which moonbeam.fs makes its own. Those that wait are carried out by threads of the pool. */
#ifndef MB_FS_H
#define MB_FS_H

#include <uv.h>

#include "heap/heap.h"

/* Each adds its functions to the table on the top of the stack: fs, */
void mb_open_paths(struct mb_heap *h, lua_State *L);
void mb_open_contents(struct mb_heap *h, lua_State *L);
void mb_open_opening(struct mb_heap *h, lua_State *L);
void mb_open_fs_watch(struct mb_heap *h, lua_State *L);

/* or the methods of files. */
void mb_open_lines(struct mb_heap *h, lua_State *L);

/* Make files' metatable. */
void mb_open_file(struct mb_heap *h, lua_State *L);

/* Function of moonbeam.core: fs() -> a new table with all of them. */
void mb_open_fs(struct mb_heap *h, lua_State *L);

/* Push what stat says as a table. */
void mb_push_stat(lua_State *L, const uv_stat_t *st);

#endif
