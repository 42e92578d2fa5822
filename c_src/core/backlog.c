#include "backlog.h"

#include <stdlib.h>
#include <uv.h>

struct mb_record *mb_record_new(int kind, size_t size) {
  struct mb_record *e = malloc(sizeof *e + size);
  if (e) *e = (struct mb_record){.kind = kind, .size = size};
  return e;
}

static size_t weight(const struct mb_record *e) { return sizeof *e + e->size; }

int mb_backlog_put(struct mb_backlog *b, struct mb_record *e, int keep) {
  if (b->shedding && b->bytes <= b->limit / 2) b->shedding = 0;
  if (b->bytes + weight(e) > b->limit && b->head) b->shedding = 1; /* one alone may be larger than the limit */
  if (b->shedding && !keep) {
    b->missing++;
    return 0;
  }
  e->next = NULL;
  e->missing = b->missing;
  b->missing = 0;
  if (b->tail)
    b->tail->next = e;
  else
    b->head = e;
  b->tail = e;
  b->bytes += weight(e);
  return 1;
}

struct mb_record *mb_backlog_take(struct mb_backlog *b, uint64_t *missing) {
  struct mb_record *e = b->head;
  b->taken_at = uv_hrtime();
  if (!e) {
    *missing = b->missing;
    b->missing = 0;
    return NULL;
  }
  *missing = e->missing;
  b->head = e->next;
  if (!b->head) b->tail = NULL;
  b->bytes -= weight(e);
  return e;
}

int mb_backlog_pressed(const struct mb_backlog *b) {
  return b->bytes > b->limit / 2 && uv_hrtime() - b->taken_at < MB_BACKLOG_STALL_NS;
}

void mb_backlog_clear(struct mb_backlog *b) {
  for (struct mb_record *e; (e = b->head);) {
    b->head = e->next;
    free(e);
  }
  b->tail = NULL;
  b->bytes = 0;
  b->missing = 0;
}
