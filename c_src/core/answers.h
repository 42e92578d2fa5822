/* Where the answers stand in a long mailbox: replies and the ends of monitors by their reference, exits by the pid that
 * they come from. Whoever looks for one finds it at once, however much else is there. Owner's thread only.
 *
 * Invariant: while a mailbox has `answers`, these are all that are in it. Those of one key are a ring by `same`, in the
 * order of the mailbox; the map has its last one, whose `same` is the first. */
#ifndef MB_ANSWERS_H
#define MB_ANSWERS_H

#include "process.h"

/* What a message answers; 0: nothing. */
static inline uint64_t mb_answer_key(const struct mb_signal *s) {
  if (s->kind == MB_REPLY || s->kind == MB_DOWN) return s->ref;
  return s->kind == MB_EXITED ? s->from : 0;
}

/* Begin to keep the answers of a mailbox that has none. 0, or MB_ENOMEM with nothing changed. */
int mb_answers_begin(struct mb_mailbox *m);

/* Forget them: the mailbox goes on without. */
void mb_answers_end(struct mb_mailbox *m);

/* A message has been put into a mailbox that has answers: behind all others, or anywhere. Without memory they end. */
void mb_answers_append(struct mb_mailbox *m, struct mb_signal *s);
void mb_answers_insert(struct mb_mailbox *m, struct mb_signal *s);

/* A message is leaving. */
void mb_answers_remove(struct mb_mailbox *m, struct mb_signal *s);

/* The oldest answer with the key, or NULL. */
struct mb_signal *mb_answers_first(const struct mb_mailbox *m, uint64_t key);

#endif
