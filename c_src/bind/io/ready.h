/* Waiting until standard input has something, or standard output takes something: before a function of the C library's
 * is called that would wait there with its whole thread.
 *
 * libuv makes what it watches non-blocking, which would hold for every program that has the descriptor. So each
 * scheduler has an epoll set of its own with the descriptor in it, and libuv watches that. */
#ifndef MB_READY_H
#define MB_READY_H

#include "io/io.h"
#include "process/wait.h"

/* Whether the process that calls is to wait first: it may, and `fd` (0 or 1) would not be ready at once. */
int mb_ready_is_late(struct mb_heap *h, lua_State *L, int fd);

/* Let p wait until fd is, perhaps, or something else has woken it; as mb_block. After mb_ready_is_late. */
void mb_ready_wait(struct mb_heap *h, lua_State *L, struct mb_process *p, int fd, lua_KFunction k);

/* The loop is closed. */
void mb_ready_deinit(struct mb_ready *r);

#endif
