#include "api/where.h"

#include <string.h>

#include "code/modules.h"
#include "heap/errors.h"
#include "process/entry.h"
#include "process/lua_coroutine.h"

lua_State *mb_stack_of(const struct mb_heap *h, lua_State *L, const struct mb_process *p) {
  if (p->start) return NULL;
  if (!(p->flags & MB_IN_PLACE)) return mb_coroutine(p);
  return p == h->scheduler->current ? L : h->runner;
}

/* Push where the function on the top of L was defined, and pop that; 0 and nothing pushed when it is not the user's. */
static int push_definition(struct mb_heap *h, lua_State *L) {
  lua_Debug ar;
  lua_getinfo(L, ">S", &ar);
  if (ar.linedefined < 0 || mb_is_own(h, ar.source)) return 0;
  lua_pushfstring(L, "%s:%d", ar.short_src, ar.linedefined);
  return 1;
}

void mb_push_initial_location(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  lua_State *co = mb_stack_of(h, L, p);
  lua_Debug ar;
  if (mb_entry_push_function(L, p) && push_definition(h, L)) return;
  for (int level = co ? mb_depth(co) : 0; level-- > 0 && lua_getstack(co, level, &ar);) {
    lua_getinfo(co, "Sl", &ar);
    if (ar.currentline <= 0 || mb_is_own(h, ar.source)) continue;
    lua_pushfstring(L, "%s:%d", ar.short_src, ar.linedefined);
    return;
  }
  lua_pushstring(L, p->site); /* NULL: nil */
}

/* The threads in which p runs or waits, the innermost first: its own coroutines that it has resumed, and its stack. */
enum { MOST_THREADS = 256 }; /* Lua nests 200 resumes at most */

static int threads_of(struct mb_heap *h, lua_State *L, struct mb_process *p, lua_State *threads[MOST_THREADS]) {
  lua_State *co = mb_stack_of(h, L, p);
  int count = 0;
  for (; co && count < MOST_THREADS; co = mb_resumed_by(co)) threads[count++] = co;
  for (int i = 0; i < count / 2; i++) {
    co = threads[i];
    threads[i] = threads[count - 1 - i];
    threads[count - 1 - i] = co;
  }
  return count;
}

void mb_push_current_location(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  lua_State *threads[MOST_THREADS];
  int count = threads_of(h, L, p, threads);
  for (int i = 0; i < count; i++) {
    lua_Debug ar;
    if (!mb_user_line(h, threads[i], 0, &ar)) continue;
    lua_pushfstring(L, "%s:%d", ar.short_src, ar.currentline);
    return;
  }
  lua_pushstring(L, p->site); /* NULL: nil */
}

void mb_push_stacktrace(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  static const char head[] = "stack traceback:";
  lua_State *threads[MOST_THREADS];
  int count = threads_of(h, L, p, threads);
  lua_pushstring(L, head);
  for (int i = 0; i < count; i++) {
    mb_push_traceback(h, L, p, threads[i], NULL, 0);
    lua_pushstring(L, lua_tostring(L, -1) + sizeof head - 1);
    lua_replace(L, -2);
    lua_concat(L, 2);
  }
}

/* Push the name of the function on the top of L (popped), which is called `called` where it runs, if that is known: that
 * which a module has it by, or how it is called, or where it was defined. */
static void push_function_name(struct mb_heap *h, lua_State *L, const char *called) {
  lua_Debug ar;
  int function = lua_gettop(L);
  if (mb_modules_name(h, L, function, MB_AS_METATABLE)) {
    size_t size;
    const char *name;
    mb_modules_first_name(L);
    name = lua_tolstring(L, -1, &size);
    if (strlen(name) < size)
      lua_pushfstring(L, "%s%s%s", strcmp(name, "_G") == 0 ? "" : name, strcmp(name, "_G") == 0 ? "" : ".",
                      name + strlen(name) + 1);
  } else if (called) {
    lua_pushstring(L, called);
  } else {
    lua_pushvalue(L, function);
    lua_getinfo(L, ">S", &ar);
    if (*ar.what == 'm')
      lua_pushliteral(L, "main chunk");
    else
      lua_pushfstring(L, "function <%s:%d>", ar.short_src, ar.linedefined);
  }
  lua_replace(L, function);
  lua_settop(L, function);
}

void mb_push_current_function(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  lua_State *threads[MOST_THREADS];
  int count = threads_of(h, L, p, threads);
  for (int i = 0; i < count; i++) {
    lua_State *co = threads[i];
    lua_Debug ar;
    if (!mb_user_line(h, co, 0, &ar) || !lua_checkstack(co, 2)) continue;
    lua_getinfo(co, "nf", &ar);
    if (co != L) lua_xmove(co, L, 1);
    push_function_name(h, L, ar.name);
    return;
  }
  lua_pushnil(L);
}

void mb_push_initial_call(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  if (mb_entry_push_function(L, p))
    push_function_name(h, L, NULL);
  else if (p->flags & (MB_IN_PLACE | MB_SCRIPT))
    lua_pushliteral(L, "main chunk");
  else
    lua_pushnil(L);
}
