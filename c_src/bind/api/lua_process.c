/* The functions of the module Process. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "codec/codec.h"
#include "core/error.h"
#include "heap/arguments.h"
#include "heap/errors.h"
#include "heap/hook.h"
#include "process/current.h"
#include "process/entry.h"
#include "process/wait.h"

static int process_exit(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_caller(h, L);
  mb_pid pid = mb_check_pid(h, L, 1, "Process.exit", 1), from = mb_caller_pid(h, L);
  struct mb_reason *reason;
  int err;
  if (lua_isnoneornil(L, 2))
    return mb_bad_argument(h, L, "Process.exit", 2,
                           "a reason is missing: \"normal\", \"shutdown\", \"kill\" or any other value but nil");
  reason = mb_encode_reason(h, L, 2);
  err = mb_exit_signal(h->scheduler, from, pid, reason);
  mb_reason_release(reason);
  if (err) return mb_no_memory(L);
  if (p)
    mb_leave_if_exiting(h, L, p);
  else if (mb_running(h) && mb_running(h)->state == MB_EXITING)
    mb_hook_now(h); /* it leaves when the finalizer has ended */
  lua_pushboolean(L, 1);
  return 1;
}

static int process_flag(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  int old = (p->flags & MB_TRAP_EXIT) != 0;
  if (lua_type(L, 1) != LUA_TSTRING || strcmp(lua_tostring(L, 1), "trap_exit") != 0)
    return mb_bad_argument(h, L, "Process.flag", 1, "the only flag is \"trap_exit\", got %s", mb_push_shown(h, L, 1));
  if (!lua_isboolean(L, 2)) return mb_bad_type(h, L, "Process.flag", 2, "boolean", 2);
  if (lua_toboolean(L, 2))
    p->flags |= MB_TRAP_EXIT;
  else
    p->flags &= (uint8_t)~MB_TRAP_EXIT;
  lua_pushboolean(L, old);
  return 1;
}

/* start_anew(fn, ...): the calling process leaves its stack, and goes on with that */
static int start_anew(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  luaL_checkany(L, 1);
  mb_check_takes(h, L);
  if (!mb_can_wait(h, L)) mb_cannot_wait(h, L, p);
  return mb_entry_start_anew(h, L, p);
}

void mb_open_process(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"process_exit", process_exit},
                                       {"start_anew", start_anew},
                                       {"process_flag", process_flag},
                                       {NULL, NULL}};
  mb_set_functions(h, L, functions);
}
