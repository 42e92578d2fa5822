/* A bound for the end of the program, and one thread that ends it. */
#ifndef MB_END_WATCH_H
#define MB_END_WATCH_H

#include <stdint.h>

enum {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  MB_END_PATIENCE_MS = 10000 /* all is slower */
#else
  MB_END_PATIENCE_MS = 1000 /* with what does not end by itself */
#endif
};

/* From now on the program's end is awaited for so many ms, then it ends with this status; unless the watch, NULL when
 * there is none, is given back before. Time in which the program is ready and others have the processors does not
 * count, but for a quarter. Any thread. */
struct mb_end_watch *mb_end_watch(unsigned ms, int status);

/* How many of the `ms` that have just passed count, at least one. *delayed is what mb_program_delay said before, and
 * says now. */
unsigned mb_end_counts(unsigned ms, uint64_t *delayed);

void mb_end_unwatch(struct mb_end_watch *w);

/* Keep the library that this is from being unloaded until the program ends: other threads may run in it. Any thread. */
void mb_keep_loaded(void);

/* So much more, for what ends by itself: the log's last entries. Any thread. */
void mb_end_grant(unsigned ms);

/* One thread ends the program: for another this does not return. */
void mb_claim_exit(void);

/* As exit(), whatever other threads do meanwhile, and if that takes more than a second, without what is left. */
_Noreturn void mb_exit_now(int status);

#endif
