/* Aliases as scripts use them: see core/alias.h. */
#ifndef MB_API_ALIAS_H
#define MB_API_ALIAS_H

#include "heap/heap.h"

/* send(alias, message): what that function does when its first argument is a reference. */
int mb_send_to_alias(struct mb_heap *h, lua_State *L);

/* The option `alias` of monitor's, in the table at stack index 2: enum mb_alias_ends, or -1 when there is none. Raises
 * when it is none of those that there are. */
int mb_check_alias_of_monitor(struct mb_heap *h, lua_State *L);

#endif
