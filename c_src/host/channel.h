/* Unix sockets for attaching to a running host: bytes in both directions, by number. What happens is told as events;
 * nothing here waits, and a peer that has gone raises no signal. */
#ifndef MB_CHANNEL_H
#define MB_CHANNEL_H

#include <stddef.h>
#include <uv.h>

enum mb_channel_event {
  MB_CHANNEL_ACCEPTED, /* owner: the listener's; number: the new one */
  MB_CHANNEL_DATA,
  MB_CHANNEL_CLOSED    /* by the other side; mb_channel_close is still due */
};

/* Told from the loop, outside of any process. owner: as last given. */
typedef void (*mb_channel_told)(uint64_t owner, enum mb_channel_event what, int number, const char *bytes, size_t size);

void mb_channel_setup(uv_loop_t *loop, mb_channel_told told);

/* Listen on a path, mode 0600; what stands there is removed if nobody listens any more. A number, or a negative code of
 * uv's. */
int mb_channel_listen(const char *path);

/* The other side. */
int mb_channel_connect(const char *path);

/* Tell this one from now on, and read or accept: not before. 0, or UV_EBADF. */
int mb_channel_own(int number, uint64_t owner);

/* Send. What the other side does not take at once is kept: how many bytes, or a negative code. */
int64_t mb_channel_send(int number, const char *bytes, size_t size);

/* What is kept is sent if the other side takes it at once, and dropped otherwise. */
void mb_channel_close(int number);

/* Remove the paths listened on. */
void mb_channel_end(void);

#endif
