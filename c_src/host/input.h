/* Lines of standard input for a prompt without an editor: a pipe, a file, a simple terminal. They come from C's stdin,
 * so that io.read takes what follows; nothing waits for a line but the reader. */
#ifndef MB_INPUT_H
#define MB_INPUT_H

#include <stddef.h>
#include <uv.h>

/* A line without its end, or NULL at the end of the input. Told from the loop, outside of any process. */
typedef void (*mb_input_event)(const char *line, size_t size);

/* 0, or -1. Once in a program. */
int mb_input_open(uv_loop_t *loop, mb_input_event event);

/* Read one line. */
void mb_input_read(void);

#endif
