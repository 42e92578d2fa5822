#include "mailbox.h"

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
}

void mb_mailbox_rewind(struct mb_mailbox *m, mb_ref wanted) {
  m->scan = wanted && wanted == m->mark && m->marked ? m->marked->next : m->head;
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
  *m = (struct mb_mailbox){0};
  return count;
}
