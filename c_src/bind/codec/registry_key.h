/* Values as keys of registries: bytes that are equal exactly when the keys are.
 *
 * They are an encoded message of one value (codec.h) in which nothing is left to choice, so decoding gives the key
 * back: numbers that are integers are written as such, a table's items are those from 1 on up to the first hole, and
 * its other pairs stand in the order of their bytes. Scalars are equal as in Lua. Tables are equal when their contents
 * are: they are copied from one process to another, so no two processes could ever name the same one. What has an
 * identity that copying does not keep (functions, other userdata, coroutines) is no key, except for modules, which
 * travel by name; nor is a table with a metatable, which may have an equality of its own. */
#ifndef MB_REGISTRY_KEY_H
#define MB_REGISTRY_KEY_H

#include "heap/heap.h"

/* The bytes of the value at `index`, which stay until the next call. No Lua code runs and nothing is collected
 * meanwhile, when modules are up to date, as mb_encode leaves them. Raises that this argument cannot be a key. */
const struct mb_buffer *mb_registry_key(struct mb_heap *h, lua_State *L, int index, const char *function,
                                        int argument);

#endif
