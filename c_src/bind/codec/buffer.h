/* A growing byte buffer. Appending never fails half-way: it reports MB_ENOMEM and changes nothing. */
#ifndef MB_BUFFER_H
#define MB_BUFFER_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct mb_buffer {
  unsigned char *bytes;
  size_t size, capacity;
  size_t limit; /* it grows no further; 0: as far as memory goes */
};

/* Make room for `more` bytes after size; NULL when memory is out, or at the limit. */
static inline unsigned char *mb_buffer_reserve(struct mb_buffer *b, size_t more) {
  if (b->capacity - b->size < more) {
    size_t capacity = b->capacity ? b->capacity : 512;
    unsigned char *bytes;
    if (b->limit && b->size + more > b->limit) return NULL;
    while (capacity - b->size < more) capacity *= 2;
    bytes = realloc(b->bytes, capacity);
    if (!bytes) return NULL;
    b->bytes = bytes;
    b->capacity = capacity;
  }
  return b->bytes + b->size;
}

static inline void mb_buffer_deinit(struct mb_buffer *b) {
  free(b->bytes);
  *b = (struct mb_buffer){0};
}

#endif
