/* Exit reasons as text: what moonbeam.internal.exit_text makes of them. */
#ifndef MB_REASON_TEXT_H
#define MB_REASON_TEXT_H

#include "heap/heap.h"

/* Push the text of the reason at `index`; what inspect says when it cannot be made. Code of the user's may run. */
void mb_push_reason_text(struct mb_heap *h, lua_State *L, int index);

/* The same on one line, and without tracebacks. */
void mb_push_reason_line(struct mb_heap *h, lua_State *L, int index);

/* Push what helps against the error at `index`, a line; 0, and nothing: there is nothing known. */
int mb_push_hint(struct mb_heap *h, lua_State *L, int index);

/* The value on the top of the stack is a reason that comes from another process, or that the library has made: when it
 * is a table without a metatable, it gets one by which it is text wherever Lua makes text of it. */
void mb_dress_reason(struct mb_heap *h, lua_State *L);

/* Its __tostring. */
int mb_reason_tostring(lua_State *L);

#endif
