/* A heap: one Lua global state with the coroutines of the processes that live in it, and what the
 * binding keeps beside it. Used by the scheduler's thread alone. A scheduler has one or several: see heaps.h. */
#ifndef MB_HEAP_H
#define MB_HEAP_H

#include <lauxlib.h>
#include <lua.h>
#include <stdatomic.h>

#include "core/core.h"
#include "core/map.h"
#include "heap/finalizer.h"
#include "heap/heaps.h"

/* What a process keeps on the Lua side: p->private_flags, made when first needed. */
enum mb_private_flags {
  MB_PRIVATE_VALUES = 1,  /* private[slot index] exists: a table, by what follows */
  MB_PRIVATE_ESCAPED = 2, /* its coroutine has been seen by user code: never use it again */
  MB_PRIVATE_HOOKED = 4,  /* nor then: a hook may have raised there, and Lua leaves hooks off after that */
  MB_PRIVATE_LEFT = 8,    /* it has left the program: what it has open is not closed */
  MB_PRIVATE_FAILED = 16, /* private[slot index] has the traceback of the error that ended it: see entry.h */
  MB_PRIVATE_FULL = 32,   /* it has ended for want of memory */
  MB_PRIVATE_LOGGING = 64, /* it is at work on an entry of the log: what that logs itself is written as it is */
  MB_PRIVATE_TASK = 128,   /* it is a task: an exit that ends it is logged, with the traceback */
  MB_PRIVATE_REPORTED = 256, /* its end has been logged */
  MB_PRIVATE_KNOWN = 512,    /* the end whose reason it has got last has been */
  MB_PRIVATE_HAS_FILES = 1024, /* its default files are not the standard ones: see own.h */
  MB_PRIVATE_SUPERVISOR = 2048, /* it supervises what it starts, */
  MB_PRIVATE_SUPERVISED = 4096, /* and was started by one that does */
  MB_PRIVATE_EVALUATES = 8192,  /* it runs a line of a prompt's, */
  MB_PRIVATE_INTERRUPTED = 16384, /* which has been interrupted, */
  MB_PRIVATE_INTERRUPTED_AGAIN = 32768, /* and again, by what nothing may catch there */
  MB_PRIVATE_AWAITS_WORK = 65536, /* it is to be a task, and waits for what it is to do */
  MB_PRIVATE_STARTS_ANEW = 131072, /* it leaves its stack, to go on with another function: see entry.h */
  MB_PRIVATE_CHOOSES = 262144 /* it has not wanted a large message, and taken none since: see direct.h */
};
enum { MB_PRIVATE_DICTIONARY = 1, MB_PRIVATE_GLOBALS, MB_PRIVATE_TRACEBACK, MB_PRIVATE_RANDOM, MB_PRIVATE_FILES,
       MB_PRIVATE_NEXT, MB_PRIVATE_START };

/* Registry slots: values reached through lua_rawgeti(L, LUA_REGISTRYINDEX, heap->ref[...]). */
enum mb_heap_ref {
  MB_REF_THREADS, /* address -> coroutine, of processes */
  MB_REF_PRIVATE,  /* slot index -> the process's private values */
  MB_REF_BASE,    /* the names every process finds: standard library and kernel; never written */
  MB_REF_ENV_MT,  /* metatable of private environments: __index = base */
  MB_REF_EXIT_MT, /* metatable of what exit() raises */
  MB_REF_PREDICATE_MT, /* metatable of is(fn), */
  MB_REF_ONE_OF_MT,    /* and of one_of(...) */
  MB_REF_SHARED_MT,    /* metatable of handles, see shared.h, */
  MB_REF_SHARED,       /* and the handles that there are: address of what they stand for -> handle, weak */
  MB_REF_REASON_MT,    /* metatable of reasons that are tables, see reason_text.h */
  MB_REF_INSPECT,      /* moonbeam.internal.inspect, false before it is loaded */
  MB_REF_CLAUSES,      /* moonbeam.internal.clauses, likewise */
  MB_REF_LOG,          /* moonbeam.logger.log, likewise */
  MB_REF_LOG_SETTINGS, /* of the log, as decoded at version log_version */
  MB_REF_FACTORIES, /* code cache: number -> factory */
  MB_REF_CODE,      /* identity of code -> a closure of it, weak: the identity holds while that lives */
  MB_REF_NAMED,     /* module value -> its name, see modules.h */
  MB_REF_RESOLVED,  /* name -> module value */
  MB_REF_STANDARD,  /* name -> what is in Lua's library, see standard.h */
  MB_REF_BACKED,    /* module name -> whether a file stands behind it */
  MB_REF_CONSTANTS, /* a module's constant -> its name; its table -> false: its constants have been noted; weak */
  MB_REF_ORIGINS,   /* module name -> what its loader gave; weak */
  MB_REF_ORDER,     /* module name -> its number among those that have been loaded */
  MB_REF_OWN_MODULES, /* module name -> the runtime's own module, see library.h */
  MB_REF_HOOKS,     /* thread -> its count hook, see preempt.c; weak */
  MB_REF_REQUIRE,   /* the require that was there before */
  MB_REF_KNOWN,     /* what has been published or adopted, see known.c */
  MB_REF_PENDING,   /* names of globals that are made when they are first used -> encoded list */
  MB_REF_WATCHED,   /* sequence of the tables that are watched */
  MB_REF_SEARCHERS, /* those of Lua and the host: number -> function, function -> number */
  MB_REF_LIBRARY,   /* the globals of the library's files, false before there are any; see library.h */
  MB_REF_SHAPES,    /* shape -> metatable of matchers, see lua_match.c */
  MB_REF_RANDOMSEED,     /* the library's functions */
  MB_REF_COLLECTGARBAGE,
  MB_REF_RESUMES,        /* coroutine -> what it is to be resumed with later, see lua_coroutine.c; weak */
  MB_REF_STANDARD_FILES, /* {input, output} of processes that have set none */
  /* Texts of many messages and events, "call" and so on: to look one up is sooner done than to make a string. */
  MB_REF_CALL, MB_REF_CAST, MB_REF_INFO, MB_REF_DOWN, MB_REF_PROCESS, MB_REF_NORMAL,
  MB_REF_OUTPUT_KEY,     /* under which the library keeps the default output: to look it up makes no string */
  MB_REF_COUNT
};

struct mb_heap {
  struct mb_node *node;       /* owned by the heap that made it; NULL: closed */
  /* The node's, each of the room whose header declares it; NULL: closed. */
  struct mb_bounds *bounds;
  struct mb_opening *opening;
  struct mb_log *log;
  struct mb_publications *publications;
  struct mb_ending *ending;
  struct mb_refusals *refusals;
  struct mb_pool *pool;
  struct mb_runtime *runtime; /* the node's */
  struct mb_scheduler *scheduler; /* NULL: closed */
  struct mb_heaps *heaps;     /* of the scheduler, one of which this is while it is `listed` */
  int shares;                 /* it is the first, whose are `heaps` and what else all have the same */
  int listed;
  struct mb_heap *next;
  uint32_t id;                /* no other heap of the node has or has had it */
  unsigned processes;         /* whose home it is */
  int ran;                    /* it is in heaps->ran, */
  struct mb_heap *next_ran;   /* by this */
  int owes;                   /* it is in heaps->owing, */
  struct mb_heap *next_owing; /* by this */
  int attends;                /* it is one of heaps->attending */
  void *state_data;           /* what closing the state needs besides */
  int owner;                  /* this heap made the node */
  lua_State *L;      /* the state's main thread */
  int main_runs;     /* user code runs there: the main chunk of stock Lua */
  int has_c_modules; /* one has been opened */
  struct mb_io *io;  /* see io.h */
  /* Of io's: a C module's opener is about to be called, and its result is at `index`. */
  void (*opens)(struct mb_heap *h, lua_State *L, lua_CFunction opener);
  struct mb_listenings *listenings; /* the node's: see listener.h */
  void (*push_handle)(struct mb_heap *h, lua_State *L, uint64_t id); /* push the object that a message calls so */
  uint64_t (*handle_id)(struct mb_heap *h, lua_State *L, int index); /* 0: the userdata at `index` cannot travel */
  void (*opened)(struct mb_heap *h, lua_State *L, lua_CFunction opener, int index);
  void (*resumes_due)(struct mb_heap *h); /* io's: call what mb_coroutine_push_late pushes, soon */
  int resumes; /* there may be some */
  struct mb_pool_thread *blocking; /* it runs what mb.blocking is given: see io/blocking.h; else NULL */
  const void *shared_metatable; /* identity of the metatable of handles, see shared.h, */
  struct mb_shared_ref *shared_handles; /* and those that there are */
  const void *globals; /* identity of the state's own table of globals */
  lua_State *runner; /* the thread whose C frame runs the scheduler: `from` of every resume */
  lua_State *reporter; /* runs what reports a crash: in the runner, inside a hook, nothing could cut that short */
  struct mb_process *main; /* the main chunk's process in stock Lua, made when first needed */
  struct mb_reason *main_reason; /* why the last main process died */
  struct mb_reason *no_memory;   /* reason of a process that ran out of memory while dying of it */
  struct mb_scratch *scratch; /* the encoder's; see encode.c for who may use it */
  int encoding;  /* the scratch is in use: user code that runs meanwhile (__index, __gc) gets one of its own. May stay
                    set after an error of Lua's own, until a process is resumed */
  uint64_t encodings; /* begun so far, which numbers them */
  struct mb_scratch *key_scratch; /* for keys of registries; see registry_key.h */
  struct mb_scratch *copied;      /* tables that are being copied to who waits; see direct.c */
  struct mb_code_cache *code_cache;
  int code_cache_full; /* to be emptied */
  int code_identity; /* mb_code_identity works here */
  int call_sites_known; /* mb_given_table works here */
  const unsigned char *collector; /* says whether the code is outside of any process: see finalizer.h and outside.h */
  const unsigned char *collector_kept; /* the collector's own, then */
  struct mb_modules *modules;
  struct mb_sites *sites;
  struct mb_hook *hook;
  struct mb_long_slice *long_slice;
  /* The thread where user code runs; NULL: nowhere. Shared with the signal handler, which runs on the same thread.
   * Another one that asks for something has been resumed by code that does not know the runtime's yields. */
  lua_State *volatile running;
  /* Coroutines that only the scheduler goes on with: those inside which a process waits, and processes' own that user
   * code has seen. Address -> 1. */
  struct mb_map held;
  struct mb_map failing; /* coroutines that close their variables after an error, see entry.h. Address -> 1 */
  mb_ref asked; /* the next wait is for the answer to this reference, which is forgotten when the wait raises */
  int preempted; /* the running process has yielded without waiting for anything */
  int unyieldable; /* depth of resumes by code that cannot yield itself */
  int nested;      /* depth of resumes */
  int resetting;   /* depth of coroutines that Lua closes at once */
  int uninterruptible; /* depth of protected calls of the runtime's that the main chunk must not leave */
  int closing; /* depth of clean-up code of the dead that is running: see closing.h */
  int leaving; /* 1 of it is that of the running process */
  int cut;     /* its time is over */
  uint64_t closing_ns; /* that it has */
  uint64_t closing_delay; /* mb_thread_own_delay when it was found to last; UINT64_MAX: not yet */
  uint64_t closing_before; /* how long it had lasted then */
  struct mb_kept *kept; /* coroutines of the dead, see run.c */
  const char *own_prefix; /* chunk names of the runtime's own Lua files start with this */
  size_t own_prefix_size;
  int state_closes; /* nobody would end what finalizers spawn now */
  void (*adopt)(struct mb_heap *h, lua_State *L); /* mb_replica_adopt, which the rooms below it need: see adopt.h */
  const atomic_uint *published; /* the node's version of what is to be adopted, */
  unsigned adopted;             /* and that of the last publication seen */
  int replicating;              /* depth of publishing and adopting, */
  int configuring;              /* and of functions of on_scheduler_start that are running: see outside.h */
  /* What belongs to one subject alone, as its header, or file, declares it. */
  struct mb_given *given;
  struct mb_interrupt *interrupt;
  struct mb_script_end *script;
  struct mb_replica *replica;
  struct mb_shapes *shapes;
  struct mb_random *random;
  struct mb_own_files *files;
  struct mb_lua_log *lua_log;
  struct mb_memory_limit *memory;
  int ref[MB_REF_COUNT];
};

/* Where the calling thread runs user code, and of which heap: what h->running says, found without asking Lua. */
struct mb_here {
  lua_State *running; /* NULL: nowhere */
  struct mb_heap *heap;
  unsigned closed; /* mb_heaps_closed by then */
};
extern _Thread_local struct mb_here mb_here;

/* How many heaps have been closed. A state may be closed by another thread than it ran on, whose mb_here it is still:
 * this tells. Relaxed: whoever lets two threads use one state orders their accesses himself. */
extern atomic_uint mb_heaps_closed;

/* Raise that the runtime has ended. */
void mb_heap_ended(lua_State *L);

/* Whether the calling thread runs user code on L: the heap is mb_here.heap, and open. */
static inline int mb_is_running_here(lua_State *L) {
  return mb_here.running == L && mb_here.closed == atomic_load_explicit(&mb_heaps_closed, memory_order_relaxed);
}

/* The heap a C function of the binding belongs to, its first upvalue; for what works without the runtime, too. */
static inline struct mb_heap *mb_any_heap_of(lua_State *L) {
  return mb_is_running_here(L) ? mb_here.heap : lua_touserdata(L, lua_upvalueindex(1));
}

/* The same for what needs the runtime: finalizers that run while the state closes hear that it has ended. */
static inline struct mb_heap *mb_heap_of(lua_State *L) {
  struct mb_heap *h;
  if (mb_is_running_here(L)) return mb_here.heap;
  h = lua_touserdata(L, lua_upvalueindex(1));
  if (!h->scheduler) mb_heap_ended(L);
  return h;
}

/* Whether the code that runs on L, any thread of the heap, is outside of any process, whichever one is current: a
 * finalizer, a function of on_scheduler_start, or what they have called. */
static inline int mb_outside(const struct mb_heap *h, lua_State *L) {
  return h->collector ? *h->collector & MB_STOPPED_BY_FINALIZER : lua_gc(L, LUA_GCISRUNNING) < 0;
}

/* Whether the code that runs on L may leave the processor now. */
static inline int mb_can_yield(const struct mb_heap *h, lua_State *L) {
  const struct mb_process *p = h->scheduler->current;
  if (p && p->flags & MB_IN_PLACE) return !h->uninterruptible && !mb_outside(h, L);
  return lua_isyieldable(L) && !h->unyieldable && h->running == L;
}

/* The process that runs; NULL between processes, and when the runtime has ended. */
static inline struct mb_process *mb_running(const struct mb_heap *h) {
  return h->scheduler ? h->scheduler->current : NULL;
}

static inline void mb_push_ref(struct mb_heap *h, lua_State *L, enum mb_heap_ref which) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->ref[which]);
}

/* The heap of a Lua state; NULL when it has none. */
struct mb_heap *mb_heap_find(lua_State *L);

/* Memory for what belongs to one subject, all zero, as long as the state. Raises when memory is out. */
void *mb_heap_part(lua_State *L, size_t size);

/* The userdata on the top of the stack (popped) is the heap of this state from now on. */
void mb_heap_keep(lua_State *L);

/* The heap of what runs on L, without a function's upvalue: NULL when the state has none. It may have been closed. */
static inline struct mb_heap *mb_heap_here(lua_State *L) {
  return mb_is_running_here(L) ? mb_here.heap : mb_heap_find(L);
}

/* The coroutine of a process that has started. */
static inline lua_State *mb_coroutine(const struct mb_process *p) { return p->context; }

/* The first heap, which a scheduler's own matters are handled in; NULL: it has none yet. Scheduler thread. */
static inline struct mb_heap *mb_scheduler_heap(const struct mb_scheduler *s) {
  const struct mb_heaps *all = s->above;
  return all ? all->first : NULL;
}

/* The heap that p, which lives on s, runs in; before it has started, the first. Whoever has a process asks this one.
 * Scheduler thread. */
static inline struct mb_heap *mb_process_heap(const struct mb_scheduler *s, const struct mb_process *p) {
  return p->home ? p->home : mb_scheduler_heap(s);
}

/* The process with this pid that lives in the heap; NULL: there is none. Whoever touches a process by its heap's Lua
 * state has found it so. Scheduler thread. */
static inline struct mb_process *mb_process_in(const struct mb_heap *h, mb_pid pid) {
  struct mb_process *p = mb_process_here(h->scheduler, pid);
  return p && mb_process_heap(h->scheduler, p) == h ? p : NULL;
}

/* The heap whose code runs, if that is a user's; with what is current. Async-signal-safe on the scheduler's thread. */
static inline struct mb_heap *mb_running_heap(const struct mb_scheduler *s) {
  const struct mb_heaps *all = s->above;
  if (!all) return NULL;
  return s->current ? mb_process_heap(s, s->current) : all->calls_back ? all->calls_back : all->first;
}

static inline mb_pid mb_pid_of(const struct mb_process *p) {
  return atomic_load_explicit(&p->pid, memory_order_relaxed);
}

static inline void mb_push_id(lua_State *L, uint64_t id) {
  lua_pushlightuserdata(L, (void *)(uintptr_t)id);
}

/* The same, nil for 0. */
static inline void mb_push_id_or_nil(lua_State *L, uint64_t id) {
  if (id)
    mb_push_id(L, id);
  else
    lua_pushnil(L);
}

/* The pid or reference at a stack index, 0 when it is something else. The address of a full userdata is
 * aligned, so it has none of the tags. */
static inline mb_pid mb_to_pid(lua_State *L, int i) {
  uint64_t v = (uint64_t)(uintptr_t)lua_touserdata(L, i);
  return mb_is_pid(v) ? v : 0;
}
static inline mb_ref mb_to_ref(lua_State *L, int i) {
  uint64_t v = (uint64_t)(uintptr_t)lua_touserdata(L, i);
  return mb_is_ref(v) ? v : 0;
}

#endif
