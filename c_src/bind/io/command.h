/* Running a program to its end, with what it prints as strings: system.run.
 *
 * It belongs to the process that waits, and is killed with all that it has started when that one exits, when the time
 * is over, or when its userdata is collected because an error has left the wait. */
#ifndef MB_COMMAND_H
#define MB_COMMAND_H

#include "io/io.h"

/* Free what the loop, which is closed, has left of them. */
void mb_commands_free(struct mb_io *io);

/* Functions of moonbeam.core: run. */
void mb_open_command(struct mb_heap *h, lua_State *L);

#endif
