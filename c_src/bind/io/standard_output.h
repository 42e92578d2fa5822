/* Standard output, where it is a pipe, a terminal or a socket, whose reader may be slow.
 *
 * What stdio would write at once, and wait for, is queued here, the program's only queue, and goes from here as far as
 * the reader takes it. Whoever has written waits for its ticket: that all up to there has gone. What one call writes
 * stays together, and behind what stdio had buffered. What the killed leave is written all the same: the loop of a
 * scheduler that has seen one wait goes on with it, and so does whoever writes next, and the end of the program.
 *
 * What stdio keeps back, as its buffering says, is in its own buffer, so that others who write through it, C
 * libraries, find it there. Any thread calls these functions; none enters Lua or waits, but where it is said. */
#ifndef MB_STANDARD_OUTPUT_H
#define MB_STANDARD_OUTPUT_H

#include <stdio.h>

#include "io/ready.h"

extern const struct mb_ready_stream mb_stdout_stream;

/* Whether f is written by the functions below; else by stdio's. */
int mb_stdout_is_slow(FILE *f);

/* Write the strings at stack indices first to last to standard output, whatever it is, if the buffer is all that gets them.
 * 0: it is not, and nothing has been done. */
int mb_stdout_buffer(lua_State *L, int first, int last);

/* Write the strings at stack indices first to last, and a newline, if wanted; what the buffering keeps goes to the
 * buffer, unless `flush`. The ticket; MB_STDOUT_FULL: nothing has been done, there is too much already;
 * MB_STDOUT_NO_MEMORY. */
uint64_t mb_stdout_write(lua_State *L, int first, int last, int newline, int flush);
#define MB_STDOUT_FULL UINT64_MAX
#define MB_STDOUT_NO_MEMORY (UINT64_MAX - 1)

/* Write what stdio has buffered; as mb_stdout_write. */
uint64_t mb_stdout_flush(void);

/* 1: what the ticket stands for has gone, or for MB_STDOUT_FULL, there is room; 0: not yet; -errno: it has failed. */
int mb_stdout_state(uint64_t ticket);

/* Wait for a ticket with the whole thread: as mb_stdout_state, but never 0. */
int mb_stdout_await(uint64_t ticket);

/* Standard input is about to be asked: the beginning of a line, as a question is, is written before, where stdio
 * would do so. */
void mb_stdout_prompt(void);

/* The program ends: write what is left with the whole thread. A reader that takes nothing for a while is waited for
 * only as long as there is something of calls that have returned. */
void mb_stdout_finish(void);

#endif
