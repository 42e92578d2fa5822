/* Writes to a pipe that nobody reads: they fail, and the signal is as it was before. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "core/broken_pipe.h"
#include "test/check.h"

static int broken(void) {
  int fds[2];
  CHECK(pipe(fds) == 0);
  close(fds[0]);
  return fds[1];
}

static int is_pending(void) {
  sigset_t pending;
  CHECK(sigpending(&pending) == 0);
  return sigismember(&pending, SIGPIPE);
}

static void block_it(void) {
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  CHECK(pthread_sigmask(SIG_BLOCK, &pipe, NULL) == 0);
}

TEST(a_write_that_nobody_reads_fails_and_raises_nothing) {
  sigset_t mask;
  CHECK(mb_write_quietly(broken(), "x", 1) == -1 && errno == EPIPE);
  CHECK(!is_pending());
  CHECK(pthread_sigmask(SIG_BLOCK, NULL, &mask) == 0 && !sigismember(&mask, SIGPIPE));
}

TEST(it_leaves_nothing_where_the_signal_is_blocked) {
  block_it();
  CHECK(mb_write_quietly(broken(), "x", 1) == -1 && errno == EPIPE);
  CHECK(!is_pending());
}

TEST(it_leaves_a_signal_that_waits_already) {
  block_it();
  CHECK(raise(SIGPIPE) == 0);
  CHECK(mb_write_quietly(broken(), "x", 1) == -1 && errno == EPIPE);
  CHECK(is_pending());
}

static int heard;
static void hear(int number) {
  (void)number;
  heard++;
}

TEST(a_handler_of_the_programs_does_not_hear_of_it) {
  CHECK(signal(SIGPIPE, hear) != SIG_ERR);
  CHECK(mb_write_quietly(broken(), "x", 1) == -1 && errno == EPIPE);
  CHECK(heard == 0);
  CHECK(write(broken(), "x", 1) == -1 && errno == EPIPE);
  CHECK(heard == 1);
}

TEST(what_is_read_is_written_and_a_full_pipe_says_so) {
  int fds[2];
  char byte, much[4096] = {0};
  ssize_t n;
  CHECK(pipe2(fds, O_NONBLOCK) == 0);
  CHECK(mb_write_quietly(fds[1], "x", 1) == 1);
  CHECK(read(fds[0], &byte, 1) == 1 && byte == 'x');
  do n = mb_write_quietly(fds[1], much, sizeof much);
  while (n > 0);
  CHECK(n == -1 && errno == EAGAIN);
}
