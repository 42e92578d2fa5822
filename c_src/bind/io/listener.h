/* Listening sockets. A listener travels: what is sent, or part of a closure, is the same listener on any scheduler, so
 * processes everywhere accept from one queue of the kernel's. It belongs to the process that has made it, and closes, on
 * every scheduler, when that one exits or anybody closes it.
 *
 * What the schedulers share is counted; each has an object of its own that watches the descriptor while a process waits in
 * accept there. The watch tells as long as a connection is there, so a process that was woken and does not take it, since it
 * has ended or timed out meanwhile, keeps it from nobody: the next one is woken. */
#ifndef MB_LISTENER_H
#define MB_LISTENER_H

#include "core/lock.h"
#include "io/object.h"

struct mb_listening; /* what is shared */

/* Those of a program's node, found by their number when one arrives on a scheduler. */
struct mb_listenings {
  struct mb_lock lock;
  struct mb_listening *first;
};

/* Listen on fd, which is bound and taken over, and push the listener, which belongs to p. Results: 1 or a failure's. */
int mb_listener_push_new(struct mb_heap *h, lua_State *L, struct mb_process *p, int fd, int backlog, const char *path);

extern const struct mb_object_type mb_listener_guest_type; /* what a listener is on other schedulers */

/* Of the codec, by way of the heap: the number by which the listener at `index` travels, 0: it is none. */
uint64_t mb_listener_id(lua_State *L, int index);

/* Push the listener `id` where it has arrived; 0 and nothing pushed: there is none open. */
int mb_listener_arrived(struct mb_heap *h, lua_State *L, uint64_t id);

#endif
