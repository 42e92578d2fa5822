/* Timers, for the module Process. */
#include <math.h>
#include <string.h>

#include "api/api.h"
#include "api/ask.h"
#include "codec/codec.h"
#include "codec/registry_key.h"
#include "heap/arguments.h"
#include "heap/errors.h"
#include "process/current.h"

/* About 285 years: what is asked for beyond that is as good as never, and what is left of it fits an int64_t in ns. */
#define MOST_MS ((uint64_t)9000000000000)

/* send_after(pid | name, message, ms): or, to whoever stands there then, (registry, message, ms, key) */
static int process_send_after(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  mb_pid to = mb_to_pid(L, 1);
  struct mb_address name = {0};
  size_t size = 0;
  lua_Number ms;
  uint64_t now = mb_now(h->runtime);
  struct mb_signal *s;
  mb_ref ref;
  (void)mb_caller(h, L);
  if (h->blocking) mb_refuse_outside(h, L); /* nobody looks after timers here */
  if (!to) {
    if (lua_type(L, 1) != LUA_TSTRING)
      return mb_bad_type(h, L, "Process.send_after", 1, "pid or name", 1);
    name.registry.data = mb_check_name(h, L, 1, "Process.send_after", 1, &size);
    name.registry.size = (uint32_t)size;
  }
  if (lua_type(L, 3) != LUA_TNUMBER)
    return mb_bad_type(h, L, "Process.send_after", 3, "integer >= 0 (ms)", 3);
  ms = lua_tonumber(L, 3);
  if (!(ms >= 0) || floor(ms) != ms || ms == (lua_Number)HUGE_VAL)
    return mb_bad_argument(h, L, "Process.send_after", 3, "integer >= 0 (ms) expected, got %s",
                           luaL_tolstring(L, 3, NULL));
  /* It may be none: before there is a signal. */
  if (!lua_isnone(L, 4)) (void)mb_registry_key(h, L, 4, "Process.send_after", 1);
  mb_given_to(h, "Process.send_after", MB_GIVEN_ITSELF, 2);
  s = mb_encode_signal(h, L, 2, 1, "send message", MB_MESSAGE);
  mb_given_to_nobody(h);
  if (!lua_isnone(L, 4)) {
    const struct mb_buffer *key = mb_registry_key(h, L, 4, "Process.send_after", 1);
    name.key = (struct mb_bytes){key->bytes, (uint32_t)key->size};
  }
  if (mb_delay(h->scheduler, to, to ? NULL : &name, s,
               now + (ms > MOST_MS ? MOST_MS : (uint64_t)ms) * 1000000u, &ref) != 0)
    return mb_no_memory(L);
  mb_push_id(L, ref);
  return 1;
}

/* Push the ms of what mb_delayed_read says. */
static void push_left(lua_State *L, int64_t ns) {
  if (ns < 0)
    lua_pushboolean(L, 0);
  else
    lua_pushinteger(L, (lua_Integer)((ns + 999999) / 1000000));
}

/* What is asked: enum mb_delayed_then */
static void answer_left(struct mb_heap *h, lua_State *L, const struct mb_query *q) {
  push_left(L, mb_delayed_read(h->scheduler, q->about, (enum mb_delayed_then)q->what));
}

static int read_timer(lua_State *L, const char *function, enum mb_delayed_then then) {
  static const char *const none[] = {NULL};
  struct mb_heap *h = mb_heap_of(L);
  mb_ref ref = mb_to_ref(L, 1);
  uint32_t owner = mb_ref_scheduler(ref);
  if (!ref) return mb_bad_type(h, L, function, 1, "timer reference", 1);
  mb_check_options(h, L, 2, function, 2, none);
  if (owner != h->scheduler->id && owner < atomic_load_explicit(&h->runtime->started, memory_order_acquire))
    return mb_ask(h, L, &h->runtime->schedulers[owner],
                  (struct mb_query){.push = answer_left, .subject = MB_ABOUT_TIMER, .about = ref, .what = (int)then});
  push_left(L, mb_delayed_read(h->scheduler, ref, then));
  return 1;
}

static int process_cancel_timer(lua_State *L) { return read_timer(L, "Process.cancel_timer", MB_DELAYED_CANCELLED); }
static int process_read_timer(lua_State *L) { return read_timer(L, "Process.read_timer", MB_DELAYED_STAYS); }

void mb_open_timer(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"process_send_after", process_send_after},
                                       {"process_cancel_timer", process_cancel_timer},
                                       {"process_read_timer", process_read_timer},
                                       {NULL, NULL}};
  mb_set_functions(h, L, functions);
}
