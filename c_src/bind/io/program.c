#include "io/program.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

int mb_program_start(uv_loop_t *loop, uv_process_t *process, const struct mb_program_spec *spec, uv_close_cb on_close) {
  uv_stdio_container_t stdio[3];
  uv_process_options_t options = {.file = spec->arguments[0], .args = spec->arguments, .env = spec->environment,
                                  .cwd = spec->directory, .exit_cb = spec->on_exit, .flags = UV_PROCESS_DETACHED,
                                  .stdio = stdio, .stdio_count = 3};
  int error;
  for (int i = 0; i < 3; i++) {
    stdio[i].flags = spec->fds[i] < 0 ? UV_IGNORE : UV_INHERIT_FD;
    stdio[i].data.fd = spec->fds[i];
  }
  error = uv_spawn(loop, process, &options);
  process->data = NULL; /* see luv.c */
  if (error) uv_close((uv_handle_t *)process, on_close);
  return error;
}

int mb_program_kill(uv_process_t *process, int number) {
  if (uv_is_closing((uv_handle_t *)process) || !uv_is_active((uv_handle_t *)process)) return UV_ESRCH;
  return kill(-process->pid, number) == 0 ? 0 : uv_translate_sys_error(errno);
}

int mb_program_pipe(int fds[2]) {
  if (pipe2(fds, O_CLOEXEC) == 0) return 0;
  fds[0] = fds[1] = -1;
  return uv_translate_sys_error(errno);
}

void mb_program_close(int fds[], int count) {
  for (int i = 0; i < count; i++) {
    if (fds[i] >= 0) close(fds[i]);
    fds[i] = -1;
  }
}
