#include "broken_pipe.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

_Thread_local volatile sig_atomic_t mb_pipe_may_break;

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void on_pipe(int signal_number) {
  if (mb_pipe_may_break) return;
  signal(signal_number, SIG_DFL);
  raise(signal_number); /* once this handler has returned */
}

static void set_handler(void) {
  struct sigaction ours = {.sa_handler = on_pipe, .sa_flags = SA_RESTART}, now;
  if (sigaction(SIGPIPE, NULL, &now) != 0 || now.sa_flags & SA_SIGINFO || now.sa_handler != SIG_DFL) return;
  sigemptyset(&ours.sa_mask);
  sigaction(SIGPIPE, &ours, NULL);
}

void mb_broken_pipe_await(void) { pthread_once(&once, set_handler); }

ssize_t mb_write_quietly(int fd, const void *bytes, size_t size) {
  static const struct timespec no_time;
  sigset_t pipe, before, waiting;
  ssize_t wrote;
  int error, theirs = 0; /* one that waits already, which it can do only where it is blocked */
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, &before);
  if (sigismember(&before, SIGPIPE)) theirs = sigpending(&waiting) == 0 && sigismember(&waiting, SIGPIPE);
  do wrote = write(fd, bytes, size);
  while (wrote < 0 && errno == EINTR);
  error = errno;
  if (wrote < 0 && error == EPIPE && !theirs)
    while (sigtimedwait(&pipe, NULL, &no_time) < 0 && errno == EINTR) continue;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  errno = error;
  return wrote;
}
