#include "process/interrupt.h"

#include "heap/errors.h"
#include "heap/heap.h"
#include "heap/hook.h"
#include "heap/outside.h"
#include "process/read_message.h"

enum { AGAIN_MS = 100 };

static void hook(lua_State *L, lua_Debug *ar);

static void arm(struct mb_heap *h, lua_State *L) {
  struct mb_interrupt *b = h->interrupt;
  int mask, count;
  lua_Hook user = mb_hook_of_user(h, L, &mask, &count);
  if (user != hook) { /* else it is here already, or under the one that ends a slice */
    b->hook = user;
    b->mask = mask;
    b->count = count;
  }
  b->at = L;
  lua_sethook(L, hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

static void on_again(uv_timer_t *t) {
  struct mb_heap *h = t->data;
  struct mb_process *p = mb_process_here(h->scheduler, h->interrupt->again_for);
  if (p && p->private_flags & MB_PRIVATE_INTERRUPTED) mb_interrupt(h, p);
}

/* A line of a prompt's has been interrupted: what is caught and goes on is interrupted once more. */
static void interrupt_again(struct mb_heap *h, struct mb_process *p) {
  struct mb_interrupt *b = h->interrupt;
  if (!b->again.data) {
    if (uv_timer_init(mb_loop(h->scheduler), &b->again) != 0) return;
    b->again.data = mb_scheduler_heap(h->scheduler); /* which stays */
  }
  p->private_flags |= MB_PRIVATE_INTERRUPTED;
  b->again_for = mb_pid_of(p);
  (void)uv_timer_start(&b->again, on_again, AGAIN_MS, 0); /* does not fail with a callback */
}

void mb_interrupt_evaluating(struct mb_heap *h, struct mb_process *p, int begins) {
  struct mb_interrupt *b = h->interrupt;
  if (b->again.data && b->again_for == mb_pid_of(p)) uv_timer_stop(&b->again);
  p->flags &= (uint8_t)~MB_BROKEN;
  p->private_flags &= ~(uint32_t)(MB_PRIVATE_EVALUATES | MB_PRIVATE_INTERRUPTED | MB_PRIVATE_INTERRUPTED_AGAIN);
  if (begins) p->private_flags |= MB_PRIVATE_EVALUATES;
}

/* Whether p is to be interrupted, which is asked once. */
static int take(struct mb_heap *h, struct mb_process *p) {
  struct mb_interrupt *b = h->interrupt;
  int in_front = mb_pid_of(p) == b->foreground;
  if (!(p->flags & MB_BROKEN) && !(b->asked && in_front)) return 0;
  if (p->state == MB_EXITING || h->closing) return 0;
  p->flags &= (uint8_t)~MB_BROKEN;
  if (in_front) b->asked = 0;
  if (p->private_flags & MB_PRIVATE_INTERRUPTED)
    p->private_flags |= MB_PRIVATE_INTERRUPTED_AGAIN;
  else if (p->private_flags & MB_PRIVATE_EVALUATES)
    interrupt_again(h, p);
  return 1;
}

static void hook(lua_State *L, lua_Debug *ar) {
  struct mb_heap *h = mb_heap_find(L);
  struct mb_process *p = h && h->scheduler ? h->scheduler->current : NULL;
  (void)ar;
  if (h && h->interrupt->at == L)
    lua_sethook(L, h->interrupt->hook, h->interrupt->mask, h->interrupt->count);
  else
    lua_sethook(L, NULL, 0, 0); /* Lua gave it to a new thread */
  if (!p) return;
  mb_hook_enter(h, L);
  if ((!mb_outside(h, L) || mb_configures_itself(h)) && take(h, p))
    luaL_error(L, "interrupted!"); /* lua's words, at lua's level */
}

void mb_interrupt_foreground(struct mb_scheduler *s) {
  struct mb_heap *h = mb_running_heap(s);
  struct mb_interrupt *b = h->interrupt;
  const struct mb_process *p = s->current;
  lua_State *running = h->running;
  b->asked = 1;
  mb_scheduler_notice(s);
  if (running && p && mb_pid_of(p) == b->foreground)
    arm(h, running);
  else
    mb_hook_now(h);
}

int mb_interrupt_overdue(struct mb_heap *h) {
  const struct mb_interrupt *b = h->interrupt;
  const struct mb_process *p = h->scheduler->current;
  if (!b->asked || !h->running || !p || mb_pid_of(p) != b->foreground) return 0;
  if (!h->hook->busy) arm(h, h->running);
  return 1;
}

void mb_interrupt_noticed(struct mb_scheduler *s) {
  struct mb_heap *h = mb_scheduler_heap(s);
  struct mb_interrupt *b = h->interrupt;
  struct mb_process *p = mb_process_here(s, b->foreground);
  if (!b->asked) return; /* the hook was first */
  b->asked = 0;
  if (p)
    mb_interrupt(h, p);
  else if (b->unclaimed)
    b->unclaimed(h->runner);
}

void mb_interrupt(struct mb_heap *h, struct mb_process *p) {
  p->flags |= MB_BROKEN;
  mb_wake(h->scheduler, p);
}

void mb_interrupt_resumed(struct mb_heap *h, struct mb_process *p, lua_State *co) {
  if (p->flags & MB_BROKEN) arm(h, co);
}

void mb_interrupt_waiting(struct mb_heap *h, lua_State *L, struct mb_process *p, mb_ref asked) {
  if (!take(h, p)) return;
  if (asked) mb_flush_ref(h, p, asked);
  mb_raise(h, L, "interrupted!");
}

void mb_set_foreground(struct mb_heap *h, mb_pid pid) {
  struct mb_interrupt *b = h->interrupt;
  struct mb_process *p = mb_process_here(h->scheduler, b->foreground);
  if (p) p->flags &= (uint8_t)~MB_BROKEN;
  b->foreground = pid;
  b->asked = 0;
}
