#include "mailbox.h"

#include "answers.h"

enum {
  NEAR = 32, /* so far an answer is looked for message by message */
  SHORT = 16 /* what is shorter does not keep its answers: making them costs less than it took to get there */
};

void mb_mailbox_push(struct mb_mailbox *m, struct mb_signal *s) {
  s->next = NULL;
  s->prev = m->tail;
  if (m->tail)
    m->tail->next = s;
  else
    m->head = s;
  m->tail = s;
  if (!m->scan) m->scan = s;
  m->count++;
  if (m->answers) mb_answers_append(m, s);
}

void mb_mailbox_insert(struct mb_mailbox *m, struct mb_signal *s) {
  struct mb_signal *next = m->scan;
  if (!next) {
    mb_mailbox_push(m, s);
    return;
  }
  s->next = next;
  s->prev = next->prev;
  if (s->prev)
    s->prev->next = s;
  else
    m->head = s;
  next->prev = s;
  m->scan = s;
  m->count++;
  if (m->answers) mb_answers_insert(m, s);
}

void mb_mailbox_remove(struct mb_mailbox *m, struct mb_signal *s) {
  if (s->prev)
    s->prev->next = s->next;
  else
    m->head = s->next;
  if (s->next)
    s->next->prev = s->prev;
  else
    m->tail = s->prev;
  if (m->scan == s) m->scan = s->next;
  if (m->marked == s) m->marked = s->prev;
  m->count--;
  m->taken++;
  if (!m->answers) return;
  mb_answers_remove(m, s);
  if (m->count < SHORT) mb_answers_end(m);
}

void mb_mailbox_rewind(struct mb_mailbox *m, mb_ref wanted) {
  m->scan = mb_mailbox_start(m, wanted);
}

struct mb_signal *mb_mailbox_find(struct mb_mailbox *m, struct mb_signal *from, uint64_t key) {
  struct mb_signal *s = from;
  if (!m->answers) {
    for (int passed = 0; s && passed < NEAR; passed++, s = s->next)
      if (mb_answer_key(s) == key) return s;
    if (!s) return NULL;
    if (mb_answers_begin(m) != 0) {
      while (s && mb_answer_key(s) != key) s = s->next;
      return s;
    }
  }
  return mb_answers_first(m, key);
}

void mb_mailbox_mark(struct mb_mailbox *m, mb_ref ref) {
  m->mark = ref;
  m->marked = m->tail;
}

uint32_t mb_mailbox_clear(struct mb_mailbox *m) {
  uint32_t count = m->count;
  for (struct mb_signal *s = m->head, *next; s; s = next) {
    next = s->next;
    mb_signal_free(s);
  }
  if (m->answers) mb_answers_end(m);
  *m = (struct mb_mailbox){0};
  return count;
}
