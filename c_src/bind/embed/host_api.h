/* What the interpreter host needs of the runtime. All functions are for the thread that opened the state; a program has
 * one host. */
#ifndef MB_HOST_API_H
#define MB_HOST_API_H

#include <lua.h>

struct mb_host_options {
  int schedulers; /* 0: MOONBEAM_SCHEDULERS, or as many as cores */
  /* The states of further schedulers, without libraries. */
  lua_State *(*new_state)(void **data);
  void (*close_state)(lua_State *L, void *data);
  int no_halt;    /* run on after the script's process has ended */
  /* mb_host_interrupt was called and nobody is in the foreground. Runs on the first state's thread, outside of
   * processes. */
  void (*unclaimed_interrupt)(lua_State *L);
};

enum mb_host_outcome_kind {
  MB_ENDED_NORMAL,
  MB_ENDED_ERROR,   /* text: message and traceback */
  MB_ENDED_EXIT,    /* text: "** (EXIT) reason", or NULL after mb_host_raise_exit */
  MB_ENDED_DEADLOCK, /* text: what waits */
  MB_ENDED_STATUS,   /* by os.exit: status */
  MB_ENDED_STOPPED   /* by mb_host_stop: status, 128 and the signal's number */
};

struct mb_host_outcome {
  enum mb_host_outcome_kind kind;
  char *text; /* malloc'd, or NULL; the caller frees it */
  int status;
};

/* Open the runtime in a fresh state with its standard libraries: the modules moonbeam and moonbeam.* can
 * be required, the kernel's names are globals. 0, or -1 with a message on the stack. */
int mb_host_open(lua_State *L, const struct mb_host_options *o);

/* Run a function, with nargs arguments above it on the stack, as the script's process, in the foreground, and drive the
 * scheduler until that process ends; with no_halt for ever. The stack loses function and arguments. */
int mb_host_run(lua_State *L, int nargs, struct mb_host_outcome *out);

/* Wait until what has been logged is written, for a second at most without progress. */
void mb_host_flush_log(lua_State *L);

/* End the program in order, for a signal: let mb_host_run return, when that is done. How long it may take, in s.
 * Async-signal-safe, on the first scheduler's thread. */
unsigned mb_host_stop(int number);

/* From now on the program's end may take a while, then it ends with this status. */
void mb_host_watch(int status);

/* Before what is buffered is written out and main returns: the calling thread alone does that from now on, and waits
 * for ever if another one does. And exit, whatever other threads do. */
void mb_host_leave(void);
_Noreturn void mb_host_exit(int status);

/* What the text of an error is made by has a second. Ended by the second function, also when it has raised. 1: it had
 * to be cut off. */
void mb_host_bound(lua_State *L);
int mb_host_unbound(lua_State *L);

/* An error has been caught: raise it again when it is what takes the process away. */
void mb_host_pass_on(lua_State *L);

/* Raise the error "interrupted!" in the process in the foreground. Async-signal-safe on the first state's thread. */
void mb_host_interrupt(void);

/* Whether the value at an index is what exit() raises, and raising it with the reason on the top of the stack, which
 * has been printed. */
int mb_host_is_exit(lua_State *L, int index);
int mb_host_is_reason(lua_State *L, int index); /* a table that is a reason, with the text of one */
int mb_host_raise_exit(lua_State *L);

/* For a message handler: push the traceback of what has failed, below a text; and keep that of an exit, the value at 1,
 * for the text of how the script ended. Returns 1, with the value on the top of the stack. */
void mb_host_traceback(lua_State *L, const char *text);
int mb_host_note_exit(lua_State *L);

/* Kill every process, end the threads, close the loops. 0: lua_close may follow; 1: it may not, for the program ends by
 * an os.exit that was not to close anything; -1: a thread did not end within a second, and the program has to as it
 * is. */
int mb_host_close(lua_State *L);

#endif
