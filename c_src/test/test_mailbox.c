/* The mailbox: order, the scan position, the mark of the newest reference. */
#include "check.h"
#include "core/mailbox.h"

static struct mb_signal *message(mb_ref ref) {
  struct mb_signal *s = mb_signal_new(MB_MESSAGE, 0);
  CHECK(s);
  s->ref = ref;
  return s;
}

static void take(struct mb_mailbox *m, struct mb_signal *s) {
  mb_mailbox_remove(m, s);
  mb_signal_free(s);
}

int main(void) {
  struct mb_mailbox m = {0};
  struct mb_signal *s[6];
  for (int i = 0; i < 5; i++) mb_mailbox_push(&m, s[i] = message((mb_ref)i));
  CHECK(m.count == 5 && m.head == s[0] && m.tail == s[4]);

  mb_mailbox_rewind(&m, 0);
  CHECK(m.scan == s[0]);
  m.scan = s[2];
  take(&m, s[2]); /* what is taken is not scanned again */
  CHECK(m.scan == s[3] && m.count == 4 && s[1]->next == s[3] && s[3]->prev == s[1]);
  m.scan = NULL;
  mb_mailbox_push(&m, s[2] = message(9));
  CHECK(m.scan == s[2]); /* all were seen: the new one is next */

  mb_mailbox_mark(&m, 77);
  mb_mailbox_push(&m, s[5] = message(77));
  mb_mailbox_rewind(&m, 77);
  CHECK(m.scan == s[5]);
  mb_mailbox_rewind(&m, 78); /* another reference: from the start */
  CHECK(m.scan == s[0]);
  take(&m, s[2]); /* the marked one goes: the one before it is the mark */
  mb_mailbox_rewind(&m, 77);
  CHECK(m.scan == s[5]);
  take(&m, s[0]);
  take(&m, s[1]);
  take(&m, s[3]);
  take(&m, s[4]);
  mb_mailbox_rewind(&m, 77);
  CHECK(m.scan == s[5] && m.head == s[5] && m.tail == s[5]);

  mb_mailbox_insert(&m, s[0] = message(1)); /* in front of the first that has not been seen */
  CHECK(m.scan == s[0] && m.head == s[0] && s[0]->next == s[5] && s[5]->prev == s[0] && m.count == 2);
  m.scan = s[5];
  mb_mailbox_insert(&m, s[1] = message(2));
  CHECK(m.scan == s[1] && s[0]->next == s[1] && s[1]->prev == s[0] && s[1]->next == s[5] && s[5]->prev == s[1]);
  m.scan = NULL;
  mb_mailbox_insert(&m, s[2] = message(3)); /* all were seen: behind them */
  CHECK(m.scan == s[2] && m.tail == s[2] && s[2]->prev == s[5]);
  take(&m, s[0]);
  take(&m, s[1]);
  take(&m, s[2]);
  CHECK(mb_mailbox_clear(&m) == 1 && m.count == 0 && m.head == NULL);
  return 0;
}
