/* What the script's process runs: LUA_INIT, the options in their order, the script, the prompt. */
#ifndef MB_SCRIPT_H
#define MB_SCRIPT_H

#include <lua.h>

#include "host/options.h"

struct mb_script {
  const struct mb_options *options;
  int argc;
  char **argv;
  int prompt;     /* it comes last */
  int read_stdin; /* there is no script, so the program is read from there */
  int step;       /* see script.c; 0 at first */
  int failed;     /* out: the error that ended it has been printed */
};

/* The process's function. Its argument is a struct mb_script, a light userdata, which outlives it. */
int mb_script_main(lua_State *L);

#endif
