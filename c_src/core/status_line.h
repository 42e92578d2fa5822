/* One line below all that is written to the terminal: taken off around each write, and drawn again. It is a process's, and
 * goes with it. On standard error, if that is a terminal.
 *
 * Any thread calls these functions. The line is drawn and taken off by the screen (screen.h): by the one here, which is
 * in use while there is a line, or by a line editor's. */
#ifndef MB_STATUS_LINE_H
#define MB_STATUS_LINE_H

#include "pid.h"

struct mb_process_table;

/* Show a text in place of the line that is there, or, if that is `owner`'s, nothing: text may be NULL. */
void mb_status_line_set(struct mb_process_table *table, mb_pid owner, const char *text);

/* For screens, which see to it that nobody else writes meanwhile, at the beginning of a line. */
void mb_status_line_draw(void);
void mb_status_line_erase(void);

/* The table goes, and so does the line of its process. */
void mb_status_line_end(const struct mb_process_table *table);

#endif
