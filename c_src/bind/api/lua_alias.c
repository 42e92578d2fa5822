/* Aliases: alias, unalias, and what send and monitor do with them. */
#include <string.h>

#include "api/alias.h"
#include "api/api.h"
#include "codec/codec.h"
#include "core/mailbox.h"
#include "heap/arguments.h"
#include "heap/errors.h"
#include "process/current.h"
#include "process/wait.h"
#include "replica/replica.h"

int mb_send_to_alias(struct mb_heap *h, lua_State *L) {
  struct mb_process *p = mb_worker(h, L);
  mb_ref ref = mb_to_ref(L, 1);
  mb_pid to = mb_alias_find(h->runtime, ref);
  struct mb_signal *s;
  if (to) mb_replicate_to(h, L, to);
  s = mb_encode_signal(h, L, 2, 1, "send message", MB_TO_ALIAS); /* also to nobody: what cannot be copied raises */
  s->from = p && !mb_outside(h, L) ? mb_pid_of(p) : mb_pid_make(0, 0);
  s->ref = ref;
  if (to)
    mb_signal_send(h->scheduler, to, s);
  else
    mb_signal_give(h->scheduler, s);
  return mb_worked(h, L, p, MB_COST_MESSAGE, 1);
}

int mb_check_alias_of_monitor(struct mb_heap *h, lua_State *L) {
  static const char *const known[] = {"alias", NULL};
  static const char *const names[] = {"explicit_unalias", "demonitor", "reply_demonitor", NULL};
  static const int ends[] = {MB_ALIAS_EXPLICIT, MB_ALIAS_WITH_MONITOR, MB_ALIAS_WITH_MONITOR | MB_ALIAS_AT_MESSAGE};
  int found = -1;
  mb_check_options(h, L, 2, "monitor", 2, known);
  if (lua_isnoneornil(L, 2)) return -1;
  lua_getfield(L, 2, "alias");
  for (int i = 0; names[i] && lua_type(L, -1) == LUA_TSTRING; i++)
    if (strcmp(lua_tostring(L, -1), names[i]) == 0) found = ends[i];
  if (found < 0 && !lua_isnil(L, -1))
    return mb_bad_argument(h, L, "monitor", 2,
                           "alias is \"explicit_unalias\", \"demonitor\" or \"reply_demonitor\", got %s",
                           mb_push_shown(h, L, lua_gettop(L)));
  lua_pop(L, 1);
  return found;
}

/* alias([what ends it]) -> reference */
static int alias(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  enum mb_alias_ends ends = MB_ALIAS_EXPLICIT;
  mb_ref ref;
  if (!lua_isnoneornil(L, 1)) {
    const char *text = lua_type(L, 1) == LUA_TSTRING ? lua_tostring(L, 1) : "";
    if (strcmp(text, "reply") == 0)
      ends = MB_ALIAS_AT_MESSAGE;
    else if (strcmp(text, "explicit_unalias") != 0)
      return mb_bad_argument(h, L, "alias", 1, "\"explicit_unalias\" or \"reply\" expected, got %s",
                             mb_push_shown(h, L, 1));
  }
  ref = mb_ref_new(h->scheduler);
  if (mb_alias_add(h->scheduler, p, ref, ends) != 0) return mb_no_memory(L);
  mb_mailbox_mark(&p->mailbox, ref);
  mb_push_id(L, ref);
  return 1;
}

/* unalias(reference) -> whether it was active */
static int unalias(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  mb_ref ref = mb_to_ref(L, 1);
  if (!ref) return mb_bad_type(h, L, "unalias", 1, "reference", 1);
  lua_pushboolean(L, mb_alias_end(h->scheduler, p, ref));
  return 1;
}

void mb_open_alias(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"alias", alias}, {"unalias", unalias}, {NULL, NULL}};
  mb_set_functions(h, L, functions);
}
