/* The shared object with the TLS filter, beside the module moonbeam.core: it is loaded when it is first needed. */
#ifndef MB_TLS_LIBRARY_H
#define MB_TLS_LIBRARY_H

#include "tls/tls.h"

/* Its functions, which stay for as long as the program runs; NULL: it cannot be loaded, and `why`, of `room` bytes,
 * says why. Any thread; it may take some milliseconds. */
const struct mb_tls_functions *mb_tls_load(char *why, size_t room);

#endif
