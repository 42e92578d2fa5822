/* Call sites: what the Lua code that has called a C function does with an argument afterwards.
 *
 * Tied to the layout of a call's frame and to the instructions of Lua 5.4, which the compiler puts in a known order.
 * mb_call_sites_known tries out whether this is the Lua it is written for. Owner's thread. */
#ifndef MB_CALL_SITE_H
#define MB_CALL_SITE_H

#include <lua.h>

/* Beside the number of items, what mb_given_table says. */
enum {
  MB_NOT_GIVEN = -1,  /* somebody else may have the table */
  MB_GIVEN_LIST = -2, /* nobody has; nothing but items is in it, and what lua_next gives after one comes later */
  MB_GIVEN = -3       /* nobody has; anything may be in it */
};

/* Whether the last argument of the C function that runs is a table which the calling code has built right there, as in
 * `send(pid, {"hello", n})` for a statement: then nobody else has it, and nobody will, short of reading temporaries
 * by debug.getlocal. `arguments`: how many the function has been given. The number n of items when they are its whole
 * contents, at 1 to n, nil or not; else one of the above. Only where mb_call_sites_known has said so. */
int mb_given_table(lua_State *L, int arguments);

/* Whether this Lua's frames and instructions are as mb_given_table expects. Stack unchanged; raises memory errors. */
int mb_call_sites_known(lua_State *L);

#endif
