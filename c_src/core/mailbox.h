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

/* The oldest message, or the first that may carry the reference `wanted` (0: any may); NULL: there is none. */
static inline struct mb_signal *mb_mailbox_start(const struct mb_mailbox *m, mb_ref wanted) {
  return wanted && wanted == m->mark && m->marked ? m->marked->next : m->head;
}

/* Begin a receive: scan from the oldest message, or, when only messages with the reference `wanted`
 * can match (0: any can), from the first that may carry it. */
void mb_mailbox_rewind(struct mb_mailbox *m, mb_ref wanted);

/* The oldest answer with the key, the reference of a reply or DOWN or the pid of an exit, from `from` on: NULL, or a
 * message before which no such answer stands. Among many messages it takes no longer than among few. */
struct mb_signal *mb_mailbox_find(struct mb_mailbox *m, struct mb_signal *from, uint64_t key);

/* Remember that `ref` is new: a receive that wants it need not scan what is queued now. */
void mb_mailbox_mark(struct mb_mailbox *m, mb_ref ref);

/* Free everything. Returns how many messages there were. */
uint32_t mb_mailbox_clear(struct mb_mailbox *m);

#endif
