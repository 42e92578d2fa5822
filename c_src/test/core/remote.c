/* Processes of other nodes: every signal to one goes to the upcall, and where there is none their pids are nobody's. */
#include "test/plain.h"

static struct mb_signal *last;
static mb_pid last_to;

static void remote(struct mb_scheduler *s, mb_pid to, struct mb_signal *signal) {
  CHECK(s == &rt.schedulers[0] && !last);
  last = signal;
  last_to = to;
}

static const struct mb_upcalls with = {PLAIN_UPCALLS, .remote = remote};
static const struct mb_upcalls without = {PLAIN_UPCALLS};

static mb_pid far_away(void) { return mb_pid_make(1, 0) | 7ull << 56; }

/* Whether such a signal has been sent to it. */
static int sent(enum mb_signal_kind kind, mb_pid from, mb_ref ref) {
  int is = last && last_to == far_away() && last->kind == kind && last->from == from && (!ref || last->ref == ref);
  if (last) mb_signal_free(last);
  last = NULL;
  return is;
}

TEST(links_monitors_and_messages_go_to_the_upcall) {
  struct mb_scheduler *s = plain_begin(&with, 1);
  struct mb_process *p = plain_spawn(s), *here;
  mb_pid self = plain_pid(p);
  mb_ref ref = mb_ref_new(s);
  CHECK(mb_locate(s, far_away(), &here) == MB_REMOTE && !here);
  CHECK(mb_link(s, p, far_away()) == 0 && sent(MB_LINK, self, 0));
  CHECK(mb_monitor(s, p, far_away(), NULL, 0, MB_MONITOR_ONLY, ref) == 0 && sent(MB_MONITOR, self, ref));
  CHECK(mb_demonitor(s, p, ref) == MB_MONITORING && sent(MB_DEMONITOR, self, ref));
  CHECK(mb_exit_signal(s, self, far_away(), rt.killed) == 0 && sent(MB_EXIT, self, 0));
  mb_signal_send(s, far_away(), mb_signal_new(MB_MESSAGE, 0));
  CHECK(sent(MB_MESSAGE, 0, 0));
  mb_process_exit(s, p, rt.killed);
  mb_reap(s);
  CHECK(sent(MB_EXIT_LINK, self, 0));
  plain_end();
}

TEST(what_comes_from_there_takes_effect_here) {
  struct mb_scheduler *s = plain_begin(&with, 1);
  struct mb_process *p = plain_spawn(s);
  struct mb_signal *exit = mb_signal_new(MB_EXIT_LINK, 0);
  CHECK(mb_link(s, p, far_away()) == 0 && sent(MB_LINK, plain_pid(p), 0));
  exit->from = far_away();
  exit->reason = mb_reason_retain(rt.killed);
  mb_signal_send(s, plain_pid(p), exit);
  CHECK(p->state == MB_EXITING);
  plain_end();
}

TEST(without_an_upcall_pids_of_other_nodes_are_nobodys) {
  struct mb_scheduler *s = plain_begin(&without, 1);
  struct mb_process *p = plain_spawn(s), *here;
  mb_ref ref = mb_ref_new(s);
  CHECK(mb_locate(s, far_away(), &here) == MB_NOWHERE && mb_link(s, p, far_away()) == MB_ENOPROC);
  CHECK(mb_monitor(s, p, far_away(), NULL, 0, MB_MONITOR_ONLY, ref) == 0);
  CHECK(p->mailbox.count == 1 && p->mailbox.head->kind == MB_DOWN && p->mailbox.head->reason == rt.noproc);
  plain_end();
}

TEST(a_process_is_here_elsewhere_or_nowhere) {
  struct mb_scheduler *s = plain_begin(&with, 2);
  struct mb_process *p = plain_spawn(s), *q = plain_spawn(s), *here;
  mb_pid dead = plain_pid(p);
  mb_move(s, q, &rt.schedulers[1]);
  CHECK(mb_locate(s, dead, &here) == MB_HERE && here == p);
  CHECK(mb_locate(s, plain_pid(q), &here) == MB_ELSEWHERE && !here);
  mb_process_exit(s, p, rt.killed);
  CHECK(mb_locate(s, dead, &here) == MB_NOWHERE && !here);
  plain_end();
}
