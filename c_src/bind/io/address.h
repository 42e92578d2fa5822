/* Addresses of sockets, as Lua sees them: {host =, port =, family = "inet" | "inet6"}, {path =, family = "unix"}. */
#ifndef MB_ADDRESS_H
#define MB_ADDRESS_H

#include <sys/socket.h>

#include "heap/heap.h"

/* Push one; raises when the module net cannot be loaded. */
void mb_address_push(struct mb_heap *h, lua_State *L, const struct sockaddr *address, socklen_t size);

/* Push host and port of an Internet address. */
void mb_address_push_parts(lua_State *L, const struct sockaddr *address);

/* An Internet address from numbers ("127.0.0.1", "::1"). 0 or UV_EINVAL. */
int mb_address_parse(const char *host, int port, struct sockaddr_storage *out);

#endif
