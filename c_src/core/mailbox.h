/* The mailbox: a process's queue of messages in order of arrival, with the position that selective
 * receive has reached. Owner's thread only.
 *
 * Invariants: `scan` is NULL or a queued message, and every message before it has been seen by the
 * receive that is going on. `marked` is NULL or a queued message; no message up to and including it
 * (none, when NULL) can carry the reference `mark`, which was made after they had arrived. */
#ifndef MB_MAILBOX_H
#define MB_MAILBOX_H

#include "process.h"

/* Append; the mailbox takes the signal over. */
void mb_mailbox_push(struct mb_mailbox *m, struct mb_signal *s);

/* Add a message in front of those that the present receive has not seen. */
void mb_mailbox_insert(struct mb_mailbox *m, struct mb_signal *s);

/* Take a queued message out; the caller owns it then. Its `next` is still valid for going on. */
void mb_mailbox_remove(struct mb_mailbox *m, struct mb_signal *s);

/* Begin a receive: scan from the oldest message, or, when only messages with the reference `wanted`
 * can match (0: any can), from the first that may carry it. */
void mb_mailbox_rewind(struct mb_mailbox *m, mb_ref wanted);

/* Remember that `ref` is new: a receive that wants it need not scan what is queued now. */
void mb_mailbox_mark(struct mb_mailbox *m, mb_ref ref);

/* Free everything. Returns how many messages there were. */
uint32_t mb_mailbox_clear(struct mb_mailbox *m);

#endif
