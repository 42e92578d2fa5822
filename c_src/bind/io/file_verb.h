/* What the methods of files do: each is a loop over steps (file.h), which begins one, waits, and sees what it has
 * brought. The process that the file belongs to, on its scheduler's thread. */
#ifndef MB_FILE_VERB_H
#define MB_FILE_VERB_H

#include <limits.h>

#include "heap/heap.h"
#include "io/file.h"

/* And what each has on the stack behind the file, which is at 1. */
enum mb_file_verb {
  MB_VERB_OPEN,     /* the pause before a pipe is tried again, ns */
  MB_VERB_READ,     /* what: a number of bytes, or enum mb_read_what; the deadline of the wait for a pipe, 0: none */
  MB_VERB_WRITE,    /* data... */
  MB_VERB_SEEK,     /* whence, offset */
  MB_VERB_PREAD,    /* n, offset */
  MB_VERB_PWRITE,   /* data, offset */
  MB_VERB_SYNC,
  MB_VERB_DATASYNC,
  MB_VERB_TRUNCATE, /* size */
  MB_VERB_STAT,
  MB_VERB_LOCK,     /* an operation of flock's, deadline, the pause before it is tried again, ns */
  MB_VERB_UNLOCK,
  MB_VERB_CLOSE,
  MB_FILE_VERBS
};

/* What is to be read, when it is no number of bytes; or the most that it can be. */
enum mb_read_what { MB_READ_LINE = -1, MB_READ_LINE_WITH_END = -2, MB_READ_ALL = -3, MB_READ_MOST = INT_MAX - 1 };

enum { MB_FILE_PAUSE = 1000000 }; /* the first pause, ns */

/* The function that errors name. */
const char *mb_file_verb_name(enum mb_file_verb verb);

/* Do it for the calling process, which waits: the results, a failure's three values among them. Use as `return ...`.
 * Raises where the process cannot wait, when the file is closed and when memory is out. */
int mb_file_do(lua_State *L, enum mb_file_verb verb);

/* Push the line that has been read ahead, if it is whole: 1, else 0. Raises when memory is out. */
int mb_file_push_line(lua_State *L, struct mb_file *f, enum mb_read_what what);

/* Begin to read a block ahead, a larger one the longer the line is that is there. No step is under way. Raises when
 * memory is out. */
void mb_file_read_ahead(lua_State *L, struct mb_file *f);

/* Raise that it is closed; f: NULL when it is collected, too. */
int mb_file_refuse_closed(struct mb_heap *h, lua_State *L, enum mb_file_verb verb, const struct mb_file *f);

#endif
