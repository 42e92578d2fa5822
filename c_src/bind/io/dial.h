/* The functions of moonbeam.core that net.lua is made of: looking up names, connecting, listening. */
#ifndef MB_DIAL_H
#define MB_DIAL_H

#include "io/io.h"

void mb_open_dial(struct mb_heap *h, lua_State *L);

#endif
