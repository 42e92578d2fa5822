/* Open files. One belongs to the process that opened it and closes with it.
 *
 * What it is asked for is done by a thread of the pool, one step at a time, and goes on when the process is killed
 * meanwhile or leaves its call by an error: what a step has brought is then in the file for the next one. While a step
 * is under way, the fields that are marked so are the pool's thread's; all others are the scheduler's thread's.
 *
 * What may take for ever is none of the pool's: pipes and terminals are asked without waiting, and when they have
 * nothing, the loop says when they have (MB_FILE_AWAIT).
 *
 * Regular files are read and written at a position of ours, never the system's, so that what has been read ahead is
 * where it was. Memory goes when the userdata has been collected, the descriptor is closed and no step is under way. */
#ifndef MB_FILE_H
#define MB_FILE_H

#include <uv.h>

#include "core/holding.h"
#include "core/pid.h"
#include "core/scheduler.h"

enum mb_file_step {
  MB_FILE_IDLE,
  MB_FILE_OPEN,     /* path, flags, mode, flag: make a name of the template `path` */
  MB_FILE_READ,     /* `want` bytes behind what is ahead, or as many as come at once (flag) */
  MB_FILE_PREAD,    /* `want` bytes at `at`, for who asked: left in `block` */
  MB_FILE_WRITE,    /* `want` bytes of `block` at `at`, or at the end */
  MB_FILE_PWRITE,   /* the same, and the position stays */
  MB_FILE_SYNC,
  MB_FILE_DATASYNC,
  MB_FILE_TRUNCATE, /* at `at` */
  MB_FILE_STAT,
  MB_FILE_LOCK,     /* `mode`: an operation of flock's that does not wait */
  MB_FILE_CLOSE,
  MB_FILE_AWAIT     /* not the pool's: until the step that has failed for that can go on */
};

/* A block is read ahead in the room behind MB_FILE_HEADROOM bytes, which the rest of the block before is put into. */
enum { MB_FILE_BLOCK = 65536, MB_FILE_HEADROOM = 4096 };

struct mb_file {
  struct mb_holding holding; /* of its owner, while `held` */
  uv_work_t work;
  struct mb_scheduler *scheduler;
  mb_pid owner;
  mb_pid waiter;         /* the owner, when it waits for a step; else 0 */
  struct mb_file **box;  /* the userdata; NULL: collected */
  int fd;                /* -1: not open */
  uint8_t step;          /* enum mb_file_step: what is under way, */
  uint8_t awaited;       /* and after MB_FILE_AWAIT what can go on; else 0 */
  uint8_t held, closing; /* closing: it is closed as soon as no step is under way */
  uint8_t readable, writable, append, seekable;
  uint8_t ended;         /* the last read has found the end, */
  uint8_t full;          /* or not even come near it */
  int64_t position;      /* of the next byte that is read or written */
  char *ahead;           /* what has been read from there on: from `start` to `end` */
  size_t start, end, ahead_room;
  size_t searched;       /* bytes of it in which there is no end of a line */
  size_t got;            /* bytes that have been read into `block` and belong behind those; see mb_file_absorb */
  uint64_t until;        /* deadline of a wait for something else than a step */
  uv_poll_t poll;        /* while `polls` */
  uint8_t polls, polled; /* polled: MB_FILE_AWAIT has come to its end */
  /* The step's: the pool's thread's while it is under way. */
  char *path;
  char *block;
  size_t block_start, block_room, want, written;
  int64_t at, result; /* result: negative: an error of libuv's */
  int flags, mode, flag;
  uint8_t waits;         /* a pipe or a device, which may have nothing for now; */
  uint8_t fresh;         /* that nobody has written to so far: its end is none */
  uv_stat_t stat;
};

/* A file that is not open, with a copy of the path; NULL when memory is out. */
struct mb_file *mb_file_new(struct mb_scheduler *s, const char *path);

/* The file belongs to p, which runs, until it is closed. */
void mb_file_hold(struct mb_file *f, struct mb_process *p);

/* Begin a step; none is under way. Who waits for it sets `waiter`. */
void mb_file_begin(struct mb_file *f, enum mb_file_step step);

/* After a read or write that has failed by UV_EAGAIN: begin MB_FILE_AWAIT for it, or when that is over, the same step
 * again. */
void mb_file_go_on(struct mb_file *f);

/* Nobody is interested in what is awaited any more. */
void mb_file_forget(struct mb_file *f);

/* Close it in the background, as soon as no step is under way. Nothing happens when it is closed. */
void mb_file_close(struct mb_file *f);

/* The userdata is collected. `alive`: the scheduler still is. */
void mb_file_collect(struct mb_file *f, int alive);

/* Bytes that have been read and not been taken. */
static inline size_t mb_file_available(const struct mb_file *f) { return f->end - f->start; }

/* Put what a read has brought behind them, before anything else is done with the file. No step is under way. 0, or
 * UV_ENOMEM. */
int mb_file_absorb(struct mb_file *f);

/* Take n of them. */
void mb_file_take(struct mb_file *f, size_t n);

/* Forget them: what is read next is read anew. They can be had again only where the file is seekable. */
void mb_file_discard(struct mb_file *f);

/* Room for a block of n bytes; 0, or UV_ENOMEM. No step is under way. */
int mb_file_reserve(struct mb_file *f, size_t n);

#endif
