#include "io/tls_library.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The folder of moonbeam.core: where this code is, or, in the host, beside the host's own. 0 or -1. */
static int find_folder(char *folder, size_t room) {
  static const char here;
  Dl_info info;
  struct link_map *map = NULL;
  if (dladdr1(&here, &info, (void **)&map, RTLD_DL_LINKMAP) && map && map->l_name && *map->l_name) {
    char origin[PATH_MAX]; /* absolute, and as it was when the module was loaded, wherever the program has gone since */
    if (dlinfo(map, RTLD_DI_ORIGIN, origin) != 0) return -1;
    return snprintf(folder, room, "%s", origin) < (int)room ? 0 : -1;
  } else {
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    char *end;
    if (n < 0) return -1;
    exe[n] = 0;
    end = strrchr(exe, '/');
    if (!end) return -1;
    *end = 0;
    return snprintf(folder, room, "%s/../lib/lua/5.4/moonbeam", exe) < (int)room ? 0 : -1;
  }
}

const struct mb_tls_functions *mb_tls_load(char *why, size_t room) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* partners: this, on threads of the pool */
  static const struct mb_tls_functions *loaded;             /* under the mutex */
  const struct mb_tls_functions *functions;
  char path[PATH_MAX + 64], folder[PATH_MAX];
  pthread_mutex_lock(&mutex);
  if (!loaded && find_folder(folder, sizeof folder) == 0) {
    void *library;
    snprintf(path, sizeof path, "%s/openssl.so", folder);
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (library) loaded = dlsym(library, MB_TLS_FUNCTIONS);
    if (!loaded) snprintf(why, room, "%s", dlerror());
  } else if (!loaded) {
    snprintf(why, room, "the folder of moonbeam's modules cannot be found");
  }
  functions = loaded;
  pthread_mutex_unlock(&mutex);
  return functions;
}
