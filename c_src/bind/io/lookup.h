/* The addresses of a name, by the system's resolver on a thread of libuv's pool. The calling process alone waits, and
 * may be killed meanwhile: the answer is dropped then. */
#ifndef MB_LOOKUP_H
#define MB_LOOKUP_H

#include <lua.h>

/* lookup(name, "inet" | "inet6" | nil, deadline) -> {host...} | nil, text, code: addresses in numbers, at least one.
 * Upvalue 1 is the heap. It yields while it waits. */
int mb_lookup(lua_State *L);

#endif
