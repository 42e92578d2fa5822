/* Messages that C makes where no Lua may be entered, as in callbacks of the loop: one sequence of strings and
 * references.
 *
 *   struct mb_plain m = mb_plain(3);
 *   mb_plain_text(&m, "fs");
 *   ...
 *   struct mb_signal *s = mb_plain_signal(&m);
 *
 * Any thread. */
#ifndef MB_PLAIN_H
#define MB_PLAIN_H

#include "codec/buffer.h"
#include "codec/codec.h"
#include "core/signals.h"

struct mb_plain {
  struct mb_buffer out;
  int failed; /* memory is out */
};

static inline void mb_plain_bytes(struct mb_plain *m, const void *bytes, size_t size) {
  unsigned char *to = m->failed ? NULL : mb_buffer_reserve(&m->out, size);
  if (!to) {
    m->failed = 1;
    return;
  }
  memcpy(to, bytes, size);
  m->out.size += size;
}

static inline void mb_plain_byte(struct mb_plain *m, unsigned char byte) { mb_plain_bytes(m, &byte, 1); }

/* A sequence of so many items, which are put next. */
static inline struct mb_plain mb_plain(uint32_t items) {
  struct mb_plain m = {0};
  uint32_t values = 1, counts[2] = {items, 0};
  mb_plain_byte(&m, 0);
  mb_plain_bytes(&m, &values, sizeof values);
  mb_plain_byte(&m, MB_T_TABLE);
  mb_plain_bytes(&m, counts, sizeof counts);
  return m;
}

static inline void mb_plain_string(struct mb_plain *m, const void *bytes, size_t size) {
  uint32_t n = (uint32_t)size;
  mb_plain_byte(m, MB_T_STRING);
  mb_plain_bytes(m, &n, sizeof n);
  mb_plain_bytes(m, bytes, size);
}

static inline void mb_plain_text(struct mb_plain *m, const char *text) { mb_plain_string(m, text, strlen(text)); }

/* A pid or a reference. */
static inline void mb_plain_id(struct mb_plain *m, uint64_t id) {
  mb_plain_byte(m, MB_T_LIGHT);
  mb_plain_bytes(m, &id, sizeof id);
}

/* The message; NULL when memory is out. */
static inline struct mb_signal *mb_plain_signal(struct mb_plain *m) {
  struct mb_signal *s;
  mb_plain_byte(m, MB_T_NIL); /* the metatable */
  s = m->failed || m->out.size > UINT32_MAX ? NULL : mb_signal_new(MB_MESSAGE, (uint32_t)m->out.size);
  if (s) memcpy(s->data, m->out.bytes, m->out.size);
  mb_buffer_deinit(&m->out);
  return s;
}

#endif
