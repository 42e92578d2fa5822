#include "host/input.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "codec/buffer.h"
#include "host/signals.h"
#include "io/standard_input.h"

static struct {
  mb_input_event event;
  uv_poll_t poll;
  uv_async_t soon;       /* there is input already */
  int pollable;          /* a file is not: it is always ready */
  int wanted;
  struct mb_buffer line; /* what has come of it */
} in;

/* Whether a character can be had without waiting. */
static int ready(void) {
  struct pollfd fd = {STDIN_FILENO, POLLIN, 0};
  if (stdin->_IO_read_ptr < stdin->_IO_read_end) return 1; /* glibc's buffer; stdio has no function that tells */
  return poll(&fd, 1, 0) > 0;
}

static void tell(const char *line, size_t size) {
  in.wanted = 0;
  if (in.pollable) uv_poll_stop(&in.poll);
  mb_forget_interrupts();
  in.event(line, size);
}

static void take(void) {
  mb_stdin_give_back();
  while (in.wanted && ready()) {
    int c = getc(stdin);
    if (c == EOF && in.line.size == 0) {
      tell(NULL, 0);
    } else if (c == EOF || c == '\n') {
      size_t size = in.line.size;
      in.line.size = 0;
      tell(size ? (const char *)in.line.bytes : "", size);
    } else if (mb_buffer_reserve(&in.line, 1)) {
      in.line.bytes[in.line.size++] = (unsigned char)c;
    }
  }
}

static void on_readable(uv_poll_t *poll, int status, int events) {
  (void)poll;
  (void)status;
  (void)events;
  take();
}

static void on_soon(uv_async_t *soon) {
  (void)soon;
  take();
}

int mb_input_open(uv_loop_t *loop, mb_input_event event) {
  int flags = fcntl(STDIN_FILENO, F_GETFL);
  in.event = event;
  if (uv_async_init(loop, &in.soon, on_soon) != 0) return -1;
  in.pollable = uv_poll_init(loop, &in.poll, STDIN_FILENO) == 0;
  if (flags >= 0) fcntl(STDIN_FILENO, F_SETFL, flags); /* blocking, for everybody else who has it open */
  return 0;
}

void mb_input_read(void) {
  in.wanted = 1;
  if (in.pollable) uv_poll_start(&in.poll, UV_READABLE, on_readable);
  uv_async_send(&in.soon); /* not at once: the event is for the loop */
}
