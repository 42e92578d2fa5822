/* Messages that objects send to their owner: {"tcp", object, bytes} and the like, made without Lua by callbacks of the
 * loop. */
#ifndef MB_EVENT_H
#define MB_EVENT_H

#include "io/object.h"

/* A sequence being written in the codec's format: the object's name, the object, then what is added. */
struct mb_event {
  struct mb_signal *signal; /* NULL: memory is out */
  unsigned char *at;
};

/* Begin one of `items` items, the first two of which are `name` and the object; `room` bytes are enough for the strings
 * among the others. */
struct mb_event mb_event_begin(struct mb_object *o, const char *name, uint32_t items, size_t room);
void mb_event_string(struct mb_event *e, const void *bytes, size_t size);
void mb_event_integer(struct mb_event *e, int64_t value);

/* Whether a message, in a mailbox, is one of the object's by that name. */
int mb_event_is(const struct mb_signal *s, const struct mb_object *o, const char *name);

/* Send it to the object's owner, or drop it when there is none. 0, or UV_ENOMEM with nothing sent. */
int mb_event_send(struct mb_object *o, struct mb_event *e);

#endif
