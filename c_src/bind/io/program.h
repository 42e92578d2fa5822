/* Starting programs: each leads a group of its own, a session, so that a signal reaches what it has started, too.
 *
 * The loop waits for a program that has been started until it has ended, even where nobody wants it any more, so none
 * is left as a zombie. The thread of the loop's scheduler. */
#ifndef MB_PROGRAM_H
#define MB_PROGRAM_H

#include <lua.h>
#include <uv.h>

struct mb_program_spec {
  char **arguments;   /* the first is what to start, found by PATH; NULL at the end */
  char **environment; /* NULL: this program's */
  const char *directory; /* NULL: this program's */
  uv_exit_cb on_exit;
  int fds[3]; /* the program's; -1: /dev/null */
};

/* Fill in what stands on the stack: 1 {program, argument...}, 2 {"NAME=value"...} or nil, 3 the directory or nil, which
 * stay there as long as the spec is used. Pushes what keeps the rest. Raises. */
void mb_program_check(lua_State *L, struct mb_program_spec *spec);

/* Push the three values of a failure to start it, by an error of libuv's; returns 3. */
int mb_program_failure(lua_State *L, const struct mb_program_spec *spec, int error);

/* Start it. 0 or an error of libuv's, with `process` closed by `on_close` then. The descriptors stay the caller's. */
int mb_program_start(uv_loop_t *loop, uv_process_t *process, const struct mb_program_spec *spec, uv_close_cb on_close);

/* Send a signal to it and all that it has started, as long as it has not been waited for. 0 or an error of libuv's. */
int mb_program_kill(uv_process_t *process, int number);

/* Make a pipe, neither end of which programs inherit. 0 or an error of libuv's. */
int mb_program_pipe(int fds[2]);

/* Close what is open of them, which is not -1. */
void mb_program_close(int fds[], int count);

#endif
