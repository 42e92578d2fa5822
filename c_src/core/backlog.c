#include "backlog.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"

enum { MOST_PLACE = 200 }; /* bytes of a place */

struct mb_record *mb_record_report(int kind, size_t size, const char *place, size_t place_size) {
  struct mb_record *e;
  if (place_size > MOST_PLACE) place_size = MOST_PLACE;
  e = malloc(sizeof *e + size + place_size);
  if (!e) return NULL;
  *e = (struct mb_record){.kind = kind, .size = size, .place_size = (uint32_t)place_size};
  if (place_size) memcpy(e->bytes + size, place, place_size);
  return e;
}

struct mb_record *mb_record_new(int kind, size_t size) { return mb_record_report(kind, size, NULL, 0); }

static size_t weight(const struct mb_record *e) { return sizeof *e + e->size + e->place_size; }

static void append(struct mb_backlog *b, struct mb_record *e) {
  e->next = NULL;
  e->missing = b->missing;
  b->missing = 0;
  if (b->tail)
    b->tail->next = e;
  else
    b->head = e;
  b->before_tail = b->tail;
  b->tail = e;
}

/* Whether something is shed when it would make `bytes` of the room used: *shedding is what was done last. */
static int sheds(int *shedding, size_t bytes, size_t weight_of, size_t limit) {
  if (*shedding && bytes <= limit / 2) *shedding = 0;
  if (bytes && bytes + weight_of > limit) *shedding = 1; /* one alone may be larger than the limit */
  return *shedding;
}

/* Count a report that is shed. 1: it has become the summary of its place; 0: it is counted in one that there was. */
static int summarise(struct mb_backlog *b, struct mb_record *e) {
  struct mb_record *summary, *shrunk;
  for (unsigned i = 0; i < b->summary_count; i++) {
    summary = b->summaries[i];
    if (i == MB_BACKLOG_PLACES - 1 ||
        (summary->size == e->place_size && !memcmp(summary->bytes, mb_record_place(e), summary->size))) {
      summary->alike++;
      return 0;
    }
  }
  memmove(e->bytes, mb_record_place(e), e->place_size);
  e->size = b->summary_count == MB_BACKLOG_PLACES - 1 ? 0 : e->place_size;
  e->place_size = 0;
  e->alike = 1;
  shrunk = realloc(e, sizeof *e + e->size);
  if (shrunk) e = shrunk;
  b->summaries[b->summary_count++] = e;
  append(b, e);
  return 1;
}

int mb_backlog_put(struct mb_backlog *b, struct mb_record *e, enum mb_keeping keeping) {
  if (e->place_size) {
    if (sheds(&b->shedding_reports, b->report_bytes, weight(e), b->limit)) return summarise(b, e);
    b->report_bytes += weight(e);
  } else {
    if (sheds(&b->shedding, b->bytes, weight(e), b->limit) && keeping == MB_MAY_DROP) {
      b->missing++;
      return 0;
    }
    b->bytes += weight(e);
  }
  append(b, e);
  return 1;
}

struct mb_record *mb_backlog_replace(struct mb_backlog *b, struct mb_record *e) {
  struct mb_record *old = b->tail;
  e->next = NULL;
  e->missing = old->missing;
  if (b->before_tail)
    b->before_tail->next = e;
  else
    b->head = e;
  b->tail = e;
  b->bytes += weight(e) - weight(old);
  return old;
}

void mb_backlog_return(struct mb_backlog *b, struct mb_record *e) {
  e->missing = 0; /* has been told */
  e->next = b->head;
  if (!b->tail)
    b->tail = e;
  else if (b->head == b->tail)
    b->before_tail = e;
  b->head = e;
  if (e->place_size)
    b->report_bytes += weight(e);
  else
    b->bytes += weight(e);
}

static void forget_summary(struct mb_backlog *b, const struct mb_record *e) {
  unsigned i = 0;
  while (b->summaries[i] != e) i++;
  /* in order: the one for all other places stays the last */
  memmove(&b->summaries[i], &b->summaries[i + 1], (b->summary_count - i - 1) * sizeof b->summaries[0]);
  b->summary_count--;
}

struct mb_record *mb_backlog_take(struct mb_backlog *b, uint64_t *missing) {
  struct mb_record *e = b->head;
  b->taken_at = mb_clock_system();
  if (!e) {
    *missing = b->missing;
    b->missing = 0;
    return NULL;
  }
  *missing = e->missing;
  b->head = e->next;
  if (!b->head) b->tail = NULL;
  if (e == b->before_tail) b->before_tail = NULL;
  if (e->alike)
    forget_summary(b, e);
  else if (e->place_size)
    b->report_bytes -= weight(e);
  else
    b->bytes -= weight(e);
  if (b->bytes <= b->limit / 4) b->rushing = 0;
  return e;
}

enum mb_pressure mb_backlog_pressure(struct mb_backlog *b, unsigned *rush) {
  int pressed = b->bytes > b->limit / 2;
  if (pressed && !b->rushing) {
    b->rushing = 1;
    b->rush++;
  }
  *rush += b->rush;
  if (!pressed) return MB_NO_PRESSURE;
  return mb_clock_system() - b->taken_at < MB_BACKLOG_STALL_NS ? MB_PRESSED : MB_STALLED;
}
