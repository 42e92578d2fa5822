/* SIGPIPE, which a write to a socket or pipe without a reader raises in the thread that writes: writes of libuv's are
 * to fail (EPIPE), those of C's stdio end the program, as in plain Lua (`script | head`). */
#ifndef MB_BROKEN_PIPE_H
#define MB_BROKEN_PIPE_H

#include <signal.h>
#include <stddef.h>
#include <sys/types.h>

/* Set while the thread is at writes that are to fail. Partner: the handler, on the same thread. */
extern _Thread_local volatile sig_atomic_t mb_pipe_may_break;

/* From now on the signal ends the program only where mb_pipe_may_break is not set. A program that handles or ignores it
 * is left alone. Any thread; to be called before anything is written to. */
void mb_broken_pipe_await(void);

/* write(2), begun again where a signal has interrupted it; without a reader it fails (EPIPE) and raises nothing,
 * whatever the program does about the signal. How many bytes, or -1 and errno. Any thread. */
ssize_t mb_write_quietly(int fd, const void *bytes, size_t size);

#endif
