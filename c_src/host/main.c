/* The interpreter `moonbeam`: lua's command line, with the script as a process. */
#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "allocator.h"
#include "driver.h"
#include "host_api.h"
#include "moonbeam.h"
#include "options.h"

static const char *program = "moonbeam";
static char *failure; /* text of the error that ended the script, malloc'd */

static void say(const char *text) {
  fprintf(stderr, "%s: %s\n", program, text);
  fflush(stderr);
}

static int panic(lua_State *L) {
  const char *text = lua_tostring(L, -1);
  fprintf(stderr, "PANIC: unprotected error in call to Lua API (%s)\n",
          text ? text : "error object is not a string");
  return 0; /* Lua aborts */
}

/* Warnings go to stderr while they are on, as lua's: "@on" and "@off" switch, pieces come in turn. */
static atomic_int warnings_on; /* of all schedulers */

static void warn(void *data, const char *text, int more) {
  static _Thread_local int continued;
  (void)data;
  if (!continued && !more && text[0] == '@') {
    if (strcmp(text, "@off") == 0) warnings_on = 0;
    if (strcmp(text, "@on") == 0) warnings_on = 1;
    return;
  }
  if (warnings_on) fprintf(stderr, "%s%s%s", continued ? "" : "Lua warning: ", text, more ? "" : "\n");
  fflush(stderr);
  continued = more;
}

static void print_usage(FILE *to) {
  fprintf(to,
          "usage: %s [options] [script [args]]\n"
          "Available options are:\n"
          "  -e stat   execute string 'stat'\n"
          "  -i        enter interactive mode after executing 'script'\n"
          "  -l mod    require library 'mod' into global 'mod'\n"
          "  -l g=mod  require library 'mod' into global 'g'\n"
          "  -v        show version information\n"
          "  -E        ignore environment variables\n"
          "  -W        turn warnings on\n"
          "  --        stop handling options\n"
          "  -         stop handling options and execute stdin\n"
          "  --schedulers N  run on N schedulers (default: one per core)\n"
          "  --no-halt       run on after the script has ended\n"
          "  --version       show the versions of Moonbeam and Lua\n"
          "  --help          show this text\n",
          program);
}

/* host.fail(text): what is printed when the script has ended. */
static int host_fail(lua_State *L) {
  const char *text = luaL_tolstring(L, 1, NULL);
  free(failure);
  failure = strdup(text);
  return 0;
}

static int host_is_terminal(lua_State *L) {
  lua_pushboolean(L, isatty(STDIN_FILENO));
  return 1;
}

static void push_arg(lua_State *L, int argc, char **argv, int script) {
  if (script == argc) script = 0; /* no script: the program's name is arg[0] */
  lua_newtable(L);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i - script);
  }
}

/* The driver's first argument. */
static void push_plan(lua_State *L, const struct mb_options *o, int argc, char **argv) {
  int has_script = o->script < argc && !o->read_stdin;
  int asked = o->show_version; /* lua reads stdin unless -e, -v or -i gave it something to do */
  int terminal = isatty(STDIN_FILENO);
  lua_newtable(L);
  push_arg(L, argc, argv, o->script);
  lua_setfield(L, -2, "arg");
  lua_newtable(L);
  for (int i = 0; i < o->action_count; i++) {
    lua_createtable(L, 2, 0);
    lua_pushlstring(L, &o->actions[i].kind, 1);
    lua_rawseti(L, -2, 1);
    lua_pushstring(L, o->actions[i].value);
    lua_rawseti(L, -2, 2);
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "actions");
  if (has_script) {
    lua_pushstring(L, argv[o->script]);
    lua_setfield(L, -2, "script");
  }
  lua_pushboolean(L, !o->no_environment);
  lua_setfield(L, -2, "environment");
  for (int i = 0; i < o->action_count; i++) asked |= o->actions[i].kind == 'e';
  lua_pushboolean(L, o->read_stdin || (!has_script && !asked && !o->interactive && !terminal));
  lua_setfield(L, -2, "stdin");
  lua_pushboolean(L, o->interactive || (!has_script && !o->read_stdin && !asked && terminal));
  lua_setfield(L, -2, "prompt");
}

static void close_state(lua_State *L, void *allocator) {
  lua_close(L);
  mb_allocator_free(allocator);
}

static lua_State *new_state(void **allocator) {
  struct mb_allocator *a = mb_allocator_new();
  lua_State *L = a ? lua_newstate(mb_allocate, a) : NULL;
  *allocator = a;
  if (!L) {
    if (a) mb_allocator_free(a);
    return NULL;
  }
  lua_atpanic(L, panic);
  lua_setwarnf(L, warn, NULL);
  return L;
}

/* The first SIGINT or SIGTERM ends the program in order, within a second; the second at once. */
static volatile sig_atomic_t ended_by;

static void on_patience(int number) {
  (void)number;
  raise(ended_by); /* its disposition is the default again */
}

static void on_end(int number) {
  int saved = errno;
  ended_by = number;
  signal(SIGALRM, on_patience);
  alarm(1);
  mb_host_interrupt();
  errno = saved;
}

static void watch_signals(void) {
  struct sigaction end = {.sa_handler = on_end, .sa_flags = (int)SA_RESETHAND | SA_RESTART}, now;
  static const int numbers[] = {SIGINT, SIGTERM};
  sigemptyset(&end.sa_mask);
  for (int i = 0; i < 2; i++) /* as nohup and shells want it, one that is ignored stays so */
    if (sigaction(numbers[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN) sigaction(numbers[i], &end, NULL);
}

static int run(lua_State *L, struct mb_options *o, int argc, char **argv) {
  struct mb_host_options options = {
      .schedulers = o->schedulers, .no_halt = o->no_halt, .new_state = new_state, .close_state = close_state};
  struct mb_host_outcome outcome;
  int status = EXIT_FAILURE;
  luaL_checkversion(L);
  if (o->no_environment) {
    lua_pushboolean(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
  }
  luaL_openlibs(L);
  if (mb_host_open(L, &options) != 0) {
    say(lua_tostring(L, -1));
    return EXIT_FAILURE;
  }
  if (luaL_loadbufferx(L, (const char *)driver_lua, sizeof driver_lua, "=[moonbeam]", "t") != LUA_OK) {
    say(lua_tostring(L, -1));
    return EXIT_FAILURE;
  }
  push_plan(L, o, argc, argv);
  lua_newtable(L);
  lua_pushcfunction(L, host_fail);
  lua_setfield(L, -2, "fail");
  lua_pushcfunction(L, host_is_terminal);
  lua_setfield(L, -2, "is_terminal");
  watch_signals();
  if (mb_host_run(L, 2, &outcome) != 0) {
    say("the event loop failed");
    return EXIT_FAILURE;
  }
  fflush(stdout);
  if (outcome.kind == MB_ENDED_STATUS)
    status = outcome.status;
  else if (failure)
    say(failure);
  else if (outcome.kind == MB_ENDED_SIGNAL && ended_by != SIGINT)
    status = EXIT_FAILURE; /* not seen: the signal ends the program below */
  else if (outcome.kind != MB_ENDED_NORMAL && outcome.text)
    say(outcome.text);
  else
    status = EXIT_SUCCESS;
  free(outcome.text);
  if (mb_host_close(L) != 0) {
    fflush(stdout);
    _exit(status);
  }
  return status;
}

int main(int argc, char **argv) {
  struct mb_options o = {.actions = calloc((size_t)argc + 1, sizeof *o.actions)};
  const char *bad = "", *why = "";
  struct mb_allocator *allocator = mb_allocator_new();
  lua_State *L;
  int status;
  if (argc > 0 && argv[0][0]) program = argv[0];
  if (!o.actions || !allocator || !(L = lua_newstate(mb_allocate, allocator))) {
    say("cannot create state: not enough memory");
    return EXIT_FAILURE;
  }
  lua_atpanic(L, panic);
  lua_setwarnf(L, warn, NULL);
  if (mb_options_read(&o, argc, argv, &bad, &why) != 0) {
    fprintf(stderr, "%s: ", program);
    fprintf(stderr, why, bad);
    fputc('\n', stderr);
    print_usage(stderr);
    status = EXIT_FAILURE;
  } else if (o.help) {
    print_usage(stdout);
    status = EXIT_SUCCESS;
  } else if (o.full_version) {
    printf("Moonbeam %s, %s\n", MOONBEAM_VERSION, LUA_RELEASE);
    status = EXIT_SUCCESS;
  } else {
    if (o.show_version) puts(LUA_COPYRIGHT);
    fflush(stdout);
    status = run(L, &o, argc, argv);
  }
  lua_close(L);
  mb_allocator_free(allocator);
  free(failure);
  free(o.actions);
  if (ended_by == SIGTERM) raise(SIGTERM); /* whoever waits for the program shall see it */
  return status;
}
