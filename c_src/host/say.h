/* What the interpreter itself has to say, under its name. */
#ifndef MB_SAY_H
#define MB_SAY_H

#include <lua.h>
#include <stdio.h>

extern const char *mb_program; /* argv[0]; set before anything is said */

/* "program: text" to stderr. */
void mb_say(const char *text);

enum mb_usage {
  MB_USAGE_SHORT, /* lua's options */
  MB_USAGE_FULL   /* the runtime's, too, and the environment variables */
};

/* The options there are. */
void mb_print_usage(FILE *to, enum mb_usage how);

/* The warning function of every state: to stderr while warnings are on, which is one switch for all. */
void mb_warn(void *unused, const char *text, int more);

#endif
