/* What the schedulers share of a listener: its address, and the sockets that listen there.
 *
 * One listens from the beginning. Where a listener has several acceptors, each scheduler on which somebody accepts gets
 * one of its own (SO_REUSEPORT), up to so many, and the system spreads connections over them; those beyond share. So a
 * connection comes only to where somebody has accepted before. Where nobody does any more, the scheduler takes it from
 * the system and puts it with the spare ones, which whoever accepts first, on any scheduler, gets first. A socket whose
 * scheduler has let go of the listener is closed, unless it is the last.
 *
 * The first is bound without SO_REUSEPORT, which is set afterwards: another program, or the same one started twice,
 * finds the address in use. Unix sockets have no such thing: all accept from one. */
#ifndef MB_LISTENING_H
#define MB_LISTENING_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/socket.h>

#include "core/lock.h"
#include "tls/tls.h"

enum { MB_MOST_SPARE = 64 };

/* A socket that listens. */
struct mb_part {
  struct mb_part *next; /* these under the lock of all */
  unsigned users;       /* schedulers that accept from it; and whoever is about to shut it */
  int shut;
  int fd;               /* as long as one uses it */
};

struct mb_spare;

struct mb_listening {
  struct mb_listening *next; /* these under the lock of all */
  unsigned references;       /* objects of it */
  struct mb_part *parts;
  unsigned count;            /* of parts, and those that are being made */
  struct mb_spare *spare, **last; /* connections that have been taken from the system */
  atomic_uint spares;        /* how many; read without the lock to see whether to take it */
  atomic_int closed;         /* release and acquire: who sees it lets go of its part */
  atomic_int told;           /* that there are no descriptors left has been logged */
  uint64_t id;
  unsigned acceptors;        /* parts there may be */
  int backlog, reuse;
  struct mb_tls_context *tls; /* of what connections are TLS, a reference, or NULL; constant */
  char *path;                /* of a Unix socket, removed when it closes; or NULL */
  struct sockaddr_storage address;
  socklen_t size;
};

/* Those of a program's node, found by their number when one arrives on a scheduler. */
struct mb_listenings {
  struct mb_lock lock;
  struct mb_listening *first;
};

struct mb_listen_options {
  int backlog;
  int reuse;          /* SO_REUSEADDR */
  unsigned acceptors; /* 1 at least */
  struct mb_tls_context *tls; /* of what connections are TLS, or NULL; borrowed */
};

/* Listen on an address, with one reference. 0 or an error of libuv's. Any thread, as all of these. */
int mb_listening_open(struct mb_listenings *all, uint64_t id, const struct sockaddr *address, socklen_t size,
                      struct mb_listen_options options, struct mb_listening **out);

/* A reference to the one with this number that is open, or NULL. */
struct mb_listening *mb_listening_find(struct mb_listenings *all, uint64_t id);

/* A part for a scheduler that begins to accept: one that nobody has, a new one, or that of the fewest. */
struct mb_part *mb_listening_claim(struct mb_listenings *all, struct mb_listening *l);

/* Give a part back. */
void mb_listening_yield(struct mb_listenings *all, struct mb_listening *l, struct mb_part *part);

/* Put the connection fd with the spare ones; taken over. It is closed when the listener is, or memory is out. */
void mb_listening_spare(struct mb_listenings *all, struct mb_listening *l, int fd);

/* The connection that has been spare longest, or -1. *was_full: there were too many to take more from the system. */
int mb_listening_take(struct mb_listenings *all, struct mb_listening *l, int *was_full);

static inline int mb_listening_is_full(const struct mb_listening *l) {
  return atomic_load_explicit(&l->spares, memory_order_relaxed) >= MB_MOST_SPARE;
}

/* Nobody accepts any more: whoever watches a part hears of it. */
void mb_listening_close(struct mb_listenings *all, struct mb_listening *l);

/* Drop a reference. */
void mb_listening_release(struct mb_listenings *all, struct mb_listening *l);

#endif
