/* Connected sockets, TCP and Unix: bytes in both directions over libuv's streams. A pipe is one with one direction.
 *
 * Once somebody has asked for bytes, reading goes on in the background up to a bound, so that a process finds what has
 * arrived while it did something else; then it is stopped until some have been taken. In an active mode what arrives
 * goes to the owner's mailbox instead. Writing is tried at once; what the kernel does not take is queued as a copy, a
 * piece at a time, while its sender waits, so a queue is never longer than the high-water mark and a piece.
 *
 * Who closes a socket does not wait for its queue: it lingers, belonging to nobody, until that is written or LINGER_MS
 * have passed.
 *
 * With TLS, the filter stands between the stream and all this: unread, in messages and counted are plain bytes, queued
 * are those of the filter. Callbacks decrypt; the handshake is made step by step by the owner's calls (secure.h), for
 * which a callback only keeps what has arrived. */
#ifndef MB_SOCKET_H
#define MB_SOCKET_H

#include "io/object.h"
#include "tls/tls.h"

enum { MB_ACTIVE_ALWAYS = -1 };

/* Errors beside libuv's, which mb_socket_failure knows. */
enum {
  MB_ETLS = -10001,      /* TLS has failed; the filter says why */
  MB_ECERT = -10002,     /* a certificate was refused */
  MB_ETRUNCATED = -10003 /* the connection has ended, and TLS has not */
};

struct mb_socket {
  struct mb_object object;
  union {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
  } uv;
  unsigned char *bytes; /* unread: size of them from start on */
  size_t start, size, room;
  size_t scanned;    /* of the unread, bytes that are known to have no line's end */
  size_t bound;      /* reading stops at so many unread */
  size_t high_water; /* options */
  size_t line_limit;
  int active;        /* 0; MB_ACTIVE_ALWAYS; or for so many messages more */
  int counts;        /* the active mode is a number: its end is told */
  int ended;         /* reading has ended by this error, UV_EOF among them */
  int broken;        /* writing has */
  struct mb_tls *tls;    /* its own, or NULL: plain */
  uint64_t secure_until; /* ns: the handshake is to be done by then; 0: it has not begun; UINT64_MAX: whenever */
  uint8_t secured; /* the handshake is done */
  uint8_t is_pipe;
  uint8_t connecting;
  uint8_t reading;
  uint8_t more;      /* the last read took all it had room for: there is more, probably. Plain only */
  uint8_t shut;      /* no more is sent */
  uint8_t told;      /* the owner has had the message of the end */
  uint8_t giving;    /* a parcel is on its way, see give.c */
  int given;         /* the last one was taken (0), or by this error was not */
};

extern const struct mb_object_type mb_socket_type;

/* A new socket of p's, not connected; NULL when memory is out, or *error says why. */
struct mb_socket *mb_socket_new(struct mb_heap *h, struct mb_process *p, int is_pipe, uint64_t id, int *error);

/* Let it be the connection fd, which is taken over, on failure too. 0 or an error of libuv's. */
int mb_socket_open(struct mb_socket *s, int fd);

/* Let it be TLS from here on: what is unread is the other side's first part of it. Takes tls over. 0 or UV_ENOMEM. */
int mb_socket_secure(struct mb_socket *s, struct mb_tls *tls);

/* Go on with the handshake as far as what has arrived goes. 1: it is done; 0: not yet, or tls->state is MB_TLS_ASKS; or
 * an error which has broken the socket. */
int mb_socket_handshake(struct mb_socket *s);

/* Nothing more is read or written, because of this error. */
void mb_socket_break(struct mb_socket *s, int error);

/* Push the three values of a failure for an error of this socket's. */
int mb_socket_failure(lua_State *L, const struct mb_socket *s, int error);

/* Read in the background until `bound` bytes are unread, unless reading has ended. */
void mb_socket_read(struct mb_socket *s, size_t bound);

/* In an active mode: what has arrived by now becomes messages at once, before the loop comes to it. */
void mb_socket_catch_up(struct mb_socket *s);

/* Where there is more, probably, read it now into the buffer of the scheduler's io, behind what is unread: how many
 * bytes, or 0. It saves a stream that is faster than its reader the way through the loop. */
size_t mb_socket_read_now(struct mb_socket *s);

/* No reading any more. */
void mb_socket_stop(struct mb_socket *s);

/* Take `n` of the unread bytes away. */
void mb_socket_take(struct mb_socket *s, size_t n);

/* Append to the unread bytes. 0 or UV_ENOMEM. */
int mb_socket_put(struct mb_socket *s, const void *bytes, size_t n);

/* Write what the kernel takes at once: how many bytes, or an error of libuv's; with TLS 0. Nothing may be queued. */
long mb_socket_write_now(struct mb_socket *s, const char *bytes, size_t n);

/* Queue a copy. 0 or an error. */
int mb_socket_queue(struct mb_socket *s, const char *bytes, size_t n);

/* How many bytes are queued. */
size_t mb_socket_queued(const struct mb_socket *s);

/* Half-close, after what is queued; with TLS, say so to the other side; a pipe is closed. 0 or an error. */
int mb_socket_shutdown(struct mb_socket *s);

/* Nobody waits for it any more. */
void mb_socket_waited(struct mb_socket *s);

/* It lingers no longer. */
void mb_socket_end_lingering(struct mb_object *o);

/* Change the mode; what is unread goes to the owner's mailbox. */
void mb_socket_activate(struct mb_socket *s, int active, int counts);

/* The methods: lua_socket.c. */
extern const luaL_Reg mb_socket_methods[];

#endif
