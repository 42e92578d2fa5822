/* A C module for the specs, as bindings of OpenSSL are: it has OpenSSL clean up when the program ends, if it is the
 * first to use it. After that the end takes a while, in which threads go on. */
#include <lua.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <time.h>

static void linger(void) {
  struct timespec a_while = {0, 100000000};
  nanosleep(&a_while, NULL);
}

int luaopen_cleaner(lua_State *L) {
  (void)atexit(linger);
  lua_pushboolean(L, OPENSSL_init_ssl(0, NULL));
  return 1;
}
