#include "embed/host_api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind/node.h"
#include "bind/open.h"
#include "code/modules.h"
#include "code/reason_text.h"
#include "code/stand_in.h"
#include "codec/message.h"
#include "core/end_watch.h"
#include "core/error.h"
#include "heap/closing.h"
#include "heap/errors.h"
#include "heap/exit.h"
#include "heap/hook.h"
#include "heap/inspect.h"
#include "log/log.h"
#include "process/current.h"
#include "process/ending.h"
#include "process/entry.h"
#include "process/interrupt.h"
#include "replica/replica.h"

/* Run the library's first file, <directory of the executable>/../share/lua/5.4/moonbeam/init.lua: the host and its
 * library belong together. The module is on the top of the stack then. */
static void load_library(lua_State *L) {
  char exe[4096];
  size_t size = sizeof exe;
  const char *path;
  char *slash;
  if (uv_exepath(exe, &size) != 0) luaL_error(L, "cannot find the path of the executable");
  for (int i = 0; i < 2; i++) {
    slash = strrchr(exe, '/');
    if (slash) *slash = '\0';
  }
  path = lua_pushfstring(L, "%s/share/lua/5.4/moonbeam/init.lua", exe);
  if (luaL_loadfile(L, path) != LUA_OK) lua_error(L);
  lua_pushliteral(L, "moonbeam");
  lua_pushvalue(L, -3);
  lua_call(L, 2, 1);
}

/* os.exit([code [, close]]): the program ends, whichever scheduler this is. Without `close`, and where Lua
 * cannot leave (sort, require), the caller's own variables and the Lua state are not closed, as in plain Lua; other
 * processes are killed, and theirs are. */
static int host_exit(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  int status = lua_isboolean(L, 1) ? (lua_toboolean(L, 1) ? EXIT_SUCCESS : EXIT_FAILURE)
                                   : (int)luaL_optinteger(L, 1, EXIT_SUCCESS);
  struct mb_process *p = mb_outside(h, L) ? mb_running(h) : mb_current(h, L);
  int close = lua_toboolean(L, 2), stuck = !mb_can_yield(h, L);
  if (p && (!close || stuck)) p->private_flags |= MB_PRIVATE_LEFT;
  if (stuck) mb_node_leave(h, status);
  mb_ending_exit(h->ending, status, close ? MB_NODE_CLOSES : MB_NODE_LEAVES,
                 mb_ending_calls(h->ending, p));
  mb_process_exit(h->scheduler, p, h->runtime->killed);
  mb_leave_if_exiting(h, L, p);
  return luaL_error(L, "the program is exiting");
}

static int open_all(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, luaopen_moonbeam_core);
  lua_setfield(L, -2, "moonbeam.core");
  load_library(L);
  lua_getfield(L, -1, "import");
  lua_call(L, 0, 0);
  lua_getglobal(L, "os");
  (void)mb_stand_in(mb_heap_open(L), L, "os", "exit", host_exit, MB_STAND_IN_HEAP);
  lua_getfield(L, -1, "exit");
  mb_modules_set_standard(mb_heap_open(L), L, -1, "os", "exit");
  mb_replica_open(mb_heap_open(L), L); /* what the host has added is in all heaps */
  return 0;
}

/* For signal handlers: the scheduler that runs the script. */
static struct mb_scheduler *_Atomic script_scheduler;

unsigned mb_host_stop(int number) {
  struct mb_scheduler *s = atomic_load(&script_scheduler);
  struct mb_heap *h = s ? mb_scheduler_heap(s) : NULL;
  unsigned seconds = h ? mb_ending_signal(h->ending, number) : 1;
  if (h) mb_hook_now(mb_running_heap(s)); /* a script by itself may compute without a ticker */
  return seconds;
}

void mb_host_interrupt(void) {
  struct mb_scheduler *s = atomic_load(&script_scheduler);
  if (s) mb_interrupt_foreground(s);
}

int mb_host_is_exit(lua_State *L, int index) { return mb_is_exit(mb_heap_open(L), L, index); }

int mb_host_is_reason(lua_State *L, int index) {
  int is;
  if (!lua_istable(L, index) || !lua_getmetatable(L, index)) return 0;
  mb_push_ref(mb_heap_open(L), L, MB_REF_REASON_MT);
  is = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return is;
}

int mb_host_raise_exit(lua_State *L) {
  struct mb_heap *h = mb_heap_open(L);
  h->script->said = 1;
  mb_push_exit(h, L);
  return lua_error(L);
}

void mb_host_traceback(lua_State *L, const char *text) {
  struct mb_heap *h = mb_heap_open(L);
  if (text) {
    lua_pushstring(L, text);
    if (mb_push_hint(h, L, -1)) text = lua_pushfstring(L, "%s\n%s", text, lua_tostring(L, -1));
  }
  mb_push_traceback(h, L, mb_running(h), L, text, 1);
}

/* An exit by the library's calls has a place that its reason does not tell; that of the user's own exit() says all. */
int mb_host_note_exit(lua_State *L) {
  static const char own[] = "stack traceback:\n\t[C]: in function 'exit'";
  struct mb_script_end *script = mb_heap_open(L)->script;
  const char *trace;
  mb_host_traceback(L, NULL);
  trace = lua_tostring(L, -1);
  free(script->trace);
  script->trace = strncmp(trace, own, sizeof own - 1) != 0 ? strdup(trace) : NULL;
  lua_pop(L, 1);
  return 1;
}

enum { TEXT_NS = 1000000000, CLOSING_MS = 3000 };

void mb_host_watch(int status) { (void)mb_end_watch(CLOSING_MS, status); }
void mb_host_leave(void) { mb_claim_exit(); }
void mb_host_exit(int status) { mb_exit_now(status); }

void mb_host_bound(lua_State *L) {
  struct mb_heap *h = mb_heap_open(L);
  h->script->bound = 1;
  mb_closing_begin_for(h, TEXT_NS);
}

int mb_host_unbound(lua_State *L) {
  struct mb_heap *h = mb_heap_open(L);
  if (!h->script->bound) return 0;
  h->script->bound = 0;
  mb_closing_end(h);
  return h->cut;
}

void mb_host_pass_on(lua_State *L) {
  if (mb_heap_open(L)->leaving) mb_closing_raise(L);
}

int mb_host_open(lua_State *L, const struct mb_host_options *o) {
  struct mb_heap *h;
  lua_pushcfunction(L, open_all);
  if (lua_pcall(L, 0, 0, 0) != LUA_OK) return -1;
  h = mb_heap_open(L);
  h->main_runs = 0; /* the script has a coroutine like any process */
  h->scheduler->stay = o->no_halt;
  h->node->setup = (struct mb_node_setup){o->new_state, o->close_state, h->node->setup.attach, open_all};
  h->runtime->scheduler_count = o->schedulers > 0 ? (uint32_t)o->schedulers : mb_node_schedulers(0);
  h->interrupt->unclaimed = o->unclaimed_interrupt;
  atomic_store(&script_scheduler, h->scheduler);
  return 0;
}

/* Call f(heap, outcome) outside of processes, with a second for the user's code; what it raises is dropped. */
static void protect(struct mb_heap *h, lua_State *L, lua_CFunction f, struct mb_host_outcome *out) {
  mb_closing_begin_for(h, TEXT_NS);
  mb_hook_enter(h, L);
  lua_pushcfunction(L, f);
  lua_pushlightuserdata(L, h);
  lua_pushlightuserdata(L, out);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) lua_pop(L, 1);
  mb_hook_leave(h);
  mb_closing_end(h);
}

static char *copy_top(lua_State *L) {
  const char *text = lua_tostring(L, -1);
  return text ? strdup(text) : NULL;
}

/* (heap, outcome): the text of an exit */
static int describe_exit(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  struct mb_host_outcome *out = lua_touserdata(L, 2);
  const char *trace = h->script->trace;
  mb_push_reason(h, L, h->main_reason);
  if (lua_type(L, -1) != LUA_TSTRING) mb_push_reason_text(h, L, -1);
  lua_pushfstring(L, "** (EXIT) %s%s%s", lua_tostring(L, -1), trace ? "\n" : "", trace ? trace : "");
  out->text = copy_top(L);
  return 0;
}

/* The text of how the script ended, from its reason. */
static void describe(struct mb_heap *h, lua_State *L, struct mb_host_outcome *out) {
  if (h->script->text) {
    out->kind = MB_ENDED_ERROR;
    out->text = h->script->text;
    h->script->text = NULL;
  } else if (h->main_reason->kind == MB_REASON_NORMAL) {
    out->kind = MB_ENDED_NORMAL;
  } else if (h->script->said) {
    out->kind = MB_ENDED_EXIT;
  } else {
    out->kind = MB_ENDED_EXIT;
    protect(h, L, describe_exit, out);
    if (!out->text) out->text = strdup("** (EXIT) (not enough memory to show the reason)");
  }
}

/* (heap, outcome): the text of a deadlock */
static int describe_deadlock(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  struct mb_host_outcome *out = lua_touserdata(L, 2);
  lua_State *co = mb_coroutine(h->script->process);
  lua_Debug ar;
  char pid[MB_ID_TEXT];
  const char *where = "";
  if (mb_user_line(h, co, 0, &ar)) where = lua_pushfstring(L, " at %s:%d", ar.short_src, ar.currentline);
  mb_pid_text(mb_pid_of(h->script->process), pid);
  lua_pushfstring(L,
                  "deadlock: the script's process %s waits%s and nothing is left that could wake it "
                  "(no runnable process, timer or handle)",
                  pid, where);
  out->text = copy_top(L);
  return 0;
}

int mb_host_run(lua_State *L, int nargs, struct mb_host_outcome *out) {
  struct mb_heap *h = mb_heap_open(L);
  struct mb_scheduler *s = h->scheduler;
  struct mb_signal *nothing = mb_signal_new(MB_MESSAGE, 0);
  struct mb_ending *e = h->ending;
  struct mb_process *p;
  int err, top;
  *out = (struct mb_host_outcome){.kind = MB_ENDED_NORMAL};
  if (!nothing || mb_spawn(s, NULL, nothing, MB_SPAWN_UNTIED, 0, &p) != 0) return MB_ENOMEM;
  /* The script is not copied: it runs with the state's own globals. */
  mb_signal_free(p->start);
  p->start = NULL;
  p->flags |= MB_SCRIPT | MB_PINNED;
  mb_push_ref(h, L, MB_REF_THREADS);
  p->context = lua_newthread(L);
  lua_rawsetp(L, -2, p->context);
  lua_pop(L, 1);
  lua_xmove(L, p->context, nargs + 1);
  h->script->process = p;
  mb_set_foreground(h, mb_pid_of(p));
  top = lua_gettop(L);
  err = mb_scheduler_run(s, NULL);
  if (err == MB_EDEADLOCK && !h->script->ended) {
    out->kind = MB_ENDED_DEADLOCK;
    protect(h, L, describe_deadlock, out);
    mb_ending_run(h, EXIT_FAILURE);
  }
  if (!atomic_load(&e->signal)) mb_log_settle(h); /* what is printed about the end comes after it */
  if (atomic_load(&e->how) != MB_NODE_RUNS) {
    out->kind = MB_ENDED_STATUS;
    out->status = atomic_load(&e->status);
  } else if (atomic_load(&e->signal)) {
    out->kind = MB_ENDED_STOPPED;
    out->status = 128 + atomic_load(&e->signal);
  } else if (out->kind != MB_ENDED_DEADLOCK && h->script->ended) {
    describe(h, L, out);
  }
  if (err == MB_EDEADLOCK) err = 0;
  h->script->process = NULL;
  lua_settop(L, top);
  return err;
}

void mb_host_flush_log(lua_State *L) { (void)mb_writer_drain(mb_heap_open(L)->node->log.writer); }

int mb_host_close(lua_State *L) {
  struct mb_heap *h = mb_heap_open(L);
  atomic_store(&script_scheduler, NULL);
  if (atomic_load(&h->ending->how) == MB_NODE_LEAVES) return mb_node_stop(h->node) != 0 ? -1 : 1;
  return mb_heap_close(h);
}
