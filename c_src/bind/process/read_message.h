/* Reading messages, and what becomes of those that cannot be made here: because a module that they name cannot be
 * loaded in this heap, or because memory is out.
 *
 * Making something of a signal may load modules, which is code of the user's: it may take messages itself. So a signal
 * is made with what is loaded first, when it can stay in the mailbox (only finalizers run, and these take nothing); and
 * else it is out of the mailbox meanwhile. What cannot be made is dropped and logged, a reason is replaced by a text.
 * Owner's thread. */
#ifndef MB_READ_MESSAGE_H
#define MB_READ_MESSAGE_H

#include "codec/message.h"

enum { MB_UNMADE_BEFORE = MB_UNMADE - 1 };

/* Push what s, which is in p's mailbox, says: how many values. It stays there, the caller's to take before the next
 * call that may run code. MB_UNMADE: it cannot be made; it has been taken out, and a text that says why is on the top
 * of the stack. MB_UNMADE_BEFORE: the same, and it has raised before; nothing is pushed. p runs. Raises when memory is
 * out. */
int mb_message_push(struct mb_heap *h, lua_State *L, struct mb_process *p, struct mb_signal *s, enum mb_form form);

/* Push the values of an answer and take it, in the same way. */
int mb_answer_take(struct mb_heap *h, lua_State *L, struct mb_process *p, struct mb_signal *s);

/* Take a message that has been used out of the mailbox. */
void mb_take_message(struct mb_heap *h, struct mb_process *p, struct mb_signal *s);

/* End a monitor and remove its DOWN and its reply from the mailbox. */
void mb_flush_ref(struct mb_heap *h, struct mb_process *p, mb_ref ref);

/* The oldest reply or DOWN for ref, from the scan position of p's mailbox on; NULL when there is none yet. */
struct mb_signal *mb_find_answer(struct mb_process *p, mb_ref ref);

#endif
