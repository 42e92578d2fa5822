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

/* Open the module `moonbeam.core` in a state: a lua_CFunction for package.preload or luaL_requiref. The Lua files of
 * the library (`require "moonbeam"`) must be on package.path.
 *
 * Pushes the module, a table, and returns 1; the state owns it. Opening it again in the same state gives the same one.
 * Raises a Lua error when memory is out, or the Lua is not the 5.4 that it was built for.
 *
 * The runtime that it makes lives as long as the state, and ends with lua_close. Processes of the
 * first scheduler run inside calls into the state, on the one thread that makes them; other schedulers, once there are
 * some, have states and threads of their own. */
MOONBEAM_API int luaopen_moonbeam_core(struct lua_State *L);

#ifdef __cplusplus
}
#endif

#endif
