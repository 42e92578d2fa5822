/* Watched tables: whether anything has been assigned to a field of them since they were noted, or one of the types that
 * share a metatable has got another.
 *
 * Lua has no hook for that. Their parts are compared with a copy, where Lua keeps them, if this is a Lua whose layout
 * is known: as plain memory, and only where that differs part by part. What is compared is names and values as they
 * are; what is inside a value does not count. A heap's own thread. */
#ifndef MB_WATCH_H
#define MB_WATCH_H

#include <lua.h>

struct mb_table_watch;

/* NULL: memory is out. */
struct mb_table_watch *mb_table_watch_new(void);
void mb_table_watch_free(struct mb_table_watch *w);

/* Whether watching works in this Lua, tried out with a table of L's; w watches nothing yet. May raise. */
int mb_table_watch_works(struct mb_table_watch *w, lua_State *L);

/* Forget all tables; the metatables of types are noted. */
void mb_table_watch_clear(struct mb_table_watch *w);

/* Note the table at `index` as it is now. The caller keeps it, and the values in it, from being collected. 0, or -1
 * when memory is out. */
int mb_table_watch_add(struct mb_table_watch *w, lua_State *L, int index);

/* Whether something is not as it was noted. For a watch that works. */
int mb_table_watch_changed(struct mb_table_watch *w);

#endif
