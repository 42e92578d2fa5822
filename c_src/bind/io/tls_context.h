/* Contexts of TLS (tls/tls.h) as userdata of the library's own Lua files; users see none. */
#ifndef MB_TLS_CONTEXT_H
#define MB_TLS_CONTEXT_H

#include "heap/heap.h"
#include "tls/tls.h"

/* The context at a stack index, which the userdata keeps; raises when it is none. */
struct mb_tls_context *mb_tls_context_at(lua_State *L, int at);

/* Push one, with a reference of its own. Raises when memory is out. */
void mb_tls_context_push(lua_State *L, struct mb_tls_context *c);

void mb_open_tls_context(struct mb_heap *h, lua_State *L);

#endif
