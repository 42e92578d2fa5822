/* Giving a socket to another process: on the same scheduler it changes hands; to another one its descriptor goes, with
 * what has been read and not been taken. */
#ifndef MB_GIVE_H
#define MB_GIVE_H

#include "io/socket.h"

/* socket:give_away(pid [, gift]) -> true | nil, text, code. The receiver gets {"socket", socket, from [, gift]}. */
int mb_socket_give_away(lua_State *L);

/* Of the codec: the number of the socket at `index`, when that is being given away. 0: it is not. */
uint64_t mb_give_id(struct mb_heap *h, lua_State *L, int index);

#endif
