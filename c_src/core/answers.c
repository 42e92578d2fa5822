#include "answers.h"

#include <stdlib.h>

#include "error.h"

static struct mb_signal *signal_of(uint64_t value) { return (struct mb_signal *)(uintptr_t)value; }

void mb_answers_end(struct mb_mailbox *m) {
  mb_map_deinit(m->answers);
  free(m->answers);
  m->answers = NULL;
}

/* Put s, of a key that is there, behind `before` in the ring. */
static void put_behind(struct mb_signal *before, struct mb_signal *s) {
  s->same = before->same;
  before->same = s;
}

void mb_answers_append(struct mb_mailbox *m, struct mb_signal *s) {
  uint64_t key = mb_answer_key(s), *last;
  if (!key) return;
  last = mb_map_get(m->answers, key);
  if (last) {
    put_behind(signal_of(*last), s);
    *last = (uintptr_t)s;
  } else {
    s->same = s;
    if (mb_map_put(m->answers, key, (uintptr_t)s) != 0) mb_answers_end(m);
  }
}

int mb_answers_begin(struct mb_mailbox *m) {
  m->answers = calloc(1, sizeof *m->answers);
  for (struct mb_signal *s = m->head; s && m->answers; s = s->next) mb_answers_append(m, s);
  return m->answers ? 0 : MB_ENOMEM;
}

void mb_answers_insert(struct mb_mailbox *m, struct mb_signal *s) {
  uint64_t key = mb_answer_key(s), *last = key ? mb_map_get(m->answers, key) : NULL;
  struct mb_signal *before = s->prev;
  if (!last) {
    mb_answers_append(m, s);
    return;
  }
  while (before && mb_answer_key(before) != key) before = before->prev; /* whoever took it out had come that far */
  put_behind(before ? before : signal_of(*last), s);
  if (before == signal_of(*last)) *last = (uintptr_t)s;
}

void mb_answers_remove(struct mb_mailbox *m, struct mb_signal *s) {
  uint64_t key = mb_answer_key(s), *last;
  struct mb_signal *before;
  if (!key) return;
  if (s->same == s) {
    mb_map_remove(m->answers, key, NULL);
    return;
  }
  last = mb_map_get(m->answers, key);
  before = signal_of(*last); /* that of the first, which is what goes as a rule */
  while (before->same != s) before = before->same;
  before->same = s->same;
  if (s == signal_of(*last)) *last = (uintptr_t)before;
}

struct mb_signal *mb_answers_first(const struct mb_mailbox *m, uint64_t key) {
  const uint64_t *last = mb_map_get(m->answers, key);
  return last ? signal_of(*last)->same : NULL;
}
