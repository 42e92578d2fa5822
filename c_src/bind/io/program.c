#include "io/program.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <signal.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/failure.h"

/* Push a userdata with the strings of the sequence at `index` as a vector. */
static char **push_vector(lua_State *L, int index) {
  lua_Integer n = (lua_Integer)lua_rawlen(L, index);
  char **vector = lua_newuserdatauv(L, ((size_t)n + 1) * sizeof *vector, 0);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, index, i);
    vector[i - 1] = (char *)(uintptr_t)luaL_checkstring(L, -1); /* which stays in the sequence */
    lua_pop(L, 1);
  }
  vector[n] = NULL;
  return vector;
}

void mb_program_check(lua_State *L, struct mb_program_spec *spec) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_argcheck(L, lua_rawlen(L, 1) > 0, 1, "the program expected");
  spec->arguments = push_vector(L, 1);
  spec->environment = lua_istable(L, 2) ? push_vector(L, 2) : NULL;
  spec->directory = lua_tostring(L, 3);
}

int mb_program_failure(lua_State *L, const struct mb_program_spec *spec, int error) {
  const char *culprit = spec->arguments[0];
  char name[32], text[128];
  struct stat st;
  if (spec->directory && (error == UV_ENOENT || error == UV_EACCES || error == UV_ENOTDIR) &&
      (stat(spec->directory, &st) != 0 || !S_ISDIR(st.st_mode) || access(spec->directory, X_OK) != 0))
    culprit = spec->directory;
  lua_pushfstring(L, "%s: %s", uv_strerror_r(error, text, sizeof text), culprit);
  return mb_failure_text(L, uv_err_name_r(error, name, sizeof name), lua_tostring(L, -1));
}

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
