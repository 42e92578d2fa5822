/* The shapes of messages: what signals and reasons say, as Lua values. In what tells of values (see mb_encoded_tells),
 * such as a reason, a text stands for each that cannot be made. Owner's thread. */
#ifndef MB_MESSAGE_H
#define MB_MESSAGE_H

#include "heap/heap.h"

enum mb_form {
  MB_FORM_MESSAGE, /* one value, as receive gives it */
  MB_FORM_EVENT,   /* for a server's loop: kind and what belongs to it */
  MB_FORM_VALUES   /* of a reply, its values; of anything else, the reason */
};

enum { MB_UNMADE = -1 };

/* Where what is made names modules: */
enum mb_making {
  MB_WITH_LOADED,  /* with loaded ones only: no code but finalizers runs */
  MB_WITH_LOADING, /* loading them, which is code of the user's */
  MB_WITH_TEXTS    /* with texts for what is not loaded */
};

/* Push what s says: how many values; MB_UNMADE, with anything pushed, when a module would have to be loaded and may
 * not. Raises when memory is out, or a module cannot be loaded. */
int mb_message_make(struct mb_heap *h, lua_State *L, const struct mb_signal *s, enum mb_form form, enum mb_making how);

/* Push a message that stays in the mailbox of any process of the heap, with texts for values of modules that are not
 * loaded. */
void mb_message_show(struct mb_heap *h, lua_State *L, const struct mb_signal *s);

/* Push a reason's value. Code of the user's may run; raises when memory is out. */
void mb_push_reason(struct mb_heap *h, lua_State *L, struct mb_reason *r);

/* The same with a reference that is given up, also when this raises. */
void mb_push_reason_taken(struct mb_heap *h, lua_State *L, struct mb_reason *r);

/* The same where no code but finalizers may run: 0, and nothing pushed, when that takes more. */
int mb_push_reason_loaded(struct mb_heap *h, lua_State *L, const struct mb_reason *r);

#endif
