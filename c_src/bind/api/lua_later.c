/* Requests that do not wait: the reference of each is that of a monitor on the receiver, by which await(ref), or whoever
 * looks at the messages, finds the reply or the end. */
#include "api/api.h"
#include "api/destination.h"
#include "codec/codec.h"
#include "heap/arguments.h"
#include "heap/errors.h"
#include "process/current.h"
#include "process/wait.h"
#include "replica/replica.h"

/* Send s, which is taken over, to the process `to`, with a monitor on it. Pushes the reference. */
static int post(struct mb_heap *h, lua_State *L, mb_pid to, struct mb_signal *s) {
  struct mb_process *p = mb_current(h, L);
  mb_ref ref = mb_ref_new(h->scheduler);
  if (mb_monitor(h->scheduler, p, to, NULL, 0, MB_MONITOR_ALIAS, ref) != 0) {
    mb_signal_free(s);
    return mb_no_memory(L);
  }
  s->from = mb_pid_of(p);
  s->ref = ref;
  mb_signal_send(h->scheduler, to, s);
  mb_push_id(L, ref);
  return mb_worked(h, L, p, MB_COST_MESSAGE, 1);
}

/* send_system(pid, request) -> ref */
static int send_system(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  mb_pid to = mb_check_pid(h, L, 1, "send_system", 1);
  (void)mb_current(h, L);
  lua_settop(L, 2);
  mb_replicate_to(h, L, to);
  return post(h, L, to, mb_encode_signal(h, L, 2, 1, "send request", MB_SYSTEM));
}

static int collect_work(lua_State *L) {
  struct mb_signal **work = lua_touserdata(L, 1);
  if (*work) mb_signal_free(*work);
  *work = NULL;
  return 0;
}

/* encode_work(work, function) -> the request for send_work, once. A refusal names the function, the user's, whose
 * argument 2 is the third item of the work. */
static int encode_work(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_signal **work;
  mb_given_to(h, luaL_checkstring(L, 2), MB_GIVEN_PACKED, -1);
  work = lua_newuserdatauv(L, sizeof *work, 0);
  *work = NULL;
  if (luaL_newmetatable(L, "moonbeam.work")) {
    lua_pushcfunction(L, collect_work);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  *work = mb_encode_signal(h, L, 1, 1, "send request", MB_CALL);
  mb_given_to_nobody(h);
  return 1;
}

/* send_work(pid, work) -> ref: the request for a task that waits for it */
static int send_work(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  mb_pid to = mb_check_pid(h, L, 1, "send_work", 1);
  struct mb_signal **work = luaL_checkudata(L, 2, "moonbeam.work"), *s;
  luaL_argcheck(L, *work, 2, "it has been sent");
  (void)mb_current(h, L);
  mb_replicate_to(h, L, to);
  s = *work;
  *work = NULL;
  return post(h, L, to, s);
}

/* request(server | false, request, function) -> ref: a call; the function is the user's. To nobody: the monitor says so. */
static int request(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  const char *function = luaL_checkstring(L, 3), *name = NULL;
  size_t size = 0;
  struct mb_destination to = {MB_TO_NOBODY, 0};
  struct mb_signal *s;
  mb_ref ref = mb_ref_new(h->scheduler);
  int err;
  if (lua_type(L, 1) != LUA_TBOOLEAN) to = mb_check_destination(h, L, 1, function, 1, MB_NAMES);
  if (lua_type(L, 1) == LUA_TSTRING) name = lua_tolstring(L, 1, &size);
  mb_replicate_to(h, L, to.pid);
  mb_given_to(h, function, MB_GIVEN_ITSELF, 2);
  s = mb_encode_signal(h, L, 2, 1, "send request", MB_CALL);
  mb_given_to_nobody(h);
  if (to.pid == mb_pid_of(p)) /* nobody monitors itself */
    err = mb_alias(h->scheduler, p, &ref);
  else
    err = mb_monitor(h->scheduler, p, to.pid, name, (uint32_t)size, MB_MONITOR_ALIAS, ref);
  if (err != 0) {
    mb_signal_free(s);
    return mb_no_memory(L);
  }
  s->from = mb_pid_of(p);
  s->ref = ref;
  if (to.pid)
    mb_signal_send(h->scheduler, to.pid, s);
  else
    mb_signal_free(s);
  mb_push_id(L, ref);
  return mb_worked(h, L, p, MB_COST_MESSAGE, 1);
}

void mb_open_later(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"request", request}, {"send_system", send_system}, {"encode_work", encode_work},
                                       {"send_work", send_work}, {NULL, NULL}};
  mb_set_functions(h, L, functions);
}
