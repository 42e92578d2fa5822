/* pids and references: their parts, texts and uniqueness. */
#include <string.h>

#include "core/pid.h"
#include "test/check.h"

TEST(a_pid_has_its_parts_and_a_text_that_is_read_back) {
  char text[MB_ID_TEXT];
  mb_pid p = mb_pid_make(5, 7), back;
  CHECK(mb_is_pid(p) && !mb_is_ref(p));
  CHECK(mb_pid_index(p) == 5 && mb_pid_generation(p) == 7 && mb_pid_node(p) == 0);
  CHECK(mb_pid_text(p, text) == strlen(text) && strcmp(text, "#PID<0.5.7>") == 0);
  CHECK(mb_pid_parse(text, &back) && back == p);
  CHECK(mb_pid_parse("0.5.7", &back) && back == p);
}

TEST(what_is_no_text_of_a_pid_is_refused) {
  mb_pid back;
  CHECK(!mb_pid_parse("0.5", &back) && !mb_pid_parse("0.5.7x", &back) && !mb_pid_parse("", &back));
  CHECK(!mb_pid_parse("0.99999999.0", &back));
}

TEST(the_largest_pid_fits) {
  char text[MB_ID_TEXT];
  mb_pid p = mb_pid_make(MB_MAX_INDEX, MB_MAX_GENERATION), back;
  CHECK(mb_pid_index(p) == MB_MAX_INDEX && mb_pid_generation(p) == MB_MAX_GENERATION);
  CHECK(mb_pid_node(p) == 0 && mb_is_pid(p));
  mb_pid_text(p, text);
  CHECK(mb_pid_parse(text, &back) && back == p);
  CHECK(mb_pid_make(1, 2) != mb_pid_make(2, 1));
}

TEST(a_reference_has_its_parts_and_is_no_pid_nor_a_pointer) {
  char text[MB_ID_TEXT];
  mb_ref r = mb_ref_make((1ull << MB_COUNTER_BITS) - 1, MB_MAX_SCHEDULERS - 1);
  CHECK(mb_is_ref(r) && !mb_is_pid(r));
  CHECK(mb_ref_counter(r) == (1ull << MB_COUNTER_BITS) - 1);
  CHECK(mb_ref_scheduler(r) == MB_MAX_SCHEDULERS - 1);
  CHECK(mb_ref_make(1, 0) != mb_ref_make(1, 1));
  CHECK(mb_ref_text(mb_ref_make((3ull << 24) + 4, 2), text) && strcmp(text, "#Reference<0.2.3.4>") == 0);
  CHECK(!mb_is_pid((mb_pid)(size_t)&r) && !mb_is_ref((mb_ref)(size_t)&r));
}
