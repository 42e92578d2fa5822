/* UDP sockets: datagrams, with where they come from. */
#ifndef MB_UDP_H
#define MB_UDP_H

#include <lua.h>

/* net_udp(host, port, reuseaddr) -> socket: host is a numeric address. */
int mb_udp_open(lua_State *L);

#endif
