/* TLS in the calls of a socket's owner: the handshake, which runs in the process that owns the socket, no other. */
#ifndef MB_SECURE_H
#define MB_SECURE_H

#include "io/socket.h"

/* One round of the loop of a call that waits (waiter.h), before plain bytes can pass. The socket is at stack index 1
 * and open; `deadline` is the call's, and k(deadline) goes on with it. 1: they can. 0: it has waited, or a function of
 * the user's has run: look again. Negative: so many values of a failure are on the stack. */
int mb_secure(struct mb_heap *h, lua_State *L, struct mb_socket *s, struct mb_process *p, uint64_t deadline,
              lua_KFunction k);

/* Methods: handshake([ms]), tls(), starttls(opts [, ms]). */
int mb_secure_handshake(lua_State *L);
int mb_secure_tls(lua_State *L);
int mb_secure_starttls(lua_State *L);

void mb_open_secure(struct mb_heap *h, lua_State *L);

#endif
