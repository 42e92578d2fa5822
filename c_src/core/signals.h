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
struct mb_block;

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
  MB_DEMONITOR,  /* ref */
  MB_TO_ALIAS    /* ref: the alias it was sent to; payload: the value. An MB_MESSAGE from where it finds it active */
};

/* An exit reason: encoded bytes, shared by every signal of one death. The count is atomic since the
 * receivers may be on any scheduler; the last release frees it. */
enum mb_reason_kind { MB_REASON_OTHER, MB_REASON_NORMAL, MB_REASON_KILL };

struct mb_reason {
  atomic_uint references;
  struct mb_block *holds; /* owned reference: what the data refer to outside of them; NULL: nothing. Set before others see
                             it */
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
  struct mb_signal *same; /* of mailboxes that have `answers`, see answers.h */
  mb_pid from;
  mb_ref ref;
  struct mb_reason *reason; /* owned reference, or NULL. With what has payload: an empty one that holds what that
                               refers to */
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

#endif
