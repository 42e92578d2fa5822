#include "io/event.h"

#include <string.h>

#include "codec/codec.h"

enum { ITEM = 9 }; /* bytes of a tag and what it has, at most, but for a string's own */

struct mb_event mb_event_begin(struct mb_object *o, const char *name, uint32_t items, size_t room) {
  size_t size = MB_ENCODED_HEADER + ITEM + items * ITEM + strlen(name) + room + 1;
  struct mb_event e = {.signal = NULL};
  uint32_t one = 1, pairs = 0;
  o->mailed = 1;
  if (size > UINT32_MAX / 2) return e;
  e.signal = mb_signal_take(o->io->heap->scheduler, MB_MESSAGE, (uint32_t)size);
  if (!e.signal) return e;
  e.at = e.signal->data;
  *e.at++ = 0;
  memcpy(e.at, &one, 4);
  e.at += 4;
  *e.at++ = MB_T_TABLE;
  memcpy(e.at, &items, 4);
  memcpy(e.at + 4, &pairs, 4);
  e.at += 8;
  mb_event_string(&e, name, strlen(name));
  *e.at++ = MB_T_HANDLE;
  memcpy(e.at, &o->id, 8);
  e.at += 8;
  return e;
}

void mb_event_string(struct mb_event *e, const void *bytes, size_t size) {
  uint32_t n = (uint32_t)size;
  if (!e->signal) return;
  *e->at++ = MB_T_STRING;
  memcpy(e->at, &n, 4);
  memcpy(e->at + 4, bytes, size);
  e->at += 4 + size;
}

void mb_event_integer(struct mb_event *e, int64_t value) {
  if (!e->signal) return;
  *e->at++ = MB_T_INT64;
  memcpy(e->at, &value, 8);
  e->at += 8;
}

int mb_event_is(const struct mb_signal *s, const struct mb_object *o, const char *name) {
  const unsigned char *at = s->data + MB_ENCODED_HEADER + ITEM; /* behind the beginning of the table */
  uint32_t n = (uint32_t)strlen(name);
  return s->kind == MB_MESSAGE && s->size >= MB_ENCODED_HEADER + 3 * ITEM + n && at[0] == MB_T_STRING &&
         memcmp(at + 1, &n, 4) == 0 && memcmp(at + 5, name, n) == 0 && at[5 + n] == MB_T_HANDLE &&
         memcmp(at + 6 + n, &o->id, 8) == 0;
}

int mb_event_send(struct mb_object *o, struct mb_event *e) {
  if (!e->signal) return UV_ENOMEM;
  *e->at = MB_T_NIL; /* no metatable */
  mb_signal_send(o->io->heap->scheduler, o->owner, e->signal);
  return 0;
}
