/* A heap: one Lua global state with the coroutines of the processes that live in it, and what the
 * binding keeps beside it. Used by the scheduler's thread alone. One heap per scheduler today; little
 * here depends on that. */
#ifndef MB_HEAP_H
#define MB_HEAP_H

#include <lauxlib.h>
#include <lua.h>
#include <stdatomic.h>

#include "bind/node.h"
#include "codec/buffer.h"
#include "core/map.h"
#include "heap/finalizer.h"
#include "process/break.h"
#include "replica/place.h"

struct mb_codes;
struct mb_modules;
struct mb_workspace;
struct mb_sites;
struct mb_preempt;
struct mb_table_watch;

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
  MB_PRIVATE_BROKE = 16384,     /* which has been interrupted, */
  MB_PRIVATE_BREAKING = 32768,  /* and again, by what nothing may catch there */
  MB_PRIVATE_AWAITS_WORK = 65536 /* it is to be a task, and waits for what it is to do */
};
enum { MB_PRIVATE_DICTIONARY = 1, MB_PRIVATE_GLOBALS, MB_PRIVATE_TRACEBACK, MB_PRIVATE_RANDOM, MB_PRIVATE_FILES };

/* Registry slots: values reached through lua_rawgeti(L, LUA_REGISTRYINDEX, heap->ref[...]). */
enum mb_heap_ref {
  MB_REF_THREADS, /* slot index -> coroutine */
  MB_REF_PRIVATE,  /* slot index -> the process's private values */
  MB_REF_BASE,    /* the names every process finds: standard library and kernel; never written */
  MB_REF_ENV_MT,  /* metatable of private environments: __index = base */
  MB_REF_EXIT_MT, /* metatable of what exit() raises */
  MB_REF_PREDICATE_MT, /* metatable of is(fn) */
  MB_REF_INSPECT,      /* moonbeam.internal.inspect, false before it is loaded */
  MB_REF_LOG,          /* moonbeam.logger.log, likewise */
  MB_REF_LOG_SETTINGS, /* of the log, as decoded at version log_version */
  MB_REF_FACTORIES, /* code cache: number -> factory */
  MB_REF_CODE,      /* identity of code -> a closure of it, weak: the identity holds while that lives */
  MB_REF_NAMED,     /* module value -> its name, see modules.h */
  MB_REF_RESOLVED,  /* name -> module value */
  MB_REF_STANDARD,  /* name -> what is in Lua's library, see standard.h */
  MB_REF_BACKED,    /* module name -> whether a file stands behind it */
  MB_REF_CONSTANTS, /* a module's constant -> its name; a module's table -> false: its constants have been noted; weak */
  MB_REF_ORIGINS,   /* module name -> what its loader gave; weak */
  MB_REF_ORDER,     /* module name -> its number among those that have been loaded */
  MB_REF_OWN_MODULES, /* module name -> the runtime's own module, see library.h */
  MB_REF_HOOKS,     /* thread -> its count hook, see preempt.c; weak */
  MB_REF_REQUIRE,   /* the require that was there before */
  MB_REF_KNOWN,     /* what has been published or adopted, see replica.c */
  MB_REF_PENDING,   /* names of globals that are made when they are first used -> encoded list */
  MB_REF_WATCHED,   /* sequence of the tables that are watched */
  MB_REF_SEARCHERS, /* those of Lua and the host: number -> function, function -> number */
  MB_REF_LIBRARY,   /* the globals of the library's files, false before there are any; see library.h */
  MB_REF_SHAPES,    /* shape -> metatable of matchers, see lua_receive.c */
  MB_REF_RANDOMSEED,     /* the library's functions */
  MB_REF_COLLECTGARBAGE,
  MB_REF_STANDARD_FILES, /* {input, output} of processes that have set none */
  MB_REF_COUNT
};

/* A metatable of matchers and the shape it stands for: see lua_receive.c. */
struct mb_shape {
  const void *metatable;
  lua_Integer shape;
};
enum { MB_KNOWN_SHAPES = 8 };

/* The longest name of a function of the library, and its end. */
enum { MB_FUNCTION_NAME = 48 };

enum { MB_RANDOM_SIZE = 64 };

/* The library's generator of random numbers: see lua_random.c. */
struct mb_random {
  mb_pid owner; /* whose state is in there, mb_own_id */
  void *state;
  size_t size;
  uint64_t seed; /* what the next seeds are made of; 0: not yet */
  unsigned char outside[MB_RANDOM_SIZE]; /* the state that finalizers have */
  int outside_seeded;
  lua_CFunction random, randomseed;
};

struct mb_heap {
  struct mb_node *node;       /* owned by the heap that made it */
  struct mb_runtime *runtime; /* the node's */
  struct mb_scheduler *scheduler; /* NULL: closed */
  int owner;                  /* this heap made the node */
  lua_State *L;      /* the state's main thread */
  int main_runs;     /* user code runs there: the main chunk of stock Lua */
  int has_c_modules; /* one has been opened */
  const void *globals; /* identity of the state's own table of globals */
  lua_State *runner; /* the thread whose C frame runs the scheduler: `from` of every resume */
  lua_State *reporter; /* runs what reports a crash: the runner may be inside a hook, where nothing could cut that short */
  struct mb_process *main; /* the main chunk's process in stock Lua, made when first needed */
  struct mb_reason *main_reason; /* why the last main process died */
  struct mb_reason *no_memory;   /* reason of a process that ran out of memory while dying of it */
  struct mb_workspace *workspace; /* the encoder's; see encode.c for who may use it */
  int encoding;  /* the workspace is in use: user code that runs meanwhile (__index, __gc) gets one of its own. May stay
                    set after an error of Lua's own, until a process is resumed */
  uint64_t encodings; /* begun so far, which numbers them */
  struct mb_workspace *key;       /* for keys of registries; see key.h */
  struct mb_codes *codes;
  int codes_full; /* to be emptied */
  int code_identity; /* mb_code_identity works here */
  int call_sites_known; /* mb_given_table works here */
  const unsigned char *collector; /* see finalizer.h; while a function of on_scheduler_start runs, what says the same */
  const unsigned char *collector_kept; /* the collector's own, then */
  struct mb_modules *modules;
  struct mb_sites *sites;
  struct mb_preempt *preempt;
  /* The thread where user code runs; NULL: nowhere. Shared with the signal handler, which runs on the same thread. Another
   * one that asks for something has been resumed by code that does not know the runtime's yields. */
  lua_State *volatile running;
  /* Coroutines that only the scheduler goes on with: those inside which a process waits, and processes' own that user
   * code has seen. Address -> 1. */
  struct mb_map held;
  struct mb_map failing; /* coroutines that close their variables after an error, see entry.h. Address -> 1 */
  struct mb_shape shapes[MB_KNOWN_SHAPES]; /* the last ones that were made */
  unsigned next_shape;
  mb_ref asked; /* the next wait is for the answer to this reference, which is forgotten when the wait raises */
  int preempted; /* the running process has yielded without waiting for anything */
  int unyieldable; /* depth of resumes by code that cannot yield itself */
  int nested;      /* depth of resumes */
  int resetting;   /* depth of coroutines that Lua closes at once */
  int uninterruptible; /* depth of protected calls of the runtime's that the main chunk must not leave */
  char given_to[MB_FUNCTION_NAME]; /* see mb_given_to */
  int given_packed;
  int closing; /* depth of clean-up code of the dead that is running: see closing.h */
  int leaving; /* 1 of it is that of the running process */
  int cut;     /* its time is over */
  uint64_t closing_ns; /* that it has */
  unsigned idle_coroutines; /* kept in free slots */
  const char *own_prefix; /* chunk names of the runtime's own Lua files start with this */
  size_t own_prefix_size;
  struct mb_process *script; /* the host's: its error is printed by the host, not logged */
  struct mb_break breaking;
  int state_closes; /* nobody would end what finalizers spawn now */
  int script_ended;
  int script_said;  /* what it died of has been printed */
  int script_bound; /* 1 of `closing` is what makes the text of its error */
  char *script_text; /* what it died of, malloc'd, or NULL */
  lua_Alloc alloc;     /* the allocator below the memory limit */
  void *alloc_data;
  size_t memory_used, memory_limit; /* counted only while a limit is set; 0: none */
  uint32_t finalizer_private_flags; /* as p->private_flags, for the finalizer that runs */
  unsigned log_version;
  struct mb_random random;
  struct {
    mb_pid owner;      /* whose default files the library has, mb_own_id */
    int set, main_has; /* some process, the main chunk has set one */
  } files;
  unsigned replica_version;           /* see replica.h: of the last publication seen, */
  int replica_began;                  /* what was there from the start is known */
  uint64_t replica_contents;          /* ns: when tables that are globals are looked into again, if that takes long */
  int replicating;                    /* depth of publishing and adopting, */
  int configuring;                    /* and of functions of on_scheduler_start that are running: see mb_outside */
  int replica_known[MB_PLACES];       /* by place: how many names are known */
  struct mb_table_watch *watch;       /* of the tables that are the same in all heaps */
  int watch_works, watching;
  int ref[MB_REF_COUNT];
};

/* The heap a C function of the binding belongs to, its first upvalue; for what works without the runtime, too. */
static inline struct mb_heap *mb_any_heap_of(lua_State *L) {
  return lua_touserdata(L, lua_upvalueindex(1));
}

/* Where the calling thread runs user code, and of which heap: what h->running says, found without asking Lua. */
struct mb_here {
  lua_State *running; /* NULL: nowhere */
  struct mb_heap *heap;
  unsigned closed; /* mb_heaps_closed by then */
};
extern _Thread_local struct mb_here mb_here;

/* How many heaps have been closed. A state may be closed by another thread than it ran on, whose mb_here it is still: this
 * tells. Relaxed: whoever lets two threads use one state orders their accesses himself. */
extern atomic_uint mb_heaps_closed;

/* Raise that the runtime has ended. */
void mb_heap_ended(lua_State *L);

/* The same for what needs the runtime: finalizers that run while the state closes hear that it has ended. */
static inline struct mb_heap *mb_heap_of(lua_State *L) {
  struct mb_heap *h;
  if (mb_here.running == L && mb_here.closed == atomic_load_explicit(&mb_heaps_closed, memory_order_relaxed))
    return mb_here.heap;
  h = mb_any_heap_of(L);
  if (!h->scheduler) mb_heap_ended(L);
  return h;
}

/* Whether the code that runs on L, any thread of the heap, is outside of any process, whichever one is current: a
 * finalizer, a function of on_scheduler_start, or what they have called. */
static inline int mb_outside(const struct mb_heap *h, lua_State *L) {
  return h->collector ? *h->collector & MB_STOPPED_BY_FINALIZER : lua_gc(L, LUA_GCISRUNNING) < 0;
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

/* Functions of on_scheduler_start run between these. */
void mb_configure_begin(struct mb_heap *h);
void mb_configure_end(struct mb_heap *h);

/* One runs, and in the time of the process that has called it: then what ends or interrupts that one ends it, too. */
static inline int mb_configures_itself(const struct mb_heap *h) { return h->configuring && !h->replicating; }

/* As mb_current, when there is none, it is dying, or what calls is outside of any. */
struct mb_process *mb_current_anew(struct mb_heap *h, lua_State *L);

/* The process that calls, for what only a process can do: raises outside of any. In stock Lua the
 * main process is made here when it does not exist or has died. Raises when no slot is left. */
static inline struct mb_process *mb_current(struct mb_heap *h, lua_State *L) {
  struct mb_process *p = h->scheduler->current;
  return p && p->state != MB_EXITING && !mb_outside(h, L) ? p : mb_current_anew(h, L);
}

/* The same in a function that has called it before, and has waited since, perhaps. */
static inline struct mb_process *mb_current_still(struct mb_heap *h, lua_State *L) {
  struct mb_process *p = h->scheduler->current;
  return p && p->state != MB_EXITING ? p : mb_current_anew(h, L);
}

/* The same for what is done outside of processes, too: NULL there. */
static inline struct mb_process *mb_caller(struct mb_heap *h, lua_State *L) {
  return mb_outside(h, L) ? NULL : mb_current_still(h, L);
}

/* The process whose time is used, even from outside; NULL when a finalizer runs while there is none. */
static inline struct mb_process *mb_worker(struct mb_heap *h, lua_State *L) {
  struct mb_process *p = h->scheduler->current;
  return p && p->state != MB_EXITING ? p : mb_caller(h, L);
}

static inline mb_pid mb_pid_of(const struct mb_process *p) {
  return atomic_load_explicit(&p->pid, memory_order_relaxed);
}

/* The pid that stands for whoever calls: from outside of any process, the one that none has. */
static inline mb_pid mb_caller_pid(struct mb_heap *h, lua_State *L) {
  const struct mb_process *p = mb_caller(h, L);
  return p ? mb_pid_of(p) : mb_pid_make(0, 0);
}

static inline void mb_push_id(lua_State *L, uint64_t id) {
  lua_pushlightuserdata(L, (void *)(uintptr_t)id);
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
