/* Moonbeam's embedding API: Elixir's processes inside a Lua 5.4 state. */
#ifndef MOONBEAM_H
#define MOONBEAM_H

#ifdef __cplusplus
extern "C" {
#endif

#define MOONBEAM_VERSION "0.1.0"

#if defined(__GNUC__)
#define MOONBEAM_API __attribute__((visibility("default")))
#else
#define MOONBEAM_API
#endif

struct lua_State;

/* Open the module `moonbeam.core` in a state: a lua_CFunction for package.preload or luaL_requiref. The
 * runtime it makes lives as long as the state and runs on the threads that call into the state; it ends
 * with lua_close. The Lua files of the library (`require "moonbeam"`) must be on package.path. */
MOONBEAM_API int luaopen_moonbeam_core(struct lua_State *L);

#ifdef __cplusplus
}
#endif

#endif
