/* The process table: slots, generations, the limit; spawning and ending on a runtime without Lua, and
 * messages posted by another thread. */
#include <string.h>
#include <uv.h>

#include "core/core.h"
#include "core/error.h"
#include "core/mailbox.h"
#include "test/check.h"

enum { POSTED = 20000 };

static struct mb_runtime rt;
static int received, expected_next;

static void resume(struct mb_scheduler *s, struct mb_process *p) {
  int all = 0;
  if (p->start) {
    mb_signal_free(p->start);
    p->start = NULL;
  }
  for (struct mb_signal *m; (m = p->mailbox.head);) {
    int value;
    memcpy(&value, m->data, sizeof value);
    CHECK(value == expected_next++);
    mb_mailbox_remove(&p->mailbox, m);
    mb_signal_free(m);
    s->messages--;
    all = ++received == POSTED;
  }
  if (all)
    mb_process_exit(s, p, s->runtime->normal);
  else
    CHECK(mb_wait(s, p, 0) == 0);
}

static void destroy(struct mb_scheduler *s, struct mb_process *p) {
  (void)p;
  if (received == POSTED) s->stop = 1;
}

static void preempt(struct mb_scheduler *s) { (void)s; }

static const struct mb_upcalls upcalls = {.resume = resume, .destroy = destroy, .preempt = preempt};

static void post(void *data) {
  mb_pid to = *(mb_pid *)data;
  for (int i = 0; i < POSTED; i++) {
    struct mb_signal *m = mb_signal_new(MB_MESSAGE, sizeof i);
    CHECK(m);
    memcpy(m->data, &i, sizeof i);
    mb_signal_post(&rt, to, m);
  }
}

static struct mb_process *spawn(struct mb_scheduler *s) {
  struct mb_process *p;
  CHECK(mb_spawn(s, NULL, mb_signal_new(MB_MESSAGE, 0), MB_SPAWN_UNTIED, 0, &p) == 0);
  return p;
}

static mb_pid pid_of(struct mb_process *p) { return atomic_load(&p->pid); }

static struct mb_scheduler *begin(void) {
  CHECK(mb_runtime_init(&rt, &upcalls, 50, 1) == 0);
  rt.normal = mb_reason_new(MB_REASON_NORMAL, "n", 1);
  rt.killed = mb_reason_new(MB_REASON_OTHER, "k", 1);
  rt.noproc = mb_reason_new(MB_REASON_OTHER, "p", 1);
  return &rt.schedulers[0];
}

static void end(void) {
  mb_scheduler_kill_all(&rt.schedulers[0]);
  mb_runtime_deinit(&rt);
}

TEST(a_table_gives_out_as_many_slots_as_its_limit_and_takes_them_back) {
  struct mb_process_table table;
  struct mb_process *list = NULL;
  CHECK(mb_process_table_init(&table, 100) == 0);
  CHECK(mb_process_table_take(&table, 1000, &list) == 100 && mb_process_table_take(&table, 1, &list) == 0);
  mb_process_table_give(&table, 100, &list);
  CHECK(list == NULL && mb_process_table_take(&table, 1, &list) == 1);
  CHECK(mb_process_table_at(&table, 0) == NULL && mb_process_table_at(&table, 101) == NULL);
  mb_process_table_deinit(&table);
}

TEST(a_pid_is_given_out_once_though_slots_are_used_again) {
  struct mb_scheduler *s = begin();
  struct mb_process *p;
  mb_pid others[50];
  for (int i = 0; i < 50; i++) others[i] = pid_of(spawn(s));
  CHECK(mb_spawn(s, NULL, mb_signal_new(MB_MESSAGE, 0), MB_SPAWN_UNTIED, 0, &p) == MB_ELIMIT);
  for (int i = 0; i < 50; i++) {
    CHECK(mb_process_here(s, others[i]));
    mb_process_exit(s, mb_process_here(s, others[i]), rt.killed);
    CHECK(!mb_process_here(s, others[i]));
  }
  CHECK(mb_scheduler_run(s, NULL) == MB_EDEADLOCK && s->live == 0);
  for (int i = 0; i < 50; i++) CHECK(mb_process_table_lookup(&rt.table, others[i]) == NULL);
  p = spawn(s);
  for (int i = 0; i < 50; i++) CHECK(pid_of(p) != others[i]);
  end();
}

TEST(what_another_thread_posts_arrives_in_order) {
  struct mb_scheduler *s = begin();
  mb_pid pid = pid_of(spawn(s));
  uv_thread_t thread;
  s->stay = 1;
  CHECK(uv_thread_create(&thread, post, &pid) == 0);
  CHECK(mb_scheduler_run(s, NULL) == 0);
  CHECK(uv_thread_join(&thread) == 0);
  CHECK(received == POSTED && s->live == 0 && s->messages == 0);
  end();
}
