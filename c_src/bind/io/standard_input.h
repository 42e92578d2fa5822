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

/* Read a line that stdio has in its buffer, whatever standard input is, if that is what the formats say, as mb_stdin_read.
 * The result pushed, 1; 0: it is not that simple. */
int mb_stdin_read_line(lua_State *L, int first, int count);

/* Read what the `count` formats say that stand from stack index `first` on, as the library does; none: a line.
 * Pushes the results and returns how many, or one of the above with nothing pushed. Raises as the library, for an
 * argument of the running function's. Any thread. */
int mb_stdin_read(lua_State *L, int first, int count);

/* The library is to read: give stdio back what is ahead. */
void mb_stdin_give_back(void);

/* Something has been read: let others who wait look, if anything is left for them. */
void mb_stdin_tell(void);

#endif
