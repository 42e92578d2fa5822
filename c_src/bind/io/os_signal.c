#include "io/os_signal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"
#include "core/broken_pipe.h"
#include "heap/arguments.h"
#include "heap/errors.h"
#include "io/failure.h"
#include "io/signal_names.h"
#include "process/current.h"

struct listener {
  struct mb_holding holding; /* of the process */
  struct listener *next, **link; /* under the mutex */
  struct mb_runtime *runtime;
  mb_pid pid;
  int number;
  struct mb_signal *message; /* what copies are made of */
};

/* Signals are the program's, not a runtime's. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* partners: schedulers' threads, but no handler */
static struct listener *listeners[MB_MOST_SIGNALS];       /* under the mutex */
static struct sigaction before[MB_MOST_SIGNALS];          /* under the mutex: the action while nobody listens */
static atomic_int pending[MB_MOST_SIGNALS];               /* has come in; partner: the handler */
static atomic_int any_pending;
/* Who is to notice: the first scheduler of the runtime that listens. Partner: the handler. */
static struct mb_scheduler *_Atomic noticing;

static void on_signal_arrives(int number) {
  struct mb_scheduler *s = atomic_load(&noticing);
  int saved = errno;
  if (number == SIGPIPE && mb_pipe_may_break) return; /* that write fails, and is no signal */
  atomic_store(&pending[number], 1);
  atomic_store(&any_pending, 1);
  if (s) mb_scheduler_notice(s);
  errno = saved;
}

static int listen_to(int number) {
  struct sigaction action = {.sa_handler = on_signal_arrives, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  if (number == SIGPIPE) mb_broken_pipe_await(); /* so that what comes back is what sockets count on */
  return sigaction(number, &action, &before[number]);
}

static int anybody_listens(void) {
  for (int i = 0; i < MB_MOST_SIGNALS; i++)
    if (listeners[i]) return 1;
  return 0;
}

/* Under the mutex. */
static void take_out(struct listener *l) {
  *l->link = l->next;
  if (l->next) l->next->link = l->link;
  if (!listeners[l->number]) sigaction(l->number, &before[l->number], NULL);
  if (!anybody_listens()) atomic_store(&noticing, NULL);
}

static void listener_free(struct listener *l) {
  mb_waker_remove(l->runtime);
  mb_signal_free(l->message);
  free(l);
}

/* The process exits. */
static void end(struct mb_scheduler *s, struct mb_process *p, struct mb_holding *holding) {
  struct listener *l = (struct listener *)holding;
  (void)s;
  (void)p;
  pthread_mutex_lock(&mutex);
  take_out(l);
  pthread_mutex_unlock(&mutex);
  listener_free(l);
}

static struct mb_signal *copy_of(const struct mb_signal *message) {
  struct mb_signal *copy = mb_signal_new(MB_MESSAGE, message->size);
  if (copy) memcpy(copy->data, message->data, message->size);
  return copy;
}

void mb_os_signals_noticed(struct mb_scheduler *s) {
  if (!atomic_load(&any_pending)) return;
  atomic_store(&any_pending, 0); /* first: what comes in from here on sets it again, and lets this be called again */
  for (int number = 1; number < MB_MOST_SIGNALS; number++) {
    if (!atomic_exchange(&pending[number], 0)) continue;
    pthread_mutex_lock(&mutex);
    for (const struct listener *l = listeners[number]; l; l = l->next) {
      struct mb_signal *copy = l->runtime == s->runtime ? copy_of(l->message) : NULL;
      if (copy) mb_signal_post(s->runtime, l->pid, copy);
    }
    pthread_mutex_unlock(&mutex);
  }
}

/* For Lua */

static struct listener *find(const struct mb_process *p, int number) {
  struct listener *l;
  pthread_mutex_lock(&mutex);
  l = listeners[number];
  while (l && l->pid != mb_pid_of(p)) l = l->next;
  pthread_mutex_unlock(&mutex);
  return l;
}

static int check_signal(struct mb_heap *h, lua_State *L, const char *function) {
  int number;
  if (lua_type(L, 1) != LUA_TSTRING) return mb_bad_type(h, L, function, 1, "name of a signal", 1);
  number = mb_signal_number(lua_tostring(L, 1), lua_rawlen(L, 1));
  if (!number)
    return mb_bad_argument(h, L, function, 1, "there is no signal '%s'", mb_push_short(L, lua_tostring(L, 1)));
  if (number == SIGKILL || number == SIGSTOP || number == SIGSEGV || number == SIGBUS || number == SIGFPE ||
      number == SIGILL || number == SIGURG || number == SIGCHLD)
    return mb_bad_argument(h, L, function, 1, "%s cannot be listened to: it is the %s", mb_signal_name(number),
                           number == SIGURG || number == SIGCHLD ? "runtime's own" : "system's");
  return number;
}

/* on_signal(name) -> true: messages {"signal", name}, as it is given here, come to the calling process from now on */
static int on_signal(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  int number = check_signal(h, L, "system.on_signal"), error = 0;
  struct listener *l;
  struct mb_signal *message;
  lua_settop(L, 1);
  if (!find(p, number)) {
    lua_createtable(L, 2, 0);
    lua_pushliteral(L, "signal");
    lua_rawseti(L, 2, 1);
    lua_pushvalue(L, 1);
    lua_rawseti(L, 2, 2);
    message = mb_encode_signal(h, L, 2, 1, "listen to signals", MB_MESSAGE);
    l = calloc(1, sizeof *l);
    if (!l) {
      mb_signal_free(message);
      return mb_no_memory(L);
    }
    *l = (struct listener){.holding = {.kind = MB_HOLDING_SIGNAL, .end = end},
                           .runtime = h->runtime,
                           .pid = mb_pid_of(p),
                           .number = number,
                           .message = message};
    pthread_mutex_lock(&mutex);
    if (!listeners[number] && listen_to(number) != 0) {
      error = errno;
    } else {
      l->next = listeners[number];
      l->link = &listeners[number];
      if (l->next) l->next->link = &l->next;
      listeners[number] = l;
      atomic_store(&noticing, &h->runtime->schedulers[0]);
    }
    pthread_mutex_unlock(&mutex);
    mb_waker_add(h->runtime);
    if (error) {
      listener_free(l);
      return mb_failure(L, uv_translate_sys_error(error));
    }
    if (mb_holding_add(h->scheduler, p, l->pid, &l->holding) != 0) { /* clean-up code of a dead process */
      end(h->scheduler, p, &l->holding);
      return mb_failure(L, UV_ECANCELED);
    }
  }
  lua_pushboolean(L, 1);
  return 1;
}

/* off_signal(name) -> true */
static int off_signal(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  struct listener *l = find(p, check_signal(h, L, "system.off_signal"));
  if (l && mb_holding_remove(h->scheduler, p, &l->holding)) end(h->scheduler, p, &l->holding);
  lua_pushboolean(L, 1);
  return 1;
}

void mb_open_os_signal(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"on_signal", on_signal}, {"off_signal", off_signal}, {NULL, NULL}};
  mb_set_functions(h, L, functions);
}
