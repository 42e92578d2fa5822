/* Fields of tables, whatever their metatables say. */
#ifndef MB_FIELDS_H
#define MB_FIELDS_H

#include <lua.h>

/* Set each field of the table at `from` in the table at `to`; both absolute indices. Raises when memory is out. */
void mb_fields_copy(lua_State *L, int from, int to);

#endif
