/* Input and output of one scheduler: what its heap keeps for it, and what its files share.
 *
 * Everything here sits on libuv handles of the scheduler's loop and belongs to its thread. The loop's callbacks run between
 * two processes and enter no Lua (but for luv's, see luv.c), so nothing can leave uv_run by an error: they store bytes and
 * a status in an object of C and wake the process that waits for it, which makes the values. */
#ifndef MB_IO_H
#define MB_IO_H

#include "heap/heap.h"

struct mb_command;

struct mb_io {
  struct mb_heap *heap;
  /* See luv.c. */
  struct mb_map running; /* pids of the processes that wait in uv.run */
  uint64_t calls;        /* callbacks of luv's so far */
  uint64_t stops;        /* calls of uv.stop so far */
  struct mb_map watchers; /* reference -> struct watcher, see lua_fs_watch.c */
  struct mb_command *commands; /* programs that have been started, see command.c */
};

/* The object of a heap that is being opened; it goes with the heap. NULL when memory is out. */
struct mb_io *mb_io_new(struct mb_heap *h);
void mb_io_free(struct mb_io *io);

#endif
