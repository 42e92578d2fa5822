/* What processes send each other. Everything is a signal, and the signals from one process to
 * another arrive in the order they were sent: messages, exits, links, monitors and their ends.
 *
 * A signal is one allocation: a header and the payload, bytes that only the layer above can read.
 * Whoever holds the pointer owns it; queues take it over. */
#ifndef MB_SIGNALS_H
#define MB_SIGNALS_H

#include <stdatomic.h>
#include <stdint.h>

#include "pid.h"

struct mb_scheduler;
struct mb_process;

enum mb_signal_kind {
  /* Those that end up in a mailbox. */
  MB_MESSAGE, /* payload: the value */
  MB_CALL,    /* from and ref name who waits for the reply; payload: the request */
  MB_SYSTEM,  /* as MB_CALL, for the server's machinery rather than its module */
  MB_CAST,    /* payload: the request */
  MB_REPLY,   /* ref: the monitor that lets it in; payload: the values */
  MB_EXITED,  /* an exit signal that trapping turned into a message: from, reason */
  MB_DOWN,    /* ref, from: the monitored process, reason; payload: the name it was monitored by */
  /* Those that act on the receiver and never reach its mailbox. */
  MB_EXIT,      /* Process.exit: from, reason */
  MB_EXIT_LINK, /* the sender died and was linked: from, reason */
  MB_LINK,
  MB_UNLINK,     /* ref: the unlink id to acknowledge */
  MB_UNLINK_ACK, /* ref: the id of the unlink that is done */
  MB_MONITOR,    /* ref: the new monitor, from: the watcher */
  MB_DEMONITOR   /* ref */
};

/* An exit reason: encoded bytes, shared by every signal of one death. The count is atomic since the
 * receivers may be on any scheduler; the last release frees it. */
enum mb_reason_kind { MB_REASON_OTHER, MB_REASON_NORMAL, MB_REASON_KILL };

struct mb_reason {
  atomic_uint references;
  uint32_t size;
  uint8_t kind; /* enum mb_reason_kind: the two that the rules of exits treat apart */
  uint8_t reported; /* whoever died of it first has told the log. Set before others see it */
  unsigned char data[];
};

/* A new reason with one reference, data copied; NULL when memory is out. Any thread. */
struct mb_reason *mb_reason_new(enum mb_reason_kind kind, const void *data, uint32_t size);
struct mb_reason *mb_reason_retain(struct mb_reason *r);
void mb_reason_release(struct mb_reason *r); /* NULL is allowed */

struct mb_signal {
  struct mb_signal *next;
  struct mb_signal *prev; /* used in mailboxes, and by the first of an inbox */
  mb_pid from;
  mb_ref ref;
  struct mb_reason *reason; /* owned reference, or NULL */
  uint32_t size;            /* bytes of data */
  uint8_t kind;             /* enum mb_signal_kind */
  uint8_t pooled;           /* of the one size that schedulers keep for the next */
  uint8_t tried;            /* the layer above is making something of it, or has failed to */
  unsigned char data[];
};

/* A new signal with room for size bytes of payload; NULL when memory is out. Any thread. */
struct mb_signal *mb_signal_new(enum mb_signal_kind kind, uint32_t size);
void mb_signal_free(struct mb_signal *s);

/* The same, by way of the small signals that a scheduler keeps: for messages. Scheduler thread of s. */
struct mb_signal *mb_signal_take(struct mb_scheduler *s, enum mb_signal_kind kind, uint32_t size);
void mb_signal_give(struct mb_scheduler *s, struct mb_signal *signal);

/* Deliver to a pid. The signal is taken over; when the process is gone, what its kind asks for is
 * answered (a link or monitor on nobody says noproc) and the rest vanishes. Scheduler thread of s. */
void mb_signal_send(struct mb_scheduler *s, mb_pid to, struct mb_signal *signal);

/* Deliver from a thread that runs no scheduler. */
struct mb_runtime;
void mb_signal_post(struct mb_runtime *rt, mb_pid to, struct mb_signal *signal);

/* The operations of the process that runs on s. 0, or MB_ENOMEM with nothing done. */
int mb_link(struct mb_scheduler *s, struct mb_process *p, mb_pid other);
int mb_unlink(struct mb_scheduler *s, struct mb_process *p, mb_pid other);
int mb_exit_signal(struct mb_scheduler *s, mb_pid from, mb_pid to, struct mb_reason *reason);

/* Watch target (0: the name had no holder). name: NULL, or what it was monitored by, name_size
 * bytes. alias: replies to the reference reach the mailbox while the monitor is active. */
int mb_monitor(struct mb_scheduler *s, struct mb_process *p, mb_pid target, const char *name,
               uint32_t name_size, int alias, mb_ref *out);

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

#endif
