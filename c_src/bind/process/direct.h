/* Handing over: a receiver of the same heap that is waiting gets a copy put on its stack, and nothing is encoded,
 * queued or decoded on the way.
 *
 * Scalars, shared values, functions without upvalues, and tables of these go this way, however many there are, with
 * their metatables, shared parts and cycles; what needs a new closure, an environment, a name or a refusal does not, nor what is deep. A
 * message that the sender builds in the call of send itself, as most do, is not even copied: nobody else can have it
 * (see call_site.h). The receiver offers its stack when it begins to wait; its mailbox holds nothing then that it has
 * not scanned. Requests and replies that have been sent so count as received. A message counts as the next one in the
 * mailbox: whoever wants to see the mailbox, or does not want the message, has it put there first. That is the
 * receiver's work, so one that has had to do it with a large message gets the next ones as bytes, from the sender,
 * until it takes something out of its mailbox. Owner's thread. */
#ifndef MB_DIRECT_H
#define MB_DIRECT_H

#include "heap/heap.h"

/* What a waiting process takes on its stack: p->offer. */
enum mb_offer {
  MB_OFFER_MESSAGE, /* a message */
  MB_OFFER_EVENT,   /* a server's next event: kind and what belongs to it, as next_event gives them */
  MB_OFFER_REPLY    /* the values of the reply to p->awaited */
};

/* What has been put on the stack of a receiver: p->got_direct. */
enum mb_got { MB_GOT_NOTHING, MB_GOT_SMALL, MB_GOT_LARGE };

/* Hand the value at `index` to the process `to`, which runs next: a message, to a server an event. 1, or 0: it has to
 * be sent. Raises when memory is out; then nothing has happened. The others are alike. If the value is the last of the
 * `arguments` that the running function has been given, and a table that the caller has built for the call, it is not
 * copied; with 0 it always is. */
int mb_send_direct(struct mb_heap *h, lua_State *L, mb_pid to, int index, int arguments);

/* The same for a request; ref is the monitor of a call, or 0 for a cast. */
int mb_request_direct(struct mb_heap *h, lua_State *L, mb_pid to, mb_pid from, mb_ref ref, int index);

/* The same for the reply to ref: the values from stack index `first` to the top. */
int mb_reply_direct(struct mb_heap *h, lua_State *L, mb_pid to, mb_ref ref, int first);

/* Whether something has been sent directly to p, which runs (enum mb_got): then it is on the top of its stack, and
 * taken now. */
static inline int mb_take_direct(struct mb_process *p) {
  int got = p->got_direct;
  p->got_direct = 0;
  return got;
}

/* The message on the top of L, which mb_take_direct has taken for p and called so, is not wanted: put it into the
 * mailbox instead (popped). Raises when memory is out. */
void mb_hand_back(struct mb_heap *h, lua_State *L, struct mb_process *p, int got);

/* Put a message that has been sent directly to p, which does not run, into its mailbox. L: any thread of the heap. */
void mb_direct_to_mailbox(struct mb_heap *h, lua_State *L, struct mb_process *p);

#endif
