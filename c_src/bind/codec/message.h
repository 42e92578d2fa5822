/* What signals and reasons say, as Lua values, and what becomes of those that cannot be made here: because a module that
 * they name cannot be loaded in this heap, or because memory is out.
 *
 * Making something of a signal may load modules, which is code of the user's: it may take messages itself. So a signal is
 * made with what is loaded first, when it can stay in the mailbox (only finalizers run, and these take nothing); and else
 * it is out of the mailbox meanwhile. What cannot be made is dropped and logged; in what tells of values (see
 * mb_encoded_tells), such as a reason, a text stands for each that cannot be made. Owner's thread. */
#ifndef MB_MESSAGE_H
#define MB_MESSAGE_H

#include "heap/heap.h"

enum mb_form {
  MB_FORM_MESSAGE, /* one value, as receive gives it */
  MB_FORM_EVENT,   /* for a server's loop: kind and what belongs to it */
  MB_FORM_VALUES   /* of a reply, its values; of anything else, the reason */
};

enum { MB_UNMADE = -1, MB_UNMADE_BEFORE = -2 };

/* Push what s, which is in p's mailbox, says: how many values. It stays there, the caller's to take before the next call
 * that may run code. MB_UNMADE: it cannot be made; it has been taken out, and a text that says why is on the top of the
 * stack. MB_UNMADE_BEFORE: the same, and it has raised before; nothing is pushed. p runs. Raises when memory is out. */
int mb_message_push(struct mb_heap *h, lua_State *L, struct mb_process *p, struct mb_signal *s, enum mb_form form);

/* Push a message that stays in the mailbox of any process of the heap, with texts for values of modules that are not loaded. */
void mb_message_show(struct mb_heap *h, lua_State *L, const struct mb_signal *s);

/* Push a reason's value. Code of the user's may run; raises when memory is out. */
void mb_push_reason(struct mb_heap *h, lua_State *L, struct mb_reason *r);

/* The same with a reference that is given up, also when this raises. */
void mb_push_reason_taken(struct mb_heap *h, lua_State *L, struct mb_reason *r);

/* The same where no code but finalizers may run: 0, and nothing pushed, when that takes more. */
int mb_push_reason_loaded(struct mb_heap *h, lua_State *L, const struct mb_reason *r);

#endif
