/* The line editor: libedit on the terminal, driven by the event loop.
 *
 * libedit's el_gets wants to block for each key, in the middle of its commands too. It runs on a stack of its own,
 * which it leaves when there is no key and enters again when the loop says that there is one. So nothing waits but the
 * line.
 *
 * Functions are for the thread of the loop. What other threads write to the terminal goes by way of screen.h: the line
 * is taken off the screen meanwhile. */
#ifndef MB_EDITOR_H
#define MB_EDITOR_H

#include <stddef.h>
#include <uv.h>

enum mb_edit {
  MB_EDIT_LINE,    /* text: the line, without its end */
  MB_EDIT_COMPLETE /* text: what stands before the cursor; mb_editor_complete answers, no key is taken before */,
  MB_EDIT_END      /* the end of the input */
};

/* Told from the loop, outside of any process. */
typedef void (*mb_edit_event)(enum mb_edit what, const char *text, size_t size);

/* Whether standard input and output are a terminal that can be edited on. */
int mb_editor_possible(void);

/* 0, or -1 when there is no memory or no terminal. Once in a program. */
int mb_editor_open(uv_loop_t *loop, mb_edit_event event);
void mb_editor_close(void);

/* Read a line after this prompt; while one is being read: another prompt for it. */
void mb_editor_read(const char *prompt);

/* Whether a line is being read. */
int mb_editor_reads(void);

/* Give the line up, as Ctrl-C does: no event. */
void mb_editor_abort(void);

/* The answer to MB_EDIT_COMPLETE: what to insert, and what to show above the line; both may be empty. */
void mb_editor_complete(const char *insertion, const char *above);

void mb_editor_remember(const char *line);

/* How wide and how high the terminal is. */
int mb_editor_columns(void);
int mb_editor_rows(void);

#endif
