/* A C module for the specs, as bindings of OpenSSL are: it has OpenSSL clean up when the program ends, if it is the
 * first to use it. After that, and after all destructors, the end takes a while, in which
 * threads go on. */
#include <lua.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void linger(void) {
  struct timespec a_while = {0, 100000000};
  nanosleep(&a_while, NULL);
}

/* What a stream has buffered is written last of all: when the libraries have been taken apart. */
static ssize_t linger_on(void *cookie, const char *text, size_t size) {
  (void)cookie;
  (void)text;
  linger();
  return (ssize_t)size;
}

int luaopen_cleaner(lua_State *L) {
  FILE *last = fopencookie(NULL, "w", (cookie_io_functions_t){.write = linger_on});
  if (last) fputc('.', last);
  (void)atexit(linger);
  lua_pushboolean(L, OPENSSL_init_ssl(0, NULL));
  return 1;
}
