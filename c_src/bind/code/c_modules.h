/* C modules: libraries are opened and their openers (luaopen_...) called by one thread of the program at a time,
 * because their initialisation may not be thread-safe, and on the heap's main thread, because they may keep it. */
#ifndef MB_C_MODULES_H
#define MB_C_MODULES_H

#include <pthread.h>

#include "heap/heap.h"

struct mb_opening {
  pthread_mutex_t mutex; /* recursive: a C module may require another. Partner: every heap's thread */
};

void mb_opening_init(struct mb_opening *o);
void mb_opening_deinit(struct mb_opening *o);

/* Wrap the searchers of package.searchers and package.loadlib accordingly. May raise; the stack stays. */
void mb_open_c_modules(struct mb_heap *h, lua_State *L);

#endif
