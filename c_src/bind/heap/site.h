/* Where processes have been spawned: texts that live as long as the scheduler's first heap, each place once; all of its
 * heaps have the same. Bounded. */
#ifndef MB_SITE_H
#define MB_SITE_H

#include "heap/heap.h"

/* "file:line" of the code that called the C function which runs on L, kept as said above; NULL: there is
 * none, or no memory for it. */
const char *mb_site(struct mb_heap *h, lua_State *L);
struct mb_sites *mb_sites_new(void);
void mb_sites_free(struct mb_heap *h);

#endif
