/* Where modules are found when the runtime is loaded into the first heap: the others look for its own there. */
#ifndef MB_PATHS_H
#define MB_PATHS_H

#include <lua.h>

struct mb_paths {
  char *paths[2]; /* package.path and cpath; constant */
};

void mb_paths_note(struct mb_paths *p, lua_State *L);
void mb_paths_use(const struct mb_paths *p, lua_State *L);
void mb_paths_deinit(struct mb_paths *p);

#endif
