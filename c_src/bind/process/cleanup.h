/* The bound of clean-up code of the dead (heap/closing.h): what has not ended by then is cut off, and logged with the
 * place. */
#ifndef MB_CLEANUP_H
#define MB_CLEANUP_H

#include "heap/heap.h"

/* Whether the time is over; says so in the log once. Inside a hook at L, while h->closing. */
int mb_closing_is_over(struct mb_heap *h, lua_State *L);

/* Read MOONBEAM_CLEANUP_TIMEOUT. */
void mb_closing_open(struct mb_heap *h);

/* Take and, with ms >= 0, give the bound. */
lua_Integer mb_cleanup_timeout(struct mb_heap *h, lua_Integer ms);

#endif
