/* How calls fail that depend on the outside: nil, "ECODE: text", "ECODE", with libuv's names and texts. */
#ifndef MB_FAILURE_H
#define MB_FAILURE_H

#include <lua.h>

/* Push the three values for an error of libuv's (negative); returns 3. */
int mb_failure(lua_State *L, int error);

/* The same with a text of one's own for a name: nil, "name: text", name. */
int mb_failure_text(lua_State *L, const char *name, const char *text);

#endif
