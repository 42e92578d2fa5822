/* Leaders: who gets what processes print, for the module Process. */
#include "api/api.h"
#include "api/ask.h"
#include "heap/arguments.h"
#include "heap/errors.h"
#include "process/current.h"

static void lead(struct mb_process *p, mb_pid leader) {
  if (p) p->leader = leader;
}

static void answer_led(struct mb_heap *h, lua_State *L, const struct mb_query *q) {
  lead(mb_process_in(h, q->about), q->with);
  lua_pushboolean(L, 1);
}

/* group_leader() -> the caller's, nil: standard output. group_leader(pid, leader | nil) -> true */
static int process_group_leader(lua_State *L) {
  static const char function[] = "Process.group_leader";
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *here;
  mb_pid pid, leader = 0;
  if (lua_gettop(L) == 0) {
    mb_push_id_or_nil(L, mb_current(h, L)->leader);
    return 1;
  }
  pid = mb_check_pid(h, L, 1, function, 1);
  if (lua_isnone(L, 2)) return mb_bad_type(h, L, function, 2, "pid or nil", 2);
  if (!lua_isnil(L, 2)) leader = mb_check_pid(h, L, 2, function, 2);
  if (mb_locate(h->scheduler, pid, &here) == MB_ELSEWHERE) {
    struct mb_process *p = mb_process_table_lookup(&h->runtime->table, pid);
    struct mb_scheduler *owner = p ? atomic_load_explicit(&p->scheduler, memory_order_acquire) : h->scheduler;
    return mb_ask(h, L, owner,
                  (struct mb_query){
                      .push = answer_led, .subject = MB_ABOUT_PROCESS, .about = pid, .with = leader});
  }
  lead(here, leader);
  lua_pushboolean(L, 1);
  return 1;
}

void mb_open_leader(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"process_group_leader", process_group_leader}, {NULL, NULL}};
  mb_set_functions(h, L, functions);
}
