/* Watched tables: whether anything has been assigned to a field of them since they were noted.
 *
 * Lua has no hook for that. Their parts are compared with a copy, where Lua keeps them, if this is a Lua whose layout is
 * known: some hundred fields take half a microsecond, forty times less than a walk with lua_next. What is compared is
 * names and values as they are; what is inside a value does not count. A heap's own thread. */
#ifndef MB_WATCH_H
#define MB_WATCH_H

#include <lua.h>

struct mb_table_watch;

/* NULL: memory is out. */
struct mb_table_watch *mb_table_watch_new(void);
void mb_table_watch_free(struct mb_table_watch *w);

/* Whether watching works in this Lua, tried out with a table of L's; w watches nothing yet. May raise. */
int mb_table_watch_works(struct mb_table_watch *w, lua_State *L);

/* Forget all tables. */
void mb_table_watch_clear(struct mb_table_watch *w);

/* Note the table at `index` as it is now. The caller keeps it, and the values in it, from being collected. 0, or -1 when
 * memory is out. */
int mb_table_watch_add(struct mb_table_watch *w, lua_State *L, int index);

/* Whether one of the tables is not as it was noted. Without `names` it is not noticed when a value has been moved from one name
 * to another that takes the same place in the table. */
int mb_table_watch_changed(const struct mb_table_watch *w, int names);

#endif
