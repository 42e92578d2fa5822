#include "holding.h"

#include "error.h"
#include "runtime.h"

void mb_holding_put(struct mb_scheduler *s, struct mb_process *p, struct mb_holding *h) {
  h->next = p->holdings;
  h->link = &p->holdings;
  if (h->next) h->next->link = &h->next;
  p->holdings = h;
  mb_count(&s->holdings[h->kind], 1);
}

int mb_holding_add(struct mb_scheduler *s, struct mb_process *p, mb_pid pid, struct mb_holding *h) {
  int alive;
  mb_lock_take(&p->lock); /* partner: mb_holdings_close */
  alive = atomic_load_explicit(&p->pid, memory_order_relaxed) == pid &&
          !atomic_load_explicit(&p->exiting, memory_order_relaxed);
  if (alive) mb_holding_put(s, p, h);
  mb_lock_drop(&p->lock);
  return alive ? 0 : MB_ENOPROC;
}

int mb_holding_remove(struct mb_scheduler *s, struct mb_process *p, struct mb_holding *h) {
  int listed;
  mb_lock_take(&p->lock); /* partner: mb_holdings_close */
  listed = !atomic_load_explicit(&p->exiting, memory_order_relaxed);
  if (listed) {
    *h->link = h->next;
    if (h->next) h->next->link = h->link;
    mb_count(&s->holdings[h->kind], -1);
  }
  mb_lock_drop(&p->lock);
  return listed;
}

struct mb_holding *mb_holdings_close(struct mb_process *p) {
  struct mb_holding *all;
  mb_lock_take(&p->lock); /* partner: who puts something there */
  atomic_store_explicit(&p->exiting, 1, memory_order_relaxed);
  all = p->holdings;
  p->holdings = NULL;
  mb_lock_drop(&p->lock);
  return all;
}

static void end(struct mb_scheduler *s, struct mb_process *p, struct mb_holding *h) {
  mb_count(&s->holdings[h->kind], -1);
  h->end(s, p, h);
}

void mb_holdings_end(struct mb_scheduler *s, struct mb_process *p, struct mb_holding *holdings) {
  struct mb_holding *name = NULL; /* a process has one at most */
  for (struct mb_holding *h = holdings, *next; h; h = next) {
    next = h->next; /* read first: end may free it */
    if (h->kind == MB_HOLDING_NAME)
      name = h;
    else
      end(s, p, h);
  }
  if (name) end(s, p, name);
}

int64_t mb_holdings_count(struct mb_runtime *rt, enum mb_holding_kind kind) {
  uint32_t started = atomic_load_explicit(&rt->started, memory_order_acquire); /* partner: mb_runtime_start */
  int64_t count = 0; /* one that was put on from one thread may have ended on another: only the sum tells */
  for (uint32_t i = 0; i < started; i++)
    count += atomic_load_explicit(&rt->schedulers[i].holdings[kind], memory_order_relaxed);
  return count;
}
