#include "process/lua_coroutine.h"

#include "code/stand_in.h"
#include "heap/closing.h"
#include "heap/hook.h"
#include "process/entry.h"
#include "process/interrupt.h"

/* What has just been yielded in the running process is the runtime's, not the user's. */
static int is_runtime_yield(const struct mb_heap *h) {
  const struct mb_process *p = mb_running(h);
  return h->preempted || (p && p->state != MB_RUNNING && !h->closing);
}

/* From here on only the scheduler goes on with co. Without memory for that nobody is kept from it. */
static void hold(struct mb_heap *h, lua_State *co) { (void)mb_map_put(&h->held, (uintptr_t)co, 1); }

/* Lua nests 200 C calls at most, resumes and protected calls together. So that recursive generators nest as deep as in
 * plain Lua, or nearly, only the outer ones have an entry; see entry.h. */
enum { MOST_ENTRIES = 16 };

static void release(struct mb_heap *h, lua_State *co) { mb_map_remove(&h->held, (uintptr_t)co, NULL); }

static int is_held(const struct mb_heap *h, lua_State *co) {
  return h->held.count && mb_map_get(&h->held, (uintptr_t)co);
}

/* How many values below its arguments, but for the one that is called, a coroutine begins with; 0: it has begun, or
 * ended. */
static int before_arguments(const struct mb_heap *h, lua_State *co) {
  lua_Debug ar;
  if (lua_status(co) != LUA_OK || lua_gettop(co) <= MB_WRAPPED_SLOTS || lua_getstack(co, 0, &ar)) return 0;
  if (h->nested < MOST_ENTRIES) return MB_WRAPPED_SLOTS;
  for (int i = 0; i < MB_WRAPPED_SLOTS; i++) lua_remove(co, 1);
  return 0;
}

/* Resume co with the narg values on the top of L. The number of results, which are on the top then, or -1
 * with the error there. While co waits this function does not return; k goes on afterwards. */
static int resume_through(struct mb_heap *h, lua_State *L, lua_State *co, int narg, lua_KFunction k, lua_KContext ctx) {
  lua_State *running = h->running;
  int yieldable = lua_isyieldable(L) && running == L, status, results, before;
  if (!lua_checkstack(co, narg)) {
    lua_pushliteral(L, "too many arguments to resume");
    return -1;
  }
  before = before_arguments(h, co);
  lua_xmove(L, co, narg);
  h->unyieldable += !yieldable;
  h->nested++;
  mb_hook_enter(h, co);
  status = lua_resume(co, L, before + narg, &results);
  mb_hook_enter(h, running ? running : L);
  h->nested--;
  h->unyieldable -= !yieldable;
  if (status == LUA_YIELD && yieldable && is_runtime_yield(h)) {
    lua_pop(co, results);
    hold(h, co);
    lua_yieldk(L, 0, ctx, k);
  }
  if (h->resumes) h->resumes_due(h);
  if (status == LUA_OK || status == LUA_YIELD) {
    if (!lua_checkstack(L, results + 1)) {
      lua_pop(co, results);
      lua_pushliteral(L, "too many results to resume");
      return -1;
    }
    lua_xmove(co, L, results);
    return results;
  }
  lua_xmove(co, L, 1);
  return -1;
}

/* A callback of the event loop has resumed co, whose process has been cut, or waits, before co has yielded. Plain Lua
 * calls back after that, so co is resumed after that, with the narg values on the top of L (popped). Until then they are
 * in the table of those, co -> {{n, values}, ...}. */
static void put_off(struct mb_heap *h, lua_State *L, lua_State *co, int narg) {
  int values = lua_gettop(L) - narg + 1;
  luaL_checkstack(L, 8, NULL);
  lua_createtable(L, narg + 1, 0);
  lua_insert(L, values);
  for (int i = narg; i >= 1; i--) lua_rawseti(L, values, i + 1);
  lua_pushinteger(L, narg);
  lua_rawseti(L, values, 1);
  mb_push_ref(h, L, MB_REF_RESUMES);
  lua_pushthread(co);
  lua_xmove(co, L, 1);
  if (lua_rawget(L, values + 1) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushthread(co);
    lua_xmove(co, L, 1);
    lua_pushvalue(L, -2);
    lua_rawset(L, values + 1);
  }
  lua_pushvalue(L, values);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  lua_settop(L, values - 1);
  h->resumes = 1;
}

/* Whether L runs a callback of the event loop, and none of its coroutines. */
static int is_callback(const struct mb_heap *h, const lua_State *L) {
  return L == h->L && h->heaps->calls_back == h && !h->scheduler->current;
}

/* Whether co has been left without having yielded: by a yield of the runtime's, or below the main chunk of a stock
 * interpreter, which runs the others in place. */
static int is_left(const struct mb_heap *h, lua_State *co) {
  lua_Debug ar;
  return is_held(h, co) || (lua_status(co) == LUA_OK && lua_getstack(co, 0, &ar));
}

/* As resume_through, for the user. */
static int resume_anew(struct mb_heap *h, lua_State *L, lua_State *co, int narg, lua_KFunction k, lua_KContext ctx) {
  if (h->scheduler && is_callback(h, L) && is_left(h, co)) {
    put_off(h, L, co, narg);
    return 0;
  }
  if (!is_held(h, co)) return resume_through(h, L, co, narg, k, ctx);
  lua_pushliteral(L, "cannot resume non-suspended coroutine");
  return -1;
}

/* As resume_through, when what co waited for is over. */
static int resume_again(struct mb_heap *h, lua_State *L, lua_State *co, lua_KFunction k, lua_KContext ctx) {
  struct mb_process *p = mb_running(h);
  release(h, co);
  if (p) mb_interrupt_resumed(h, p, co);
  return resume_through(h, L, co, 0, k, ctx);
}

/* Its first argument is resumed by a callback that has come too early: see put_off. */
static int resume_late(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  if (lua_status(co) != LUA_YIELD) return 0; /* it has ended meanwhile, which a resume that nobody asks does not tell */
  if (resume_anew(mb_any_heap_of(L), L, co, lua_gettop(L) - 1, NULL, 0) < 0) return lua_error(L);
  return 0;
}

int mb_coroutine_push_late(struct mb_heap *h, lua_State *L) {
  int top = lua_gettop(L), n;
  h->resumes = 0;
  mb_push_ref(h, L, MB_REF_RESUMES);
  for (lua_pushnil(L); lua_next(L, top + 1); lua_settop(L, top + 2)) {
    h->resumes = 1;
    if (is_left(h, lua_tothread(L, top + 2))) continue;
    lua_rawgeti(L, top + 3, 1); /* the oldest */
    n = (int)lua_rawlen(L, top + 3);
    for (int i = 1; i <= n; i++) {
      lua_rawgeti(L, top + 3, i + 1);
      lua_rawseti(L, top + 3, i);
    }
    if (n == 1) { /* the last one */
      lua_pushvalue(L, top + 2);
      lua_pushnil(L);
      lua_rawset(L, top + 1);
    }
    lua_rawgeti(L, top + 4, 1);
    n = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    luaL_checkstack(L, n + 4, NULL);
    lua_pushlightuserdata(L, h);
    lua_pushcclosure(L, resume_late, 1);
    lua_pushvalue(L, top + 2);
    for (int i = 1; i <= n; i++) lua_rawgeti(L, top + 4, i + 1);
    for (int i = 0; i < 4; i++) lua_remove(L, top + 1);
    return n + 1;
  }
  lua_settop(L, top);
  return 0;
}

static lua_State *check_coroutine(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  luaL_argexpected(L, co, 1, "thread");
  return co;
}

static int close_thread(struct mb_heap *h, lua_State *L, lua_State *co);

/* The results of a resume that began when mb_unwinding was `then`. */
static int resumed(struct mb_heap *h, lua_State *L, int results, int then) {
  if (results < 0 && mb_unwinding_since(h, then)) {
    (void)close_thread(h, L, lua_tothread(L, 1));
    return mb_pass_on(h, L);
  }
  lua_pushboolean(L, results >= 0);
  if (results < 0) results = 1;
  lua_insert(L, -results - 1);
  return results + 1;
}

static int resume_on(lua_State *L, int status, lua_KContext then) {
  struct mb_heap *h = mb_any_heap_of(L);
  (void)status;
  return resumed(h, L, resume_again(h, L, lua_tothread(L, 1), resume_on, then), (int)then);
}

static int co_resume(lua_State *L) {
  struct mb_heap *h = mb_any_heap_of(L);
  lua_State *co = check_coroutine(L);
  int then = mb_unwinding(h);
  return resumed(h, L, resume_anew(h, L, co, lua_gettop(L) - 1, resume_on, then), then);
}

/* Close a suspended or failed coroutine; lua_resetthread's status. Lua lets nothing yield in its clean-up code. */
static int close_thread(struct mb_heap *h, lua_State *L, lua_State *co) {
  lua_State *running = h->running;
  int status;
  h->unyieldable++;
  h->resetting++;
  mb_forget_failing(h, co);
  mb_hook_enter(h, co);
  status = lua_resetthread(co);
  mb_hook_enter(h, running ? running : L);
  h->resetting--;
  h->unyieldable--;
  return status;
}

/* The results of a wrapped coroutine; its errors go on with the place added to a message. What they have left is closed
 * by now, or is here, where it may not wait. */
static int unwrapped(lua_State *L, lua_State *co, int results) {
  int status;
  if (results >= 0) return results;
  status = lua_status(co);
  if (status != LUA_OK && status != LUA_YIELD) {
    status = close_thread(mb_any_heap_of(L), L, co);
    lua_xmove(co, L, 1);
  }
  if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static int wrapped_on(lua_State *L, int status, lua_KContext ctx) {
  lua_State *co = lua_tothread(L, lua_upvalueindex(2));
  (void)status;
  (void)ctx;
  return unwrapped(L, co, resume_again(mb_any_heap_of(L), L, co, wrapped_on, 0));
}

static int wrapped(lua_State *L) {
  lua_State *co = lua_tothread(L, lua_upvalueindex(2));
  return unwrapped(L, co, resume_anew(mb_any_heap_of(L), L, co, lua_gettop(L), wrapped_on, 0));
}

/* Push a new coroutine. */
static lua_State *create(lua_State *L) {
  struct mb_heap *h = mb_any_heap_of(L);
  lua_State *co;
  luaL_checktype(L, 1, LUA_TFUNCTION);
  co = lua_newthread(L);
  mb_hook_adopt(h, co);
  mb_forget_failing(h, co);
  return co;
}

static int co_create(lua_State *L) {
  lua_State *co = create(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  return 1;
}

static int co_wrap(lua_State *L) {
  lua_State *co = create(L);
  mb_entry_push_wrapped(co);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  lua_pushlightuserdata(L, mb_any_heap_of(L));
  lua_insert(L, -2);
  lua_pushcclosure(L, wrapped, 2);
  return 1;
}

/* The process whose own coroutine L is; NULL inside a coroutine of the user's, and in the main chunk. */
static struct mb_process *process_of(struct mb_heap *h, lua_State *L) {
  struct mb_process *p = mb_running(h);
  return p && !(p->flags & MB_IN_PLACE) && mb_coroutine(p) == L ? p : NULL;
}

static int co_yield(lua_State *L) {
  struct mb_heap *h = mb_any_heap_of(L);
  int outside = process_of(h, L) != NULL;
  if (outside || mb_is_failing(h, L)) { /* as Lua's own: without a position */
    lua_pushstring(L,
                   outside ? "attempt to yield from outside a coroutine" : "attempt to yield across a C-call boundary");
    return lua_error(L);
  }
  return lua_yield(L, lua_gettop(L));
}

static int co_running(lua_State *L) {
  struct mb_process *p = process_of(mb_any_heap_of(L), L);
  int main = lua_pushthread(L);
  if (p && !(p->private_flags & MB_PRIVATE_ESCAPED)) {
    p->private_flags |= MB_PRIVATE_ESCAPED;
    hold(mb_any_heap_of(L), L);
  }
  lua_pushboolean(L, main || (p && (p->flags & MB_SCRIPT)));
  return 2;
}

static int co_isyieldable(lua_State *L) {
  struct mb_heap *h = mb_any_heap_of(L);
  lua_State *co = lua_isnone(L, 1) ? L : check_coroutine(L);
  lua_pushboolean(L, lua_isyieldable(co) && !process_of(h, co) && !mb_is_failing(h, co));
  return 1;
}

static const char *status_of(lua_State *L, lua_State *co) {
  lua_Debug ar;
  if (co == L) return "running";
  if (is_held(mb_any_heap_of(L), co)) return "normal";
  if (lua_status(co) == LUA_YIELD) return "suspended";
  if (lua_status(co) != LUA_OK) return "dead";
  if (lua_getstack(co, 0, &ar)) return "normal";
  return lua_gettop(co) ? "suspended" : "dead";
}

static int co_status(lua_State *L) {
  lua_pushstring(L, status_of(L, check_coroutine(L)));
  return 1;
}

static int co_close(lua_State *L) {
  lua_State *co = check_coroutine(L);
  const char *is = status_of(L, co);
  if (*is != 's' && *is != 'd') return luaL_error(L, "cannot close a %s coroutine", is);
  if (close_thread(mb_any_heap_of(L), L, co) == LUA_OK) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushboolean(L, 0);
  lua_xmove(co, L, 1);
  return 2;
}

lua_State *mb_resumed_by(lua_State *L) {
  lua_State *co = NULL;
  lua_CFunction f;
  lua_Debug ar;
  if (lua_status(L) > LUA_YIELD || !lua_checkstack(L, 3) || !lua_getstack(L, 0, &ar)) return NULL;
  lua_getinfo(L, "f", &ar);
  f = lua_tocfunction(L, -1);
  if (f == wrapped) {
    lua_getupvalue(L, -1, 2);
    co = lua_tothread(L, -1);
    lua_pop(L, 1);
  } else if (f == co_resume && lua_getlocal(L, &ar, 1)) {
    co = lua_tothread(L, -1);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return co;
}

void mb_close_nested(struct mb_heap *h, lua_State *co) {
  enum { MOST = 256 }; /* Lua nests 200 resumes at most */
  lua_State *chain[MOST];
  int depth = 0;
  while (depth < MOST && (co = mb_resumed_by(co))) chain[depth++] = co;
  while (depth > 0) {
    co = chain[--depth];
    release(h, co);
    mb_forget_failing(h, co);
    mb_hook_enter(h, co);
    (void)lua_resetthread(co);
    mb_hook_leave(h);
  }
}

void mb_open_coroutine(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"create", co_create},   {"resume", co_resume},
                                       {"wrap", co_wrap},       {"yield", co_yield},
                                       {"running", co_running}, {"isyieldable", co_isyieldable},
                                       {"status", co_status},   {"close", co_close},
                                       {NULL, NULL}};
  mb_stand_in_all(h, L, "coroutine", functions, MB_STAND_IN_HEAP | MB_STAND_IN_ANY);
}
