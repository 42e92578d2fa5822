/* The signals that end or interrupt the program. */
#ifndef MB_SIGNALS_HOST_H
#define MB_SIGNALS_HOST_H

/* Before anything runs: SIGTERM ends the program in order, within a second; a second one at once. The calling thread is
 * the one that mb_host_run will run on. */
void mb_watch_end(void);

/* SIGINT breaks what runs in the foreground; the next one has its default action, unless it is watched for again. As in
 * lua, that is so whatever its action was before. */
void mb_watch_interrupt(void);

/* From now on SIGINT breaks every time, except that the second in a row, with no mb_forget_interrupts in between, ends
 * the program. For a prompt. */
void mb_watch_interrupts(void);
void mb_forget_interrupts(void);

/* Nobody could be broken: the interrupt ends the program as SIGTERM does. */
void mb_end_by_interrupt(void);

/* From now on something else sees to it that the program ends, and writes out what it has buffered. */
void mb_end_watched(void);

/* The program has been closed: let it die of the signal that ended it, if one did, for whoever waits to see. */
void mb_die_of_signal(void);

#endif
