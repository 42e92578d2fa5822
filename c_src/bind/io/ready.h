/* Waiting until standard input has something, or standard output takes something.
 *
 * libuv makes what it watches non-blocking, which would hold for every program that has the descriptor. So each
 * scheduler has an epoll set of its own with the descriptor in it, and libuv watches that.
 *
 * What one scheduler's process has read ahead or written for another's is no event of the descriptor's:
 * mb_ready_tell. So who finds nothing calls mb_ready_watch, looks again, and only then waits. */
#ifndef MB_READY_H
#define MB_READY_H

#include "io/io.h"
#include "process/wait.h"

/* Whether `fd` (0 or 1) would not be ready at once. Any thread. */
int mb_ready_is_late(int fd);

/* A stream that is waited for; the functions may be NULL: whoever waits looks by himself. */
struct mb_ready_stream {
  int fd;
  int (*go_on)(void);              /* it is ready: do what is to be done. Whether something is left to be done */
  int (*is_due)(uint64_t ticket);  /* whether who waits with that is to look */
};

/* Wake p when the stream is ready, perhaps, and the ticket is due. 0, or a negative value: it cannot be watched. */
int mb_ready_watch(struct mb_heap *h, struct mb_process *p, const struct mb_ready_stream *stream, uint64_t ticket);

/* p has found what it wanted, and waits no more. */
void mb_ready_forget(struct mb_heap *h, struct mb_process *p, int fd);

/* Let p wait after mb_ready_watch, whose result that is, until it is woken for that or something else; as mb_block. */
void mb_ready_wait(struct mb_heap *h, lua_State *L, struct mb_process *p, int watched, lua_KContext ctx,
                   lua_KFunction k);

/* Whether anybody waits for fd, on any scheduler. Any thread. */
int mb_ready_is_awaited(int fd);

/* Let those look who wait for fd, on any scheduler. Any thread. */
void mb_ready_tell(int fd);

/* The loop is closed. */
void mb_ready_deinit(struct mb_ready *r);

#endif
