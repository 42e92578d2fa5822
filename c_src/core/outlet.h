/* Writing to a descriptor without waiting, whatever it is and whoever else has it.
 *
 * A flag that makes a descriptor non-blocking would hold for every program that has it. So a pipe or terminal is
 * opened again, and the flag belongs to that alone. What cannot be opened again is asked whether it takes something,
 * and then given what a pipe takes at once when it takes anything. The caller sees to it that one thread at a time
 * uses an outlet. */
#ifndef MB_OUTLET_H
#define MB_OUTLET_H

#include <sys/types.h>

enum mb_outlet_way {
  MB_OUTLET_UNKNOWN,
  MB_OUTLET_FILE,    /* it never waits: a file, or nothing that could be written to */
  MB_OUTLET_REOPENED,
  MB_OUTLET_SOCKET,
  MB_OUTLET_ASKED    /* another one, which could not be opened again */
};

/* Whether a write that nobody reads raises SIGPIPE, too. */
enum mb_outlet_signal { MB_OUTLET_RAISES, MB_OUTLET_QUIET };

struct mb_outlet {
  int fd;
  enum mb_outlet_signal signal;
  /* To what the descriptor was when it was last looked at: */
  enum mb_outlet_way way;
  dev_t device;
  ino_t inode;
  size_t block; /* how much stdio would buffer of it */
  int reopened; /* -1: it is not */
};

static inline void mb_outlet_init(struct mb_outlet *o, int fd, enum mb_outlet_signal signal) {
  *o = (struct mb_outlet){.fd = fd, .signal = signal, .reopened = -1};
}
void mb_outlet_deinit(struct mb_outlet *o);

/* See what the descriptor is now. */
enum mb_outlet_way mb_outlet_look(struct mb_outlet *o);

/* Write what is taken at once, after a look: how many bytes, or -errno, -EAGAIN: nothing goes now. */
ssize_t mb_outlet_write(struct mb_outlet *o, const char *bytes, size_t size);

#endif
