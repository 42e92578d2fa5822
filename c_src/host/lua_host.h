/* The module moonbeam.host: what the shell's Lua files need of the terminal, of sockets and of the program. It exists
 * in the first state, and its functions are for processes there. */
#ifndef MB_LUA_HOST_H
#define MB_LUA_HOST_H

#include <lua.h>

/* A lua_CFunction for package.preload. */
int luaopen_moonbeam_host(lua_State *L);

/* Whether the program will have a prompt of its own. Set before it runs. */
extern int mb_prompt_comes;

/* SIGINT with nobody in the foreground: whoever has opened the terminal is told, else the program ends. */
void mb_interrupted(lua_State *L);

#endif
