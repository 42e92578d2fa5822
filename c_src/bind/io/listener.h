/* Listening sockets. A listener travels: what is sent, or part of a closure, is the same listener on any scheduler, so
 * processes everywhere accept from it. It belongs to the process that has made it, and closes, on every scheduler, when
 * that one exits or anybody closes it.
 *
 * What the schedulers share is counted (listening.h); each has an object of its own, which has a part of that as its
 * own from when a process first accepts there, and watches it while one waits in accept. The watch tells as long as a
 * connection is there, so a process that was woken and does not take it, since it has ended or timed out meanwhile,
 * keeps it from nobody: the next one is woken. With several acceptors it goes on without any, for those of other
 * schedulers.
 *
 * Accepting does not wait for a handshake of TLS: that is made by whoever uses the connection (secure.h), so that a
 * client which says nothing keeps no other waiting. */
#ifndef MB_LISTENER_H
#define MB_LISTENER_H

#include "io/listening.h"
#include "io/object.h"

/* Listen on an address and push the listener, which belongs to p. Results: 1 or a failure's. */
int mb_listener_push_new(struct mb_heap *h, lua_State *L, struct mb_process *p, const struct sockaddr *address,
                         socklen_t size, struct mb_listen_options options);

extern const struct mb_object_type mb_listener_guest_type; /* what a listener is on other schedulers */

/* Of the codec, by way of the heap: the number by which the listener at `index` travels, 0: it is none. */
uint64_t mb_listener_id(lua_State *L, int index);

/* Push the listener `id` where it has arrived; 0 and nothing pushed: there is none open. */
int mb_listener_arrived(struct mb_heap *h, lua_State *L, uint64_t id);

#endif
