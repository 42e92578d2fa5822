/* The way to run something on another scheduler. It runs between two processes, in the order of posting, after every
 * signal that the poster has sent there before. */
#ifndef MB_POST_H
#define MB_POST_H

struct mb_scheduler;

/* Embedded in what is posted. */
struct mb_posted {
  struct mb_posted *next; /* under the scheduler's remote_lock */
  /* Runs on s, to which it was posted, and owns it. It may post it again, elsewhere. */
  void (*run)(struct mb_scheduler *s, struct mb_posted *posted);
};

/* Post, with `run` set. Taken over. Any thread; the scheduler must not have ended. */
void mb_post(struct mb_scheduler *to, struct mb_posted *posted);

#endif
