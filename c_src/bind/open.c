#include "bind/open.h"

#include <stdlib.h>

#include "api/api.h"
#include "api/own.h"
#include "bind/node.h"
#include "code/bytecode.h"
#include "code/c_modules.h"
#include "code/call_site.h"
#include "code/code_cache.h"
#include "code/environment.h"
#include "code/modules.h"
#include "code/paths.h"
#include "code/standard.h"
#include "codec/codec.h"
#include "codec/scratch.h"
#include "core/end_watch.h"
#include "heap/errors.h"
#include "heap/finalizer.h"
#include "heap/hook.h"
#include "heap/outside.h"
#include "heap/settings.h"
#include "heap/shared.h"
#include "heap/site.h"
#include "io/blocking.h"
#include "io/fs.h"
#include "io/command.h"
#include "io/io.h"
#include "io/dial.h"
#include "io/lua_program.h"
#include "io/luv.h"
#include "io/os_signal.h"
#include "io/object.h"
#include "io/secure.h"
#include "io/tls_context.h"
#include "io/waiter.h"
#include "log/log.h"
#include "process/ending.h"
#include "process/entry.h"
#include "process/interrupt.h"
#include "process/long_slice.h"
#include "process/lua_coroutine.h"
#include "process/preempt.h"
#include "process/run.h"
#include "replica/replica.h"
#include "replica/watch.h"

/* Its address is a key in the registry. */
static const char core_key;

/* In stock Lua the functions of at_exit are called when the state closes, in a finalizer of the runtime's: what they
 * run is in processes all the same. */
static void run_last(struct mb_heap *h) {
  const unsigned char *collector = h->collector;
  if (!h->main_runs && !collector) return;
  if (collector) (void)mb_outside_begin(h, MB_BY_NOTHING);
  mb_ending_run(h, MB_STATUS_UNKNOWN); /* the interpreter knows it */
  mb_outside_end(h, collector);
}

static void use_node(struct mb_heap *h, struct mb_node *n) {
  h->node = n;
  h->runtime = n ? &n->runtime : NULL;
  h->bounds = n ? &n->bounds : NULL;
  h->opening = n ? &n->opening : NULL;
  h->log = n ? &n->log : NULL;
  h->publications = n ? &n->publications : NULL;
  h->published = n ? &n->publications.version : NULL;
  h->ending = n ? &n->ending : NULL;
  h->refusals = n ? &n->refusals : NULL;
  h->pool = n ? n->pool : NULL;
  h->listenings = n ? &n->listenings : NULL;
}

int mb_heap_close(struct mb_heap *h) {
  struct mb_process *p;
  int stuck = 0;
  if (!h->scheduler) return 0;
  p = h->scheduler->current;
  if (h->owner) {
    if (p && !(p->flags & MB_IN_PLACE)) return 0; /* a process closes the state it runs in: the program ends */
    run_last(h);
    stuck = mb_node_stop(h->node) != 0; /* then other threads run on, with what is the node's */
    if (stuck) mb_ticker_detach(h->scheduler);
  }
  mb_io_settle(h->io);
  if (h->listed) atomic_fetch_sub_explicit(&h->publications->heaps, 1, memory_order_relaxed);
  mb_heaps_remove(h);
  mb_hook_leave(h); /* the ticker may still interrupt this thread */
  atomic_fetch_add_explicit(&mb_heaps_closed, 1, memory_order_relaxed);
  if (h->shares) h->scheduler->above = NULL;
  h->scheduler = NULL;
  if (h->owner && !stuck) mb_node_free(h->node);
  use_node(h, NULL);
  return stuck ? -1 : 0;
}

/* What the first heap has shared with the others of its scheduler, which have closed. */
static void free_shared(struct mb_heap *h) {
  mb_sites_free(h);
  if (h->long_slice) mb_map_deinit(&h->long_slice->places);
  if (h->script) {
    free(h->script->text);
    free(h->script->trace);
  }
  free(h->heaps);
  h->heaps = NULL;
}

/* The state closes: what the heap holds outside of Lua goes. */
static int collect_heap(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  if (mb_heap_close(h) != 0) mb_keep_loaded(); /* other threads run on in this code */
  mb_lift_memory_limit(h, L);
  mb_shared_close(h);
  mb_reason_release(h->main_reason);
  mb_reason_release(h->no_memory);
  h->main_reason = h->no_memory = NULL;
  mb_io_free(h->io);
  mb_scratch_free(h->scratch);
  mb_scratch_free(h->key_scratch);
  mb_scratch_free(h->copied);
  mb_code_cache_free(h->code_cache);
  mb_modules_free(h->modules);
  if (h->replica) mb_table_watch_free(h->replica->watch);
  mb_map_deinit(&h->held);
  mb_map_deinit(&h->failing);
  if (h->shares) free_shared(h);
  h->io = NULL;
  h->scratch = h->key_scratch = h->copied = NULL;
  h->code_cache = NULL;
  h->modules = NULL;
  h->sites = NULL;
  h->hook = NULL;
  h->long_slice = NULL;
  h->replica = NULL;
  h->script = NULL;
  return 0;
}

static int new_table(lua_State *L, const char *mode) {
  lua_newtable(L);
  if (mode) {
    lua_createtable(L, 0, 1);
    lua_pushstring(L, mode);
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
  }
  return luaL_ref(L, LUA_REGISTRYINDEX);
}

static struct mb_reason *constant(struct mb_heap *h, lua_State *L, const char *text) {
  struct mb_reason *r;
  lua_pushstring(L, text);
  r = mb_encode_reason(h, L, lua_gettop(L));
  lua_pop(L, 1);
  return r;
}

static struct mb_reason *no_memory_reason(struct mb_heap *h, lua_State *L) {
  static const char *const parts[] = {"error", "not enough memory", "stack traceback:"};
  struct mb_reason *r;
  lua_createtable(L, 3, 0);
  for (int i = 0; i < 3; i++) {
    lua_pushstring(L, parts[i]);
    lua_rawseti(L, -2, i + 1);
  }
  r = mb_encode_reason(h, L, lua_gettop(L));
  lua_pop(L, 1);
  return r;
}

/* Without a host: states as luaL_newstate makes them. */

static lua_State *plain_new_state(void **data) {
  *data = NULL;
  return luaL_newstate();
}

static void plain_close_state(lua_State *L, void *data) {
  (void)data;
  lua_close(L);
}

static int plain_prepare(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, luaopen_moonbeam_core);
  lua_setfield(L, -2, "moonbeam.core");
  lua_getglobal(L, "require");
  lua_pushliteral(L, "moonbeam");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "import");
  lua_call(L, 0, 0);
  return 0;
}

static void attach(lua_State *L, struct mb_node *node, struct mb_scheduler *s) { (void)mb_heap_attach(L, node, s); }

/* The upcalls */

static int stuck(struct mb_scheduler *s, struct mb_process *p, mb_pid pid, const char *site, unsigned ms) {
  struct mb_node *n = mb_node_of(s);
  return mb_long_slice_stuck(&n->log, &n->bounds, s, p, pid, site, ms);
}

static void notice(struct mb_scheduler *s) {
  mb_interrupt_noticed(s);
  mb_ending_noticed(s);
  mb_os_signals_noticed(s);
}

static const struct mb_upcalls upcalls = {.resume = mb_run_resume, .destroy = mb_run_destroy,
                                           .share = mb_replica_share, .start = mb_node_start,
                                           .preempt = mb_preempt_overdue, .notice = notice,
                                           .stuck = stuck};

/* What all heaps of a node share, from the first one. */
static void make_node(struct mb_heap *h, lua_State *L) {
  static const struct mb_node_setup plain = {plain_new_state, plain_close_state, attach, plain_prepare};
  h->node = mb_node_new((uint32_t)mb_setting(MB_SET_PROCESSES, 0), mb_node_schedulers(1), &upcalls, &plain);
  if (!h->node) luaL_error(L, "moonbeam: cannot start the runtime");
  h->owner = 1;
  mb_paths_note(&h->node->paths, L);
}

/* A luv that was there before goes on, on the same loop. */
static void take_luvs_loop(struct mb_heap *h, lua_State *L) {
  uv_loop_t *loop = mb_luv_adopt(h, L);
  if (loop && mb_scheduler_take_loop(h->scheduler, loop) != 0) luaL_error(L, "moonbeam: cannot take luv's loop");
}

/* What all heaps of a scheduler share, from its first one. */
static void share(struct mb_heap *h, lua_State *L, struct mb_heap *first) {
  if (first) {
    h->heaps = first->heaps;
    h->sites = first->sites;
    h->long_slice = first->long_slice;
    h->interrupt = first->interrupt;
    h->script = first->script;
    return;
  }
  h->shares = 1;
  h->heaps = calloc(1, sizeof *h->heaps);
  h->sites = mb_sites_new();
  if (!h->heaps || !h->sites) mb_no_memory(L);
  h->heaps->first = h;
  h->heaps->limit = (unsigned)mb_setting(MB_SET_HEAP_PROCESSES, MB_HEAP_PROCESSES);
  h->heaps->open = mb_node_open_heap;
  h->heaps->closing.run = mb_node_close_heaps;
  h->long_slice = mb_heap_part(L, sizeof *h->long_slice);
  h->interrupt = mb_heap_part(L, sizeof *h->interrupt);
  h->script = mb_heap_part(L, sizeof *h->script);
}

struct mb_heap *mb_heap_open(lua_State *L) {
  struct mb_heap *h = mb_heap_find(L);
  return h ? h : mb_heap_attach(L, NULL, NULL);
}

/* From MB_REF_CALL on. */
static const char *const texts[] = {"call", "cast", "info", "DOWN", "process", "normal"};
_Static_assert(MB_REF_NORMAL - MB_REF_CALL + 1 == sizeof texts / sizeof *texts, "a reference for each");

struct mb_heap *mb_heap_attach(lua_State *L, struct mb_node *node, struct mb_scheduler *s) {
  struct mb_heap *h;
  int err;
  if (mb_bytecode_check(L) != 0)
    luaL_error(L, "moonbeam: this is not the Lua 5.4 it was built for: its bytecode differs");
  if (!node) mb_settings_check(L); /* before there is anything: it may be tried again */
  h = lua_newuserdatauv(L, sizeof *h, 0);
  *h = (struct mb_heap){.node = node};
  for (int i = 0; i < MB_REF_COUNT; i++) h->ref[i] = LUA_NOREF;
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  h->L = h->runner = lua_tothread(L, -1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  h->globals = lua_topointer(L, -1);
  lua_pop(L, 2);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, collect_heap);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  mb_heap_keep(L);
  h->code_identity = mb_code_identity_works(L);
  h->call_sites_known = mb_call_sites_known(L);
  h->collector = mb_collector_word(L);
  h->scratch = mb_scratch_new();
  h->key_scratch = mb_scratch_new();
  h->copied = mb_scratch_new();
  h->code_cache = mb_code_cache_new();
  h->modules = mb_modules_new();
  share(h, L, s ? mb_scheduler_heap(s) : NULL);
  h->hook = mb_heap_part(L, sizeof *h->hook);
  h->given = mb_heap_part(L, sizeof *h->given);
  h->replica = mb_heap_part(L, sizeof *h->replica);
  h->replica->watch = mb_table_watch_new();
  h->io = mb_io_new(h, h->shares ? NULL : h->heaps->first);
  if (!h->io || !h->scratch || !h->key_scratch || !h->copied || !h->code_cache || !h->modules ||
      !h->replica->watch)
    mb_no_memory(L);
  if (!node) make_node(h, L);
  use_node(h, h->node);
  h->main_runs = h->owner;
  h->scheduler = s ? s : &h->runtime->schedulers[0];
  if (h->shares) h->scheduler->above = h->heaps;
  h->id = atomic_fetch_add_explicit(&h->publications->last_heap, 1, memory_order_relaxed) + 1;
  h->opens = mb_luv_opens;
  h->opened = mb_luv_opened;
  h->resumes_due = mb_luv_resumes_due;
  h->push_handle = mb_object_push_id;
  h->handle_id = mb_handle_id;
  if (h->owner) take_luvs_loop(h, L);
  err = mb_preempt_open(h);
  if (err) luaL_error(L, "moonbeam: cannot start the runtime (error %d)", err);
  h->reporter = lua_newthread(L);
  mb_hook_adopt(h, h->reporter);
  (void)luaL_ref(L, LUA_REGISTRYINDEX); /* keeps it as long as the state */
  h->ref[MB_REF_THREADS] = new_table(L, NULL);
  mb_run_open(h, L);
  h->ref[MB_REF_PRIVATE] = new_table(L, NULL);
  h->ref[MB_REF_FACTORIES] = new_table(L, NULL);
  h->ref[MB_REF_CODE] = new_table(L, "v");
  h->ref[MB_REF_HOOKS] = new_table(L, "k");
  h->ref[MB_REF_RESUMES] = new_table(L, "k");
  h->ref[MB_REF_NAMED] = new_table(L, "k");
  h->ref[MB_REF_RESOLVED] = new_table(L, NULL);
  h->ref[MB_REF_KNOWN] = new_table(L, NULL);
  h->ref[MB_REF_PENDING] = new_table(L, NULL);
  h->ref[MB_REF_WATCHED] = new_table(L, NULL);
  h->ref[MB_REF_SEARCHERS] = new_table(L, NULL);
  h->ref[MB_REF_SHAPES] = new_table(L, NULL);
  h->ref[MB_REF_BACKED] = new_table(L, NULL);
  h->ref[MB_REF_CONSTANTS] = new_table(L, "k");
  h->ref[MB_REF_ORIGINS] = new_table(L, "v");
  h->ref[MB_REF_ORDER] = new_table(L, NULL);
  h->ref[MB_REF_STANDARD] = new_table(L, NULL);
  h->ref[MB_REF_OWN_MODULES] = new_table(L, NULL);
  for (enum mb_heap_ref r = MB_REF_INSPECT; r <= MB_REF_LOG_SETTINGS; r++) { /* set later */
    lua_pushboolean(L, 0);
    h->ref[r] = luaL_ref(L, LUA_REGISTRYINDEX);
  }
  for (int i = 0; i < (int)(sizeof texts / sizeof *texts); i++) {
    lua_pushstring(L, texts[i]);
    h->ref[MB_REF_CALL + i] = luaL_ref(L, LUA_REGISTRYINDEX);
  }
  mb_open_random(h, L);
  mb_open_files(h, L);
  mb_open_collector(h, L);
  lua_pushboolean(L, 0);
  h->ref[MB_REF_LIBRARY] = luaL_ref(L, LUA_REGISTRYINDEX);
  mb_open_output(h, L); /* before the environment takes these over */
  mb_open_protect(h, L);
  mb_open_entry(h, L);
  mb_environment_open(h, L);
  mb_open_coroutine(h, L);
  mb_open_hooks(h, L);
  if (h->owner) {
    h->runtime->normal = constant(h, L, "normal");
    h->runtime->killed = constant(h, L, "killed");
    h->runtime->noproc = constant(h, L, "noproc");
    h->runtime->noconnection = constant(h, L, "noconnection");
    h->log->wake = constant(h, L, "log");
  }
  mb_open_c_modules(h, L);
  h->no_memory = no_memory_reason(h, L);
  mb_open_standard(h, L);
  mb_modules_settle(h, L);
  mb_replica_open(h, L);
  mb_heaps_add(h);
  if (h->owner) mb_heaps_note_ran(h); /* the script does, and has */
  atomic_fetch_add_explicit(&h->publications->heaps, 1, memory_order_relaxed);
  return h;
}

int luaopen_moonbeam_core(lua_State *L) {
  struct mb_heap *h = mb_heap_open(L);
  mb_environment_install(h, L);
  mb_modules_invalidate(h);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &core_key) == LUA_TTABLE) return 1; /* opened before */
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &core_key);
  mb_open_share(h, L);
  mb_open_value(h, L);
  mb_open_kernel(h, L);
  mb_open_receive(h, L);
  mb_open_match(h, L);
  mb_open_alias(h, L);
  mb_open_process(h, L);
  mb_open_info(h, L);
  mb_open_leader(h, L);
  mb_open_destination(h, L);
  mb_open_name(h, L);
  mb_open_timer(h, L);
  mb_open_dictionary(h, L);
  mb_open_request(h, L);
  mb_open_later(h, L);
  mb_open_registry(h, L);
  mb_open_setting(h, L);
  mb_open_log(h, L);
  mb_open_log_handler(h, L);
  mb_open_log_level(h, L);
  mb_open_server(h, L);
  mb_open_system(h, L);
  mb_open_ending(h, L);
  mb_open_module(h, L);
  mb_open_waiter(h, L);
  mb_open_blocking(h, L);
  mb_open_fs(h, L);
  mb_open_command(h, L);
  mb_open_program(h, L);
  mb_open_os_signal(h, L);
  mb_open_os(h, L);
  mb_open_dial(h, L);
  mb_open_tls_context(h, L);
  mb_open_secure(h, L);
  lua_pushliteral(L, MOONBEAM_VERSION);
  lua_setfield(L, -2, "version");
  return 1;
}
