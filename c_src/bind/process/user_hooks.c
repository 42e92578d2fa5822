/* The user's own hooks: debug.sethook and debug.gethook, which know of the runtime's. */
#include "code/stand_in.h"
#include "heap/hook.h"
#include "process/preempt.h"

enum { COUNT_STEP = 1000 /* a user's count hook is counted in such steps: arming resets Lua's counter */ };

struct counted { /* a count hook of the user's with a large count */
  lua_Hook hook;
  int mask, count;
  int left, step;
};

static struct counted *push_counted(struct mb_heap *h, lua_State *L, lua_State *at) {
  struct counted *c;
  luaL_checkstack(L, 4, NULL);
  mb_push_ref(h, L, MB_REF_HOOKS);
  lua_pushthread(at);
  if (at != L) lua_xmove(at, L, 1);
  lua_rawget(L, -2);
  lua_remove(L, -2);
  c = lua_touserdata(L, -1);
  return c;
}

static void count_step(lua_State *L, struct counted *c);

static void counted_hook(lua_State *L, lua_Debug *ar) {
  struct mb_heap *h = mb_heap_find(L);
  struct counted *c = h ? push_counted(h, L, L) : NULL;
  if (!c) {
    lua_sethook(L, NULL, 0, 0);
    return;
  }
  if (ar->event != LUA_HOOKCOUNT) {
    c->hook(L, ar);
  } else {
    c->left -= c->step;
    if (c->left <= 0) {
      c->left = c->count;
      c->hook(L, ar);
    }
    if (lua_gethook(L) == counted_hook) count_step(L, c);
  }
  lua_pop(L, 1);
}

static void count_step(lua_State *L, struct counted *c) {
  c->step = c->left < COUNT_STEP ? c->left : COUNT_STEP;
  lua_sethook(L, counted_hook, c->mask, c->step);
}

/* The library's function, upvalue 2, called in this very frame: a hook that it sets sees no other. */
static int original(lua_State *L) { return lua_tocfunction(L, lua_upvalueindex(2))(L); }

/* Take our hook off, and let nothing arm it again until put_ours_back. */
static lua_State *take_ours_off(struct mb_heap *h, lua_State *L) {
  lua_State *at = lua_isthread(L, 1) ? lua_tothread(L, 1) : L;
  lua_Hook user;
  int mask, count;
  h->running = NULL;
  mb_hook_disarm(h->hook);
  user = mb_hook_theirs(at, &mask, &count);
  if (user != lua_gethook(at) || count != lua_gethookcount(at)) lua_sethook(at, user, mask, count);
  return at;
}

static void put_ours_back(struct mb_heap *h, lua_State *running) {
  if (running) mb_hook_enter(h, running);
}

/* debug.sethook([thread,] [hook, mask [, count]]) */
static int set_hook(lua_State *L) {
  struct mb_heap *h = mb_any_heap_of(L);
  struct mb_process *p = mb_running(h);
  lua_State *running = h->running, *at;
  int first = lua_isthread(L, 1) ? 2 : 1;
  if (!lua_isnoneornil(L, first)) { /* so that the library's does not raise */
    luaL_checkstring(L, first + 1);
    luaL_checktype(L, first, LUA_TFUNCTION);
    luaL_optinteger(L, first + 2, 0);
  }
  at = take_ours_off(h, L);
  (void)original(L);
  if (p && at == mb_coroutine(p)) p->private_flags |= MB_PRIVATE_HOOKED;
  if (lua_gethook(at) && (lua_gethookmask(at) & LUA_MASKCOUNT) && lua_gethookcount(at) > COUNT_STEP) {
    struct counted *c;
    mb_push_ref(h, L, MB_REF_HOOKS);
    lua_pushthread(at);
    if (at != L) lua_xmove(at, L, 1);
    c = lua_newuserdatauv(L, sizeof *c, 0);
    c->hook = lua_gethook(at);
    c->mask = lua_gethookmask(at);
    c->count = c->left = lua_gethookcount(at);
    lua_rawset(L, -3);
    count_step(at, c);
  }
  put_ours_back(h, running);
  return 0;
}

/* debug.gethook([thread]) */
static int get_hook(lua_State *L) {
  struct mb_heap *h = mb_any_heap_of(L);
  lua_State *running = h->running, *at = take_ours_off(h, L);
  struct counted *c = NULL;
  int results;
  if (lua_gethook(at) == counted_hook) {
    lua_settop(L, 1); /* the thread, or something that does not matter */
    c = push_counted(h, L, at);
    lua_sethook(at, c->hook, c->mask, c->count);
  }
  results = original(L);
  if (c) count_step(at, c);
  put_ours_back(h, running);
  return results;
}

void mb_open_hooks(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"sethook", set_hook}, {"gethook", get_hook}, {NULL, NULL}};
  mb_stand_in_all(h, L, "debug", functions, MB_STAND_IN_HEAP | MB_STAND_IN_ORIGINAL);
}
