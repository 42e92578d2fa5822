/* The end of the program by exit(), which any code may call: no other scheduler is at work from then on.
 *
 * What exit() calls takes apart what processes use: libuv's pool of threads, the state of other libraries. Who asked
 * libuv to read a file then aborted the program. So schedulers are stopped first, between two slices, and stay where
 * they are: nothing of their processes runs any more. This is for programs that end without mb_scheduler_stop, as by
 * stock Lua's os.exit. */
#ifndef MB_FREEZE_H
#define MB_FREEZE_H

struct mb_runtime;
struct mb_scheduler;

/* Other threads are about to run schedulers of rt. The thread of its first one. */
void mb_freeze_at_exit(struct mb_runtime *rt);

/* No other thread does any more, and rt goes. Any thread. */
void mb_freeze_forget(struct mb_runtime *rt);

/* s has been told to leave its loop for that (MB_STOP_FROZEN), and is about to. Its thread. */
_Noreturn void mb_freeze_here(struct mb_scheduler *s);

#endif
