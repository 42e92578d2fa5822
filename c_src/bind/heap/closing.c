#include "heap/closing.h"

#include <stdlib.h>

#include "heap/bounds.h"
#include "heap/hook.h"

void mb_closing_begin_for(struct mb_heap *h, uint64_t ns) {
  if (h->closing++) return;
  if (atomic_load_explicit(&h->runtime->ticker.state, memory_order_relaxed) == MB_TICKER_READY)
    mb_ticker_need(h->runtime);
  mb_hook_attend(h);
  h->closing_ns = ns;
  mb_closing_renew(h);
}

void mb_closing_begin(struct mb_heap *h) {
  mb_closing_begin_for(h, atomic_load_explicit(&h->bounds->cleanup_ns, memory_order_relaxed));
}

void mb_closing_end(struct mb_heap *h) {
  if (--h->closing == 0) mb_hook_attend(h);
}

void mb_closing_renew(struct mb_heap *h) {
  mb_slice_renew(h->scheduler);
  h->closing_delay = UINT64_MAX;
  h->cut = 0;
}

void mb_closing_leave(struct mb_heap *h) {
  const struct mb_process *p = h->scheduler->current;
  if (h->leaving || (p->flags & MB_IN_PLACE)) return;
  h->leaving = 1;
  mb_closing_begin(h);
}

void mb_closing_left(struct mb_heap *h) {
  if (!h->leaving) return;
  h->leaving = 0;
  mb_closing_end(h);
}

int mb_closing_raise(lua_State *L) {
  lua_pushliteral(L, "not enough memory");
  return lua_error(L);
}

int mb_pass_on(struct mb_heap *h, lua_State *L) { return h->leaving ? mb_closing_raise(L) : lua_error(L); }

int mb_pcall(struct mb_heap *h, lua_State *L, int arguments, int results) {
  int then = mb_unwinding(h), status = lua_pcall(L, arguments, results, 0);
  if (status != LUA_OK && mb_unwinding_since(h, then)) {
    h->uninterruptible = 0; /* all guards of the process's are left */
    mb_pass_on(h, L);
  }
  return status;
}

