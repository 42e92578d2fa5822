/* Giving processes that have not started to schedulers that have nothing to do.
 *
 * Only the owner gives, between two processes, so nobody else ever touches its queue. One that has started stays
 * where it is: its coroutine cannot leave its Lua state. Work that talks to itself stays together, since it spawns
 * little beyond what runs at once. */
#ifndef MB_MIGRATE_H
#define MB_MIGRATE_H

struct mb_process;
struct mb_scheduler;

/* Give some of the embryos, when there are at least `least`, to sleeping schedulers, so that they and s have as many
 * processes to run. Scheduler thread of s. */
void mb_share(struct mb_scheduler *s, unsigned least);

/* Give the embryo p, which nobody knows yet, to another scheduler. Scheduler thread of s. */
void mb_move(struct mb_scheduler *s, struct mb_process *p, struct mb_scheduler *to);

/* Take in what others have given: a list linked by run_next. Scheduler thread of s. */
void mb_accept(struct mb_scheduler *s, struct mb_process *list);

#endif
