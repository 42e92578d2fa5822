/* The interpreter `moonbeam`: lua's command line, with the script as a process. */
#include <fcntl.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "embed/host_api.h"
#include "host/allocator.h"
#include "host/channel.h"
#include "host/editor.h"
#include "host/lua_host.h"
#include "host/options.h"
#include "host/say.h"
#include "host/script.h"
#include "host/signals.h"
#include "io/standard_output.h"
#include "moonbeam.h"

static int panic(lua_State *L) {
  const char *text = lua_tostring(L, -1);
  fprintf(stderr, "PANIC: unprotected error in call to Lua API (%s)\n",
          text ? text : "error object is not a string");
  return 0; /* Lua aborts */
}

static void close_state(lua_State *L, void *allocator) {
  lua_close(L);
  mb_allocator_leave(allocator);
}

static lua_State *new_state(void **allocator) {
  struct mb_allocator *a = mb_allocator_share();
  lua_State *L = a ? lua_newstate(mb_allocate, a) : NULL;
  *allocator = a;
  if (!L) {
    if (a) mb_allocator_leave(a);
    return NULL;
  }
  lua_atpanic(L, panic);
  lua_setwarnf(L, mb_warn, NULL);
  return L;
}

/* The exit status; what there is to say has been said. */
static int conclude(const struct mb_host_outcome *outcome, const struct mb_script *script) {
  if (outcome->kind == MB_ENDED_STATUS || outcome->kind == MB_ENDED_STOPPED) return outcome->status;
  if (script->failed) return EXIT_FAILURE;
  if (outcome->text) mb_say(outcome->text);
  return outcome->text ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run(lua_State *L, const struct mb_options *o, int argc, char **argv) {
  struct mb_host_options options = {.schedulers = o->schedulers,
                                    .no_halt = o->no_halt,
                                    .new_state = new_state,
                                    .close_state = close_state,
                                    .unclaimed_interrupt = mb_interrupted};
  struct mb_script script = {.options = o, .argc = argc, .argv = argv};
  struct mb_host_outcome outcome;
  /* lua prompts or reads stdin unless there is a script or -e, -v or -i gave it something to do */
  int idle = o->script == argc && !o->execute && !o->show_version && !o->remote, status, closed;
  script.read_stdin = idle && !isatty(STDIN_FILENO);
  mb_prompt_comes = script.prompt = o->interactive || (idle && !script.read_stdin);
  luaL_checkversion(L);
  if (o->no_environment) {
    lua_pushboolean(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
  }
  luaL_openlibs(L);
  if (mb_host_open(L, &options) != 0) {
    mb_say(lua_tostring(L, -1));
    return EXIT_FAILURE;
  }
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, luaopen_moonbeam_host);
  lua_setfield(L, -2, "moonbeam.host");
  lua_pop(L, 1);
  lua_pushcfunction(L, mb_script_main);
  lua_pushlightuserdata(L, &script);
  mb_watch_end();
  if (mb_host_run(L, 1, &outcome) != 0) {
    mb_say("the event loop failed");
    return EXIT_FAILURE;
  }
  status = conclude(&outcome, &script);
  free(outcome.text);
  mb_host_watch(status);
  mb_end_watched();
  closed = mb_host_close(L);
  if (closed != 0) {
    mb_editor_close();
    mb_channel_end();
    mb_host_exit(status);
  }
  return status;
}

/* A standard stream that is closed stays so to whoever uses it, but nothing else that is opened becomes it. */
static void occupy_closed(void) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
    if (fcntl(fd, F_GETFD) < 0) (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int main(int argc, char **argv) {
  struct mb_options o = {.actions = calloc((size_t)argc + 1, sizeof *o.actions)};
  const char *bad = "", *why = "";
  void *allocator;
  lua_State *L;
  int status;
  occupy_closed();
  if (argc > 0 && argv[0][0]) mb_program = argv[0];
  L = o.actions ? new_state(&allocator) : NULL;
  if (!L) {
    mb_say("cannot create state: not enough memory");
    return EXIT_FAILURE;
  }
  if (mb_options_read(&o, argc, argv, &bad, &why) != 0) {
    fprintf(stderr, "%s: ", mb_program);
    fprintf(stderr, why, bad);
    fputc('\n', stderr);
    mb_print_usage(stderr, strcmp(bad, "-h") == 0 ? MB_USAGE_FULL : MB_USAGE_SHORT); /* lua refuses -h, too */
    status = EXIT_FAILURE;
  } else if (o.help) {
    mb_print_usage(stdout, MB_USAGE_FULL);
    status = EXIT_SUCCESS;
  } else if (o.full_version) {
    printf("Moonbeam %s, %s\n", MOONBEAM_VERSION, LUA_RELEASE);
    status = EXIT_SUCCESS;
  } else {
    if (o.show_version) puts(LUA_COPYRIGHT);
    fflush(stdout);
    status = run(L, &o, argc, argv);
  }
  close_state(L, allocator);
  free(o.actions);
  mb_host_leave();
  mb_stdout_finish();
  fflush(stdout);
  mb_editor_close();
  mb_channel_end();
  mb_die_of_signal();
  return status;
}
