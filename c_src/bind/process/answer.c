#include "process/answer.h"

#include "core/mailbox.h"
#include "heap/arguments.h"
#include "heap/errors.h"
#include "process/read_message.h"
#include "process/wait.h"

int mb_answer_unmade(struct mb_heap *h, lua_State *L, int n) {
  return n == MB_UNMADE ? mb_raise(h, L, "%s", lua_tostring(L, -1)) : mb_no_memory(L);
}

/* Stack: 1 reference. */
static int answer_on(lua_State *L, int status, lua_KContext form) {
  struct mb_heap *h = mb_heap_of(L);
  mb_ref ref = mb_to_ref(L, 1);
  (void)status;
  for (;;) {
    struct mb_process *p = mb_current_still(h, L);
    struct mb_signal *s = mb_find_answer(p, ref);
    if (s) {
      int n = mb_answer_take(h, L, p, s);
      mb_flush_ref(h, p, ref);
      if (n <= 0) return mb_answer_unmade(h, L, n);
      if (form == MB_ANSWER_VALUES) return mb_worked(h, L, p, MB_COST_MESSAGE, n);
      return lua_toboolean(L, -n) ? mb_worked(h, L, p, MB_COST_MESSAGE, n - 1) : lua_error(L);
    }
    h->asked = ref;
    mb_block(h, L, p, 0, form, answer_on);
  }
}

int mb_wait_for_answer(lua_State *L, struct mb_process *p, mb_ref ref, enum mb_answer form) {
  lua_settop(L, 0);
  mb_push_id(L, ref);
  mb_mailbox_rewind(&p->mailbox, ref);
  return answer_on(L, LUA_OK, (lua_KContext)form);
}
