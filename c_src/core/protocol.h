/* What signals do: links, monitors, exits, and the way of every signal to its receiver.
 *
 * The signals from one process to another arrive in the order they were sent. Between two processes of one scheduler a
 * signal takes effect at once, on the receiver's own data, which nobody else touches; nothing is allocated unless it
 * must be kept. For a process elsewhere it goes to that process's inbox. Deaths never recurse: the dying are queued and
 * the reaper announces them one after the other. */
#ifndef MB_PROTOCOL_H
#define MB_PROTOCOL_H

#include "signals.h"

struct mb_process;
struct mb_runtime;

/* Deliver to a pid. The signal is taken over; when the process is gone, what its kind asks for is
 * answered (a link or monitor on nobody says noproc) and the rest vanishes. Scheduler thread of s. */
void mb_signal_send(struct mb_scheduler *s, mb_pid to, struct mb_signal *signal);

/* Deliver from a thread that runs no scheduler. */
void mb_signal_post(struct mb_runtime *rt, mb_pid to, struct mb_signal *signal);

/* Append to the mailbox of a process that lives here, and wake it. */
void mb_deliver(struct mb_scheduler *s, struct mb_process *p, struct mb_signal *signal);

/* The operations of the process that runs on s. 0, or MB_ENOMEM with nothing done. */
int mb_link(struct mb_scheduler *s, struct mb_process *p, mb_pid other);
int mb_unlink(struct mb_scheduler *s, struct mb_process *p, mb_pid other);
int mb_exit_signal(struct mb_scheduler *s, mb_pid from, mb_pid to, struct mb_reason *reason);

enum mb_monitor_kind {
  MB_MONITOR_ONLY,
  MB_MONITOR_ALIAS /* replies to the reference reach the mailbox while the monitor is active */
};

/* Watch target (0: the name had no holder) by ref, a new one of the caller's. name: NULL, or what it was monitored by,
 * name_size bytes. */
int mb_monitor(struct mb_scheduler *s, struct mb_process *p, mb_pid target, const char *name, uint32_t name_size,
               enum mb_monitor_kind kind, mb_ref ref);

/* A reference whose replies reach p's mailbox until mb_demonitor: a monitor on nobody. */
int mb_alias(struct mb_scheduler *s, struct mb_process *p, mb_ref *out);

/* Whether replies to the reference reach p's mailbox. Owner's thread. */
int mb_replies_welcome(const struct mb_process *p, mb_ref ref);

/* What a monitor has brought when it is ended. */
enum mb_monitoring {
  MB_MONITORING_OVER,    /* it is not active any more: perhaps replies, and its DOWN after them */
  MB_MONITORING,         /* nothing */
  MB_MONITORING_ANSWERED /* replies */
};

/* End a monitor. */
enum mb_monitoring mb_demonitor(struct mb_scheduler *s, struct mb_process *p, mb_ref ref);

/* Read one entry of a process's monitors: the target, and the name when monitored by one. */
mb_pid mb_monitor_target(uint64_t entry, const char **name, uint32_t *name_size);

/* Mark a process as dying of reason (a new reference is taken). It counts as dead from here on; its
 * end is announced when the scheduler reaps it. The first reason stays. Owner's thread. */
void mb_process_exit(struct mb_scheduler *s, struct mb_process *p, struct mb_reason *reason);

/* Announce the death to links, then to monitors, and forget all ties. Used by the reaper. */
void mb_announce_death(struct mb_scheduler *s, struct mb_process *p);

/* Handle what other threads put into p's inbox for its tenant pid, living or just gone. Owner's thread. */
void mb_inbox_drain(struct mb_scheduler *s, struct mb_process *p, mb_pid pid);

/* The same for inboxes that were listed, by inbox_next: their processes live here, or have. Scheduler thread of s. */
void mb_inboxes_drain(struct mb_scheduler *s, struct mb_process *list);

#endif
