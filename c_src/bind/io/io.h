/* Input and output of one scheduler: what its heaps keep for it, and what its files share.
 *
 * Everything here sits on libuv handles of the scheduler's loop and belongs to its thread. The loop's callbacks run
 * between two processes and enter no Lua (but for luv's, see luv.c), so nothing can leave uv_run by an error: they
 * store bytes and a status in an object of C and wake the process that waits for it, which makes the values. */
#ifndef MB_IO_H
#define MB_IO_H

#include "core/core.h"
#include "core/holding.h"
#include "core/post.h"
#include "heap/heap.h"

struct mb_command;
enum { MB_READ_SIZE = 65536 }; /* read at once, at most */

struct mb_object;
struct mb_object_type;

/* A standard stream that processes wait for, see ready.c. */
struct mb_ready {
  uv_poll_t poll;
  struct mb_scheduler *scheduler; /* NULL: not watched yet */
  const struct mb_ready_stream *stream;
  int fd;                         /* the epoll set */
  struct mb_map waiting;          /* pid -> ticket, see standard_output.h */
  /* For those of other schedulers. */
  struct mb_ready *next; /* under ready.c's mutex */
  struct mb_posted told; /* on its way while `posted` */
  atomic_int posted, awaited; /* awaited: somebody waits */
};

/* What all heaps of a scheduler have in common. */
struct mb_loop_io {
  /* See luv.c. */
  struct mb_map running; /* pids of the processes that wait in uv.run */
  uint64_t calls;        /* callbacks of luv's so far */
  uint64_t stops;        /* calls of uv.stop so far */
  struct mb_ready ready[2]; /* standard input and output */
  struct mb_object *lingering; /* closed, but for what is still to be written */
  uv_timer_t linger;
  unsigned char buffer[MB_READ_SIZE]; /* what is being read, by one callback at a time */
};

struct mb_io {
  struct mb_heap *heap;
  struct mb_loop_io *loop;
  unsigned uses;          /* objects and requests that come back to it */
  struct mb_map watchers; /* reference -> struct watcher, see lua_fs_watch.c */
  struct mb_command *commands; /* programs that have been started, see command.c */
  /* See object.h. */
  int objects;              /* registry reference of {id = userdata}, weak; LUA_NOREF before the first */
  struct mb_map by_id;      /* id -> object, all that there are */
  const struct mb_object_type *gone, *gone_traveller, *gone_program; /* what one counts as that is gone, by its id */
  const luaL_Reg *socket_methods; /* lua_socket.c's */
  /* push one that travels; 0 and nothing pushed: it is none */
  int (*arrived)(struct mb_heap *h, lua_State *L, uint64_t id);
  uint64_t (*id_of)(struct mb_heap *h, lua_State *L, int index); /* by which the userdata travels; 0: it does not */
  struct mb_object *giving; /* what is being given away */
};

/* The object of a heap that is being opened; it goes with the heap. `beside`: the first heap of its scheduler, NULL
 * when it is that. NULL when memory is out. */
struct mb_io *mb_io_new(struct mb_heap *h, const struct mb_heap *beside);
void mb_io_free(struct mb_io *io);

/* The scheduler ends: close all objects, and what lingers. Before its loop is emptied. */
void mb_io_settle(struct mb_io *io);

/* Whether the loop has something that comes back to it. */
int mb_io_is_used(const struct mb_io *io);

#endif
