#include "broken_pipe.h"

#include <pthread.h>
#include <stddef.h>

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
