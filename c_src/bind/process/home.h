/* In which heap of its scheduler a process lives: its home, for good.
 *
 * That is decided when it starts, or before where something of it is there already. Children start where their parent
 * lives while there is room, so what talks to each other stays together; others in the newest heap that has room. The
 * home of a process is NULL before it starts, and that of the main chunk and the script: they are in the first one. */
#ifndef MB_HOME_H
#define MB_HOME_H

#include "heap/heap.h"

/* Choose a heap for p, which is about to start, and have it there. Opens one where there is no room; without memory for
 * that it starts in one that is full. Between two processes, or below one that waits. */
struct mb_heap *mb_home_choose(struct mb_scheduler *s, struct mb_process *p);

/* p, which has not started, is to start in this heap, whatever there is of room; it stays on its scheduler. */
void mb_home_set(struct mb_heap *h, struct mb_process *p);

/* It is not any more, or has ended: it has no home. */
void mb_home_leave(struct mb_scheduler *s, struct mb_process *p);

#endif
