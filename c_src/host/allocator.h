/* The interpreter's allocator for Lua: chunks of blocks of one size for small blocks, malloc for the rest.
 *
 * Blocks have no header: a process of a dozen small objects is the smaller for it, and what one process frees the next
 * one takes. Chunks that are empty serve any size; beyond a few they go back to malloc, and all of them do before an
 * allocation fails. One allocator belongs to one Lua state, or to all of a thread's; it is not thread-safe. */
#ifndef MB_ALLOCATOR_H
#define MB_ALLOCATOR_H

#include <stddef.h>

struct mb_allocator;

/* A new allocator, or NULL when memory is out. */
struct mb_allocator *mb_allocator_new(void);

/* Give everything back; the state must be closed. */
void mb_allocator_free(struct mb_allocator *a);

/* The allocator that all states have in common which this thread makes, for one more; NULL when memory is out. */
struct mb_allocator *mb_allocator_share(void);

/* One of these states has been closed. With the last one the allocator goes. The same thread, or after its end. */
void mb_allocator_leave(struct mb_allocator *a);

/* A lua_Alloc whose data is the allocator. */
void *mb_allocate(void *data, void *block, size_t old, size_t size);

#endif
