/* What ends with a process: in which order, once, and that it is counted. */
#include <string.h>

#include "test/plain.h"

static const struct mb_upcalls upcalls = {PLAIN_UPCALLS};

static struct mb_holding held[3];
static char ended[8]; /* which of them, in order; N: after the name had become free */

static void note(struct mb_scheduler *s, struct mb_process *p, struct mb_holding *h) {
  size_t n = strlen(ended);
  CHECK(p->state == MB_EXITING && !p->holdings);
  ended[n] = mb_names_find(&s->runtime->names, "name", 4) ? (char)('0' + (h - held)) : 'N';
}

static int put(struct mb_scheduler *s, struct mb_process *p, int i) {
  held[i] = (struct mb_holding){.end = note, .kind = MB_HOLDING_TIMER};
  return mb_holding_add(s, p, plain_pid(p), &held[i]);
}

TEST(when_a_process_exits_the_newest_ends_first_and_the_name_last) {
  struct mb_scheduler *s = plain_begin(&upcalls, 1);
  struct mb_process *p = plain_spawn(s);
  CHECK(put(s, p, 0) == 0 && put(s, p, 1) == 0);
  CHECK(mb_register(s, plain_pid(p), "name", 4) == 0);
  CHECK(put(s, p, 2) == 0);
  CHECK(mb_holdings_count(&rt, MB_HOLDING_TIMER) == 3 && mb_holdings_count(&rt, MB_HOLDING_NAME) == 1);
  mb_process_exit(s, p, rt.killed);
  CHECK(strcmp(ended, "210") == 0 && !mb_names_find(&rt.names, "name", 4));
  CHECK(mb_holdings_count(&rt, MB_HOLDING_TIMER) == 0 && mb_holdings_count(&rt, MB_HOLDING_NAME) == 0);
  plain_end();
}

TEST(what_has_been_taken_away_does_not_end) {
  struct mb_scheduler *s = plain_begin(&upcalls, 1);
  struct mb_process *p = plain_spawn(s);
  for (int i = 0; i < 3; i++) CHECK(put(s, p, i) == 0);
  CHECK(mb_holding_remove(s, p, &held[1]) == 1 && mb_holdings_count(&rt, MB_HOLDING_TIMER) == 2);
  CHECK(mb_holding_remove(s, p, &held[2]) == 1);
  CHECK(put(s, p, 2) == 0);
  mb_process_exit(s, p, rt.killed);
  CHECK(strcmp(ended, "NN") == 0);
  plain_end();
}

TEST(nothing_is_put_on_an_exiting_process_nor_by_a_pid_that_is_over) {
  struct mb_scheduler *s = plain_begin(&upcalls, 1);
  struct mb_process *p = plain_spawn(s);
  mb_pid pid = plain_pid(p);
  mb_process_exit(s, p, rt.killed);
  CHECK(put(s, p, 0) == MB_ENOPROC && mb_register(s, pid, "name", 4) == MB_ENOPROC);
  CHECK(mb_scheduler_run(s, NULL) == MB_EDEADLOCK);
  CHECK(plain_spawn(s) == p && mb_holding_add(s, p, pid, &held[0]) == MB_ENOPROC);
  CHECK(mb_holdings_count(&rt, MB_HOLDING_TIMER) == 0);
  plain_end();
}

enum { LIVES = 20000 };
static atomic_int over;

static void take_names(void *data) {
  while (!atomic_load(&over)) mb_names_remove(data, "name", 4);
}

TEST(a_name_that_another_thread_takes_while_its_process_exits_is_freed_once) {
  struct mb_scheduler *s = plain_begin(&upcalls, 2);
  uv_thread_t thread;
  CHECK(uv_thread_create(&thread, take_names, &rt.schedulers[1]) == 0);
  for (int i = 0; i < LIVES; i++) {
    struct mb_process *p = plain_spawn(s);
    int err = mb_register(s, plain_pid(p), "name", 4);
    CHECK(err == 0);
    mb_process_exit(s, p, rt.killed);
    CHECK(!mb_names_find(&rt.names, "name", 4));
    mb_reap(s);
  }
  atomic_store(&over, 1);
  CHECK(uv_thread_join(&thread) == 0);
  CHECK(mb_holdings_count(&rt, MB_HOLDING_NAME) == 0 && rt.names.count == 0);
  plain_end();
}

TEST(a_process_may_be_the_server_of_several_registries) {
  struct mb_scheduler *s = plain_begin(&upcalls, 1);
  struct mb_process *p = plain_spawn(s);
  mb_pid other, target = plain_pid(plain_spawn(s));
  struct mb_bytes a = {"a", 1}, b = {"b", 1}, none = {"", 0};
  CHECK(mb_registry_open(s, p, a, MB_KEYS_UNIQUE, target, none, &other) == 0);
  CHECK(mb_registry_open(s, p, b, MB_KEYS_UNIQUE, target, none, &other) == 0);
  CHECK(mb_holdings_count(&rt, MB_HOLDING_REGISTRY) == 2 && mb_registry_count(s, a) == 0);
  mb_process_exit(s, p, rt.killed);
  CHECK(mb_registry_count(s, a) == MB_EREGISTRY && mb_registry_count(s, b) == MB_EREGISTRY);
  CHECK(mb_holdings_count(&rt, MB_HOLDING_REGISTRY) == 0 && rt.registries.registries == 0);
  plain_end();
}
