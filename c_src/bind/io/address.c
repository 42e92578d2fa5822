#include "io/address.h"

#include <lauxlib.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>
#include <uv.h>

#include "code/library.h"

/* The metatable is a field of the module net, so that addresses travel. */
static void set_metatable(struct mb_heap *h, lua_State *L) {
  if (!mb_library_push(h, L, "moonbeam.net")) return;
  lua_getfield(L, -1, "Address");
  lua_setmetatable(L, -3);
  lua_pop(L, 1);
}

void mb_address_push_parts(lua_State *L, const struct sockaddr *address) {
  char host[INET6_ADDRSTRLEN] = "";
  int port = 0;
  if (address->sa_family == AF_INET) {
    const struct sockaddr_in *in = (const struct sockaddr_in *)address;
    uv_ip4_name(in, host, sizeof host);
    port = ntohs(in->sin_port);
  } else if (address->sa_family == AF_INET6) {
    const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)address;
    uv_ip6_name(in, host, sizeof host);
    port = ntohs(in->sin6_port);
  }
  lua_pushstring(L, host);
  lua_pushinteger(L, port);
}

void mb_address_push(struct mb_heap *h, lua_State *L, const struct sockaddr *address, socklen_t size) {
  luaL_checkstack(L, 6, NULL);
  lua_createtable(L, 0, 3);
  if (address->sa_family == AF_UNIX) {
    const struct sockaddr_un *local = (const struct sockaddr_un *)address;
    size_t length = size > offsetof(struct sockaddr_un, sun_path) ? size - offsetof(struct sockaddr_un, sun_path) : 0;
    if (length && local->sun_path[0]) length = strnlen(local->sun_path, length);
    lua_pushlstring(L, local->sun_path, length);
    lua_setfield(L, -2, "path");
    lua_pushliteral(L, "unix");
  } else {
    mb_address_push_parts(L, address);
    lua_setfield(L, -3, "port");
    lua_setfield(L, -2, "host");
    lua_pushstring(L, address->sa_family == AF_INET6 ? "inet6" : "inet");
  }
  lua_setfield(L, -2, "family");
  set_metatable(h, L);
}

int mb_address_parse(const char *host, int port, struct sockaddr_storage *out) {
  memset(out, 0, sizeof *out);
  if (uv_ip4_addr(host, port, (struct sockaddr_in *)out) == 0) return 0;
  return uv_ip6_addr(host, port, (struct sockaddr_in6 *)out);
}
