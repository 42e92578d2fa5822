/* Timers, for the module Process. */
#include <math.h>
#include <string.h>

#include "api/api.h"
#include "api/ask.h"
#include "api/destination.h"
#include "codec/codec.h"
#include "codec/registry_key.h"
#include "heap/arguments.h"
#include "heap/errors.h"
#include "process/current.h"

/* About 285 years: what is asked for beyond that is as good as never, and what is left of it fits an int64_t in ns. */
#define MOST_MS 9e12

/* What the times of a timer are: */
enum times {
  TIME_LEFT,     /* from now on */
  TIME_ABSOLUTE, /* of monotonic_time() */
  TIME_PERIOD    /* from now on, and then again */
};

/* The time at stack index 3, in ns: of the clock, or of a period. */
static uint64_t check_time(struct mb_heap *h, lua_State *L, const char *function, enum times times) {
  static const char *const expected[] = {[TIME_LEFT] = "integer >= 0 (ms)",
                                         [TIME_ABSOLUTE] = "time of monotonic_time() (ms)",
                                         [TIME_PERIOD] = "integer >= 1 (ms)"};
  lua_Number ms = lua_tonumber(L, 3);
  int ok = isfinite(ms);
  if (lua_type(L, 3) != LUA_TNUMBER) mb_bad_type(h, L, function, 3, expected[times], 3);
  if (times != TIME_ABSOLUTE) ok = ok && floor(ms) == ms && ms >= (times == TIME_PERIOD);
  if (!ok) mb_bad_argument(h, L, function, 3, "%s expected, got %s", expected[times], luaL_tolstring(L, 3, NULL));
  if (ms > MOST_MS) ms = MOST_MS;
  if (ms < 0) ms = 0;
  return (uint64_t)(ms * 1e6);
}

/* Whom a timer is for. */
struct target {
  mb_pid pid;             /* or, 0, */
  struct mb_address name; /* whoever stands there when the time has come */
  mb_ref alias;           /* that pid has been named by; 0: it has not */
};

static struct target check_target(struct mb_heap *h, lua_State *L, const char *function) {
  struct target t = {.pid = mb_to_pid(L, 1), .alias = mb_to_ref(L, 1)};
  size_t size = 0;
  if (t.pid) return t;
  if (t.alias) {
    t.pid = mb_alias_find(h->runtime, t.alias);
    if (!t.pid) t.pid = mb_pid_make(0, 0); /* nobody's */
    return t;
  }
  if (lua_type(L, 1) != LUA_TSTRING) mb_bad_type(h, L, function, 1, "pid, alias or name", 1);
  t.name.registry.data = mb_check_name(h, L, 1, function, 1, &size);
  t.name.registry.size = (uint32_t)size;
  return t;
}

/* Send the value on the top of the stack, which is argument 2 of the function, or has that as its item 3, at a time, and
 * push the timer's reference. */
static int start(struct mb_heap *h, lua_State *L, const char *function, enum mb_given_form form, const struct target *t,
                 uint64_t deadline, uint64_t period, mb_ref ref) {
  struct mb_signal *s;
  mb_given_to(h, function, form, form == MB_GIVEN_PACKED ? -1 : 2);
  s = mb_encode_signal(h, L, lua_gettop(L), 1, "send message", t->alias ? MB_TO_ALIAS : MB_MESSAGE);
  mb_given_to_nobody(h);
  s->ref = t->alias;
  if (mb_delay(h->scheduler, t->pid, t->pid ? NULL : &t->name, s, deadline, period, ref) != 0) return mb_no_memory(L);
  mb_push_id(L, ref);
  return 1;
}

static struct mb_heap *heap_with_timers(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  (void)mb_caller(h, L);
  if (h->blocking) mb_refuse_outside(h, L); /* nobody looks after timers here */
  return h;
}

/* When what is asked for at stack index 3 is due, the time being absolute if index `absolute` says so. */
static uint64_t check_deadline(struct mb_heap *h, lua_State *L, const char *function, int absolute) {
  uint64_t now = mb_now(h->runtime);
  if (lua_toboolean(L, absolute)) return check_time(h, L, function, TIME_ABSOLUTE);
  return now + check_time(h, L, function, TIME_LEFT);
}

/* send_after(pid | alias | name, message, ms, absolute [, key]): with a key, to whoever stands in that registry then */
static int process_send_after(lua_State *L) {
  static const char function[] = "Process.send_after";
  struct mb_heap *h = heap_with_timers(L);
  struct target t = check_target(h, L, function);
  uint64_t deadline = check_deadline(h, L, function, 4);
  int keyed = !lua_isnone(L, 5);
  if (keyed) { /* in a string of its own: what encodes the message may use the room for keys */
    const struct mb_buffer *key = mb_registry_key(h, L, 5, function, 1);
    t.name.key = (struct mb_bytes){lua_pushlstring(L, (const char *)key->bytes, key->size), (uint32_t)key->size};
  }
  lua_pushvalue(L, 2);
  return start(h, L, function, MB_GIVEN_ITSELF, &t, deadline, 0, mb_ref_new(h->scheduler));
}

/* start_timer(pid | alias | name, message, ms, absolute): sends {"timeout", reference, message} */
static int process_start_timer(lua_State *L) {
  static const char function[] = "Process.start_timer";
  struct mb_heap *h = heap_with_timers(L);
  struct target t = check_target(h, L, function);
  uint64_t deadline = check_deadline(h, L, function, 4);
  mb_ref ref = mb_ref_new(h->scheduler);
  lua_createtable(L, 3, 0);
  lua_pushliteral(L, "timeout");
  lua_rawseti(L, -2, 1);
  mb_push_id(L, ref);
  lua_rawseti(L, -2, 2);
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, 3);
  return start(h, L, function, MB_GIVEN_PACKED, &t, deadline, 0, ref);
}

/* send_interval(pid | alias | name, message, ms): a name leads now to whom it is for */
static int process_send_interval(lua_State *L) {
  static const char function[] = "Process.send_interval";
  struct mb_heap *h = heap_with_timers(L);
  struct target t = check_target(h, L, function);
  uint64_t now = mb_now(h->runtime), period = check_time(h, L, function, TIME_PERIOD);
  if (!t.pid) {
    struct mb_destination to = mb_named_destination(h, L, 1, function, 1, MB_NAMES);
    if (to.kind != MB_TO_PROCESS)
      return mb_bad_argument(h, L, function, 1, "no process is registered as '%s'",
                             mb_push_short(L, lua_tostring(L, 1)));
    t.pid = to.pid;
  }
  lua_pushvalue(L, 2);
  return start(h, L, function, MB_GIVEN_ITSELF, &t, now + period, period, mb_ref_new(h->scheduler));
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

/* Cancel the timer, and push {"cancel_timer", reference, ms that were left}, if that is asked for. */
static void answer_cancelled(struct mb_heap *h, lua_State *L, const struct mb_query *q) {
  int64_t left = mb_delayed_read(h->scheduler, q->about, MB_DELAYED_CANCELLED);
  if (!q->what) return;
  lua_createtable(L, 3, 0);
  lua_pushliteral(L, "cancel_timer");
  lua_rawseti(L, -2, 1);
  mb_push_id(L, q->about);
  lua_rawseti(L, -2, 2);
  push_left(L, left);
  lua_rawseti(L, -2, 3);
}

/* The scheduler that has the timer of that reference. */
static struct mb_scheduler *owner_of(const struct mb_heap *h, mb_ref ref) {
  uint32_t owner = mb_ref_scheduler(ref);
  if (owner >= atomic_load_explicit(&h->runtime->started, memory_order_acquire)) return h->scheduler; /* it has none */
  return &h->runtime->schedulers[owner];
}

static int read_timer(struct mb_heap *h, lua_State *L, mb_ref ref, enum mb_delayed_then then) {
  struct mb_scheduler *owner = owner_of(h, ref);
  if (owner != h->scheduler)
    return mb_ask(h, L, owner,
                  (struct mb_query){.push = answer_left, .subject = MB_ABOUT_TIMER, .about = ref, .what = (int)then});
  push_left(L, mb_delayed_read(h->scheduler, ref, then));
  return 1;
}

static mb_ref check_timer(struct mb_heap *h, lua_State *L, const char *function, const char *const *options) {
  mb_ref ref = mb_to_ref(L, 1);
  if (!ref) mb_bad_type(h, L, function, 1, "timer reference", 1);
  mb_check_options(h, L, 2, function, 2, options);
  return ref;
}

/* Cancelled without waiting: with what was left as a message, or not. */
static int cancel_later(struct mb_heap *h, lua_State *L, mb_ref ref, int tell) {
  struct mb_scheduler *owner = owner_of(h, ref);
  struct mb_query query = {.push = answer_cancelled, .subject = MB_ABOUT_TIMER, .about = ref, .what = tell};
  if (owner != h->scheduler) {
    mb_ask_for_message(h, L, owner, query);
  } else {
    mb_pid self = mb_pid_of(mb_current(h, L));
    int top = lua_gettop(L);
    answer_cancelled(h, L, &query);
    if (tell) mb_signal_send(h->scheduler, self, mb_encode_signal(h, L, top + 1, 1, "send message", MB_MESSAGE));
  }
  lua_pushboolean(L, 1);
  return 1;
}

/* cancel_timer(reference [, options]) -> ms that were left | false; true without waiting, where that is asked for */
static int process_cancel_timer(lua_State *L) {
  static const char *const known[] = {"async", "info", NULL};
  static const char function[] = "Process.cancel_timer";
  struct mb_heap *h = mb_heap_of(L);
  mb_ref ref = check_timer(h, L, function, known);
  int async = 0, tell = 1;
  if (!lua_isnoneornil(L, 2)) {
    async = mb_check_flag(h, L, 2, "async", function, 2);
    lua_getfield(L, 2, "info");
    tell = lua_isnil(L, -1) || mb_check_flag(h, L, 2, "info", function, 2);
  }
  if (async) return cancel_later(h, L, ref, tell);
  return read_timer(h, L, ref, MB_DELAYED_CANCELLED);
}

static int process_read_timer(lua_State *L) {
  static const char *const none[] = {NULL};
  struct mb_heap *h = mb_heap_of(L);
  return read_timer(h, L, check_timer(h, L, "Process.read_timer", none), MB_DELAYED_STAYS);
}

void mb_open_timer(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"process_send_after", process_send_after},
                                       {"process_send_interval", process_send_interval},
                                       {"process_start_timer", process_start_timer},
                                       {"process_cancel_timer", process_cancel_timer},
                                       {"process_read_timer", process_read_timer},
                                       {NULL, NULL}};
  mb_set_functions(h, L, functions);
}
