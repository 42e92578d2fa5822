/* What the interpreter itself has to say, under its name. */
#ifndef MB_SAY_H
#define MB_SAY_H

#include <lua.h>
#include <stdio.h>

extern const char *mb_program; /* argv[0]; set before anything is said */

/* "program: text" to stderr. */
void mb_say(const char *text);

/* lua's options; with `all` the runtime's too. */
void mb_print_usage(FILE *to, int all);

/* The warning function of every state: to stderr while warnings are on, which is one switch for all. */
void mb_warn(void *unused, const char *text, int more);

#endif
