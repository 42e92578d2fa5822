/* Standard input, where it is a pipe, a terminal or a socket, from which something may be long in coming.
 *
 * What a call is to read is taken from stdio, and from the system only when it has something, and kept ahead until
 * there is all of it; nothing is given before. So calls of several processes do not mix, and who is killed, or
 * leaves a call by an error, takes nothing with it. What is ahead belongs to who reads next. It is guarded by
 * stdin's own lock, for which nobody waits here: another thread that has it may read with the library's functions. */
#ifndef MB_STANDARD_INPUT_H
#define MB_STANDARD_INPUT_H

#include "io/ready.h"

enum {
  MB_STDIN_LATE = -1, /* not there yet */
  MB_STDIN_BUSY = -2, /* another thread reads, in the library */
  MB_STDIN_MORE = -3  /* much has come, and more can be had: give way, and go on */
};

extern const struct mb_ready_stream mb_stdin_stream;

/* Whether standard input is one that is read here; else by the library. */
int mb_stdin_is_slow(void);

/* Read what the `count` formats say that stand from stack index `first` on, as the library does; none: a line.
 * Pushes the results and returns how many, or one of the above with nothing pushed. Raises as the library, for an
 * argument of the running function's. Any thread. */
int mb_stdin_read(lua_State *L, int first, int count);

/* The library is to read: give stdio back what is ahead. */
void mb_stdin_give_back(void);

/* Others who wait may find something: to be asked after mb_stdin_read has read. */
int mb_stdin_is_left(void);

#endif
