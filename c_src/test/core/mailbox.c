/* The mailbox: order, the scan position, the mark of the newest reference, where answers are. */
#include "core/mailbox.h"
#include "test/check.h"

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

static struct mb_mailbox m;
static struct mb_signal *s[6];

/* Messages 0 to 4. */
static void fill(void) {
  for (int i = 0; i < 5; i++) mb_mailbox_push(&m, s[i] = message((mb_ref)i));
}

TEST(messages_stand_in_order_and_what_is_taken_is_not_scanned_again) {
  fill();
  CHECK(m.count == 5 && m.head == s[0] && m.tail == s[4]);
  mb_mailbox_rewind(&m, 0);
  CHECK(m.scan == s[0]);
  m.scan = s[2];
  take(&m, s[2]);
  CHECK(m.scan == s[3] && m.count == 4 && s[1]->next == s[3] && s[3]->prev == s[1]);
  m.scan = NULL;
  mb_mailbox_push(&m, s[2] = message(9));
  CHECK(m.scan == s[2]); /* all were seen: the new one is next */
  CHECK(mb_mailbox_clear(&m) == 5 && m.count == 0 && m.head == NULL);
}

TEST(a_receive_that_wants_the_newest_reference_begins_behind_what_was_there) {
  fill();
  mb_mailbox_mark(&m, 77);
  mb_mailbox_push(&m, s[5] = message(77));
  mb_mailbox_rewind(&m, 77);
  CHECK(m.scan == s[5]);
  mb_mailbox_rewind(&m, 78); /* another reference: from the start */
  CHECK(m.scan == s[0]);
  take(&m, s[4]); /* the marked one goes: the one before it is the mark */
  mb_mailbox_rewind(&m, 77);
  CHECK(m.scan == s[5]);
  for (int i = 0; i < 4; i++) take(&m, s[i]);
  mb_mailbox_rewind(&m, 77);
  CHECK(m.scan == s[5] && m.head == s[5] && m.tail == s[5]);
  CHECK(mb_mailbox_clear(&m) == 1);
}

TEST(a_message_that_comes_back_stands_before_those_that_have_not_been_seen) {
  mb_mailbox_push(&m, s[5] = message(77));
  mb_mailbox_insert(&m, s[0] = message(1));
  CHECK(m.scan == s[0] && m.head == s[0] && s[0]->next == s[5] && s[5]->prev == s[0] && m.count == 2);
  m.scan = s[5];
  mb_mailbox_insert(&m, s[1] = message(2));
  CHECK(m.scan == s[1] && s[0]->next == s[1] && s[1]->prev == s[0] && s[1]->next == s[5] && s[5]->prev == s[1]);
  m.scan = NULL;
  mb_mailbox_insert(&m, s[2] = message(3)); /* all were seen: behind them */
  CHECK(m.scan == s[2] && m.tail == s[2] && s[2]->prev == s[5]);
  CHECK(mb_mailbox_clear(&m) == 4);
}

/* Answers */

static struct mb_signal *random_message(unsigned keys) {
  static const enum mb_signal_kind kinds[] = {MB_MESSAGE, MB_CALL, MB_REPLY, MB_REPLY, MB_DOWN, MB_EXITED};
  struct mb_signal *made = mb_signal_new(kinds[check_random() % 6], 0);
  CHECK(made);
  made->ref = 1 + check_random() % keys;
  made->from = 1000 + check_random() % keys;
  return made;
}

static struct mb_signal *at(uint32_t position) {
  struct mb_signal *here = m.head;
  while (position--) here = here->next;
  return here;
}

/* What mb_mailbox_find is to find, message by message. */
static struct mb_signal *search(uint64_t key) {
  struct mb_signal *here = m.head;
  for (; here; here = here->next) {
    if ((here->kind == MB_REPLY || here->kind == MB_DOWN) && here->ref == key) break;
    if (here->kind == MB_EXITED && here->from == key) break;
  }
  return here;
}

/* Put messages in, move them, take them out, until there have been `most` and none is left. */
static void grow_and_shrink(uint32_t most, unsigned keys) {
  int shrinking = 0;
  while (!shrinking || m.count) {
    unsigned step = check_random() % 10;
    uint64_t key = (check_random() % 2 ? 1 : 1000) + check_random() % keys;
    struct mb_signal *some = m.count ? at(check_random() % m.count) : NULL;
    CHECK(mb_mailbox_find(&m, m.head, key) == search(key));
    if (m.count >= most) shrinking = 1;
    if (step < (shrinking ? 2 : 7)) {
      mb_mailbox_push(&m, random_message(keys));
    } else if (step == 7 && some) { /* out, and back somewhere else */
      mb_mailbox_remove(&m, some);
      m.scan = m.count ? at(check_random() % m.count) : NULL;
      mb_mailbox_insert(&m, some);
    } else if (some) {
      struct mb_signal *answer = step == 8 ? mb_mailbox_find(&m, m.head, key) : NULL;
      take(&m, answer ? answer : some);
    }
  }
}

TEST(an_answer_is_found_where_a_search_finds_it) {
  for (int i = 0; i < 20; i++) {
    grow_and_shrink(100, 3);
    grow_and_shrink(200, 50);
    CHECK(!m.answers); /* short again */
  }
  for (int i = 0; i < 1000; i++) mb_mailbox_push(&m, random_message(500));
  CHECK(mb_mailbox_find(&m, m.head, 2000) == NULL && m.answers);
  CHECK(mb_mailbox_clear(&m) == 1000 && !m.answers);
}

TEST(what_is_near_is_found_without_keeping_answers) {
  for (int i = 0; i < 1000; i++) mb_mailbox_push(&m, s[0] = random_message(1));
  CHECK(mb_mailbox_find(&m, m.head, 1) && !m.answers);
  CHECK(!mb_mailbox_find(&m, NULL, 1) && !m.answers);
  CHECK(mb_mailbox_clear(&m) == 1000);
}
