/* What the interpreter host needs of the runtime. All functions are for the thread that opened the state. */
#ifndef MB_HOST_API_H
#define MB_HOST_API_H

#include <lua.h>

struct mb_host_options {
  int schedulers; /* 0: as many as cores */
  int no_halt;    /* run on after the script's process has ended */
};

enum mb_host_outcome_kind {
  MB_ENDED_NORMAL,
  MB_ENDED_ERROR,   /* text: message and traceback */
  MB_ENDED_EXIT,    /* text: "** (EXIT) reason" */
  MB_ENDED_DEADLOCK /* text: what waits */
};

struct mb_host_outcome {
  enum mb_host_outcome_kind kind;
  char *text; /* malloc'd, or NULL; the caller frees it */
};

/* Open the runtime in a fresh state with its standard libraries: the modules moonbeam and moonbeam.* can
 * be required, the kernel's names are globals. 0, or -1 with a message on the stack. */
int mb_host_open(lua_State *L, const struct mb_host_options *o);

/* Run a function, with nargs arguments above it on the stack, as the script's process, and drive the
 * scheduler until that process ends; with no_halt for ever. The stack loses function and arguments. */
int mb_host_run(lua_State *L, int nargs, struct mb_host_outcome *out);

/* Kill every process and close the loop; lua_close may follow. */
void mb_host_close(lua_State *L);

#endif
