#include "host/signals.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "embed/host_api.h"

/* The signal that ends the program, or 0: set on the first thread, asked for on whichever a signal comes to. Relaxed:
 * nothing else depends on it. */
static _Atomic int ended_by;
static volatile sig_atomic_t at_prompt, interrupts; /* see mb_watch_interrupts */
static pthread_t host_thread;

static int ending(void) { return atomic_load_explicit(&ended_by, memory_order_relaxed); }

/* The first thread handles it, where a system call is to be interrupted and a hook may be set. 1: this is not the one.
 * */
static int pass_on(int number) {
  if (pthread_equal(pthread_self(), host_thread)) return 0;
  pthread_kill(host_thread, number);
  return 1;
}

static void handle(int number, void (*handler)(int), int flags) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
  sigemptyset(&action.sa_mask);
  sigaction(number, &action, NULL);
}

/* It is unblocked, and takes effect, when its handler returns. */
static void end_at_once(int number) {
  handle(number, SIG_DFL, 0);
  raise(number);
}

static void on_patience(int number) {
  (void)number;
  end_at_once(ending());
}

/* End the program in order; at the second signal, whichever it is, and when that takes too long, at once. */
static void end(int number) {
  if (ending()) {
    end_at_once(number);
    return;
  }
  atomic_store_explicit(&ended_by, number, memory_order_relaxed);
  handle(SIGALRM, on_patience, SA_RESTART);
  alarm(mb_host_stop(number));
}

static void on_terminate(int number) {
  int saved = errno;
  if (ending() || !pass_on(number)) end(number);
  errno = saved;
}

static void on_interrupt(int number) {
  int saved = errno;
  if (ending()) {
    end(number);
  } else if (!pass_on(number)) {
    if (!at_prompt) handle(number, SIG_DFL, 0);
    if (at_prompt && interrupts++)
      end(number);
    else
      mb_host_interrupt();
  }
  errno = saved;
}

void mb_watch_end(void) {
  static const int numbers[] = {SIGTERM, SIGHUP};
  struct sigaction now;
  host_thread = pthread_self();
  /* as nohup and the like want it, one that is ignored stays so */
  for (int i = 0; i < 2; i++)
    if (sigaction(numbers[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
      handle(numbers[i], on_terminate, SA_RESTART);
}

void mb_watch_interrupt(void) { handle(SIGINT, on_interrupt, 0); }

void mb_watch_interrupts(void) {
  at_prompt = 1;
  interrupts = 0;
  mb_watch_interrupt();
}

void mb_forget_interrupts(void) { interrupts = 0; }

void mb_end_by_interrupt(void) { end(SIGINT); }

void mb_end_watched(void) {
  if (ending()) alarm(0);
}

void mb_die_of_signal(void) {
  int number = ending();
  if (number) end_at_once(number);
}
