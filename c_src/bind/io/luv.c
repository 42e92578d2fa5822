#include "io/luv.h"

#include <stdlib.h>

#include <dlfcn.h>
#include <string.h>

#include "heap/arguments.h"
#include "heap/errors.h"
#include "heap/hook.h"
#include "heap/outside.h"
#include "heap/heaps.h"
#include "log/log.h"
#include "process/current.h"
#include "process/lua_coroutine.h"
#include "process/wait.h"

/* What luv.h of luv's says, as far as it is used. */
typedef int (*luv_callback)(lua_State *L, int nargs, int nresults, int flags);

/* The functions of the luv that has been loaded; all heaps of the program have the same library. */
struct library {
  void (*set_loop)(lua_State *L, uv_loop_t *loop);
  void (*set_callback)(lua_State *L, luv_callback callback);
  uv_loop_t *(*loop)(lua_State *L);
};

/* Find them beside a function of luv's. 0: it is none. */
static int find(lua_CFunction function, struct library *l) {
  Dl_info where;
  void *handle;
  memset(l, 0, sizeof *l);
  if (!dladdr((void *)(uintptr_t)function, &where) || !where.dli_fname) return 0;
  handle = dlopen(where.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
  if (!handle) return 0;
  *(void **)&l->set_loop = dlsym(handle, "luv_set_loop");
  *(void **)&l->set_callback = dlsym(handle, "luv_set_callback");
  *(void **)&l->loop = dlsym(handle, "luv_loop");
  dlclose(handle); /* which stays loaded: Lua has it open */
  return l->set_loop && l->set_callback && l->loop;
}

static int is_opener(lua_CFunction opener, struct library *l) {
  Dl_info where;
  return dladdr((void *)(uintptr_t)opener, &where) && where.dli_sname && strcmp(where.dli_sname, "luaopen_luv") == 0 &&
         find(opener, l);
}

/* Callbacks */

static int push_traceback(lua_State *L) {
  const char *text = luaL_tolstring(L, 1, NULL);
  luaL_traceback(L, L, text, 1);
  return 1;
}

/* Log the error on the top of the stack, of a callback that was made at `place`. */
static void report(struct mb_heap *h, lua_State *L, const char *place) {
  lua_pushfstring(L, "error in a callback of the event loop, made at %s: %s", place, lua_tostring(L, -1));
  lua_replace(L, -2);
  mb_log(h, L, MB_LOG_ERROR);
}

/* As luv's own does: call the function below the `nargs` values on the top. The number of results, or the negative
 * status. */
static int protected_call(struct mb_heap *h, lua_State *L, int nargs, int nresults) {
  int base = lua_gettop(L) - nargs, status;
  lua_Debug ar;
  char place[LUA_IDSIZE + 16];
  if (!lua_checkstack(L, LUA_MINSTACK)) {
    lua_settop(L, base - 1);
    return -LUA_ERRMEM;
  }
  place[0] = 0;
  if (lua_isfunction(L, base)) {
    lua_pushvalue(L, base);
    lua_getinfo(L, ">S", &ar);
    snprintf(place, sizeof place, ar.linedefined > 0 ? "%s:%d" : "%s", ar.short_src, ar.linedefined);
  }
  lua_pushcfunction(L, push_traceback);
  lua_insert(L, base);
  status = lua_pcall(L, nargs, nresults, base);
  lua_remove(L, base);
  if (status == LUA_OK) return lua_gettop(L) - base + 1;
  report(h, L, place);
  return -status;
}

/* What luv calls for every callback: between two processes, or, by uv.walk and the like, inside of one. */
static int call_back(lua_State *L, int nargs, int nresults, int flags) {
  struct mb_heap *h = mb_heap_find(L);
  struct mb_scheduler *s = h ? h->scheduler : NULL;
  struct mb_process *current;
  struct mb_heap *before;
  const unsigned char *collector;
  int result;
  (void)flags;
  if (!s || h->state_closes) { /* nobody is there any more who could be told */
    lua_pop(L, nargs + 1);
    for (result = 0; result < nresults; result++) lua_pushnil(L);
    return result;
  }
  if (h->running) return protected_call(h, L, nargs, nresults);
  current = s->current;
  collector = mb_outside_begin(h, MB_BY_CALLBACK);
  s->current = NULL; /* the main chunk's, which waits below */
  h->io->loop->calls++;
  if (!h->ran) mb_heaps_note_ran(h);
  before = h->heaps->calls_back;
  h->heaps->calls_back = h;
  mb_hook_enter(h, L);
  result = protected_call(h, L, nargs, nresults);
  mb_hook_leave(h);
  h->heaps->calls_back = before;
  s->current = current;
  mb_outside_end(h, collector);
  return result;
}

/* Resuming late */

struct late {
  uv_timer_t timer;
  struct mb_scheduler *scheduler;
  uint32_t heap; /* its id: it may be closed by then */
};

static void on_late_closed(uv_handle_t *t) { free(t->data); }

static int push_late(lua_State *L) {
  int n = mb_coroutine_push_late(lua_touserdata(L, 1), L);
  return n ? n + 1 : 0;
}

static void on_late(uv_timer_t *t) {
  struct late *late = t->data;
  const struct mb_heaps *all = late->scheduler->above;
  struct mb_heap *h = all ? mb_heaps_find(all, late->heap) : NULL;
  uv_close((uv_handle_t *)t, on_late_closed);
  while (h && lua_checkstack(h->L, LUA_MINSTACK)) {
    int top = lua_gettop(h->L);
    lua_pushcfunction(h->L, push_late);
    lua_pushlightuserdata(h->L, h);
    if (lua_pcall(h->L, 1, LUA_MULTRET, 0) != LUA_OK || lua_gettop(h->L) == top) {
      lua_settop(h->L, top);
      break;
    }
    (void)call_back(h->L, lua_gettop(h->L) - top - 1, 0, 0);
    lua_settop(h->L, top);
  }
}

void mb_luv_resumes_due(struct mb_heap *h) {
  struct late *late = malloc(sizeof *late);
  if (!late || uv_timer_init(mb_loop(h->scheduler), &late->timer) != 0) {
    free(late);
    return; /* the next coroutine that yields asks again */
  }
  h->resumes = 0; /* it asks once */
  late->timer.data = late;
  late->scheduler = h->scheduler;
  late->heap = h->id;
  (void)uv_timer_start(&late->timer, on_late, 0, 0); /* does not fail with a callback */
}

/* run, stop and walk */

static void wake_all(struct mb_heap *h) {
  uint32_t cursor = 0;
  for (const struct mb_entry *e; (e = mb_map_next(&h->io->loop->running, &cursor));) {
    struct mb_process *p = mb_process_here(h->scheduler, e->key);
    if (p) mb_wake(h->scheduler, p);
  }
  mb_map_deinit(&h->io->loop->running);
  h->scheduler->drained = NULL;
}

static void drained(struct mb_scheduler *s) { wake_all(mb_scheduler_heap(s)); }

enum { UNTIL_DRAINED, UNTIL_CALLED };

/* Stack: 1 what to wait for, 2 the number of calls, 3 of stops before. */
static int run_on(lua_State *L, int status, lua_KContext unused) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_loop_io *io = h->io->loop;
  (void)status;
  (void)unused;
  for (;;) {
    struct mb_process *p = mb_current_still(h, L);
    int alive = uv_loop_alive(mb_loop(h->scheduler));
    if (!alive || lua_tointeger(L, 3) != (lua_Integer)io->stops ||
        (lua_tointeger(L, 1) == UNTIL_CALLED && lua_tointeger(L, 2) != (lua_Integer)io->calls)) {
      lua_pushboolean(L, alive);
      return mb_worked(h, L, p, MB_COST_MESSAGE, 1);
    }
    if (mb_map_put(&io->running, mb_pid_of(p), 1) != 0) return mb_no_memory(L);
    h->scheduler->drained = drained;
    mb_block(h, L, p, 0, 0, run_on);
  }
}

/* Let the loop be polled once. */
static int polled_on(lua_State *L, int status, lua_KContext deadline) {
  struct mb_heap *h = mb_heap_of(L);
  (void)status;
  for (;;) {
    struct mb_process *p = mb_current_still(h, L);
    if (mb_expired(p, (uint64_t)deadline)) break;
    mb_block(h, L, p, (uint64_t)deadline, deadline, polled_on);
  }
  lua_pushboolean(L, uv_loop_alive(mb_loop(h->scheduler)));
  return 1;
}

/* run([mode = "default"]) -> whether the loop has something alive: waits until it has not, or stop has been called;
 * "once": or a callback has run; "nowait": for one poll of the loop. */
static int run_loop(lua_State *L) {
  static const char *const modes[] = {"default", "once", "nowait", NULL};
  struct mb_heap *h = mb_heap_of(L);
  int mode = luaL_checkoption(L, 1, "default", modes);
  (void)mb_current(h, L);
  mb_check_takes(h, L);
  lua_settop(L, 0);
  if (mode == 2) {
    h->scheduler->polled = 0; /* the next check polls it, too */
    return polled_on(L, LUA_OK, (lua_KContext)(mb_now(h->runtime) + 1));
  }
  lua_pushinteger(L, mode == 1 ? UNTIL_CALLED : UNTIL_DRAINED);
  lua_pushinteger(L, (lua_Integer)h->io->loop->calls);
  lua_pushinteger(L, (lua_Integer)h->io->loop->stops);
  return run_on(L, LUA_OK, 0);
}

/* stop(): what waits in run goes on. */
static int stop_loop(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  h->io->loop->stops++;
  wake_all(h);
  return 0;
}

/* loop_mode() -> "default" in callbacks: the loop runs all the time, in a way that luv knows nothing of; else nil */
static int loop_mode(lua_State *L) {
  if (mb_outside_by(mb_heap_of(L), L) == MB_BY_CALLBACK)
    lua_pushliteral(L, "default");
  else
    lua_pushnil(L);
  return 1;
}

/* What luv reads when it finds a handle on the loop; this one is nil in Lua. */
struct foreign {
  int ref, callbacks[2];
  void *context, *extra, *extra_gc;
};

/* Handles of luv's in other heaps of the scheduler are put aside meanwhile. */
struct aside {
  struct foreign foreign;
  uv_handle_t *handle;
  void *data;
  struct aside *next;
};

static void mark(uv_handle_t *handle, void *data) {
  struct aside *all = data, *a;
  if (!handle->data) {
    handle->data = &all->foreign;
  } else if (((struct foreign *)handle->data)->context != all->foreign.context && (a = malloc(sizeof *a))) {
    *a = (struct aside){all->foreign, handle, handle->data, all->next};
    all->next = a;
    handle->data = &a->foreign;
  }
}

static void unmark(uv_handle_t *handle, void *data) {
  if (handle->data == &((struct aside *)data)->foreign) handle->data = NULL;
}

static void put_back(struct aside *all) {
  while (all->next) {
    struct aside *a = all->next;
    all->next = a->next;
    a->handle->data = a->data;
    free(a);
  }
}

/* The function that walk has been given, upvalue 1, for luv's handles. */
static int visit(lua_State *L) {
  if (lua_isnil(L, 1)) return 0;
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, 0);
  return 0;
}

/* walk(function): the runtime's own handles, which have no data, are not shown. Upvalue 2 is luv's. */
static int walk(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct aside all = {.foreign = {.ref = LUA_REFNIL, .callbacks = {LUA_NOREF, LUA_NOREF}}};
  int status;
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_pushcclosure(L, visit, 1);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  lua_getfield(L, LUA_REGISTRYINDEX, "luv_context");
  all.foreign.context = lua_touserdata(L, -1);
  lua_pop(L, 1);
  uv_walk(mb_loop(h->scheduler), mark, &all);
  status = lua_pcall(L, 1, 0, 0);
  uv_walk(mb_loop(h->scheduler), unmark, &all);
  put_back(&all);
  return status == LUA_OK ? 0 : lua_error(L);
}

/* The end of a state */

enum { HANDLE_CLOSED = 2 }; /* a bit of uv_handle_t.flags in all of libuv 1 */

/* The finalizer of a handle of luv's, upvalue 2 is luv's own, which frees what is closing at once. What is closing is
 * held by luv until it has closed, so here the state closes, and the loop must be done with the handle first. */
static int collect_handle(lua_State *L) {
  struct mb_heap *h = mb_any_heap_of(L);
  uv_handle_t **handle = lua_touserdata(L, 1);
  if (handle && *handle && uv_is_closing(*handle) && !((*handle)->flags & HANDLE_CLOSED)) {
    h->state_closes = 1;
    for (int i = 0; i < 2; i++) uv_run((*handle)->loop, UV_RUN_NOWAIT); /* the first may be stopped by uv_stop */
  }
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  lua_call(L, 1, 0);
  return 0;
}

static void replace_finalizers(struct mb_heap *h, lua_State *L) {
#define NAME(unused, name) "uv_" #name,
  static const char *const types[] = {UV_HANDLE_TYPE_MAP(NAME)};
#undef NAME
  for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
    int top = lua_gettop(L);
    if (luaL_getmetatable(L, types[i]) == LUA_TTABLE) {
      lua_pushlightuserdata(L, h);
      if (lua_getfield(L, -2, "__gc") == LUA_TFUNCTION) {
        lua_pushcclosure(L, collect_handle, 2);
        lua_setfield(L, top + 1, "__gc");
      }
    }
    lua_settop(L, top);
  }
}

/* Opening */

void mb_luv_opens(struct mb_heap *h, lua_State *L, lua_CFunction opener) {
  struct library l;
  (void)L;
  if (!h->scheduler || !is_opener(opener, &l)) return;
  l.set_loop(h->L, mb_loop(h->scheduler));
  l.set_callback(h->L, call_back);
}

static void replace(struct mb_heap *h, lua_State *L, int index) {
  static const luaL_Reg functions[] = {
      {"run", run_loop}, {"stop", stop_loop}, {"loop_mode", loop_mode}, {NULL, NULL}};
  lua_pushvalue(L, index);
  mb_set_functions(h, L, functions);
  lua_pushlightuserdata(L, h);
  lua_getfield(L, -2, "walk");
  lua_pushcclosure(L, walk, 2);
  lua_setfield(L, -2, "walk");
  lua_pop(L, 1);
  replace_finalizers(h, L);
}

void mb_luv_opened(struct mb_heap *h, lua_State *L, lua_CFunction opener, int index) {
  struct library l;
  if (h->scheduler && is_opener(opener, &l) && lua_istable(L, index)) replace(h, L, index);
}

uv_loop_t *mb_luv_adopt(struct mb_heap *h, lua_State *L) {
  struct library l;
  uv_loop_t *loop = NULL;
  int top = lua_gettop(L);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushliteral(L, "luv");
  if (lua_rawget(L, -2) == LUA_TTABLE) {
    lua_pushliteral(L, "run");
    if (lua_rawget(L, -2) == LUA_TFUNCTION && lua_iscfunction(L, -1) && find(lua_tocfunction(L, -1), &l)) {
      loop = l.loop(L);
      if (loop) {
        l.set_callback(L, call_back);
        replace(h, L, top + 2);
      }
    }
  }
  lua_settop(L, top);
  return loop;
}
