#include "host/say.h"

#include <stdatomic.h>
#include <string.h>

#include "core/screen.h"

const char *mb_program = "moonbeam";

void mb_say(const char *text) {
  const struct mb_screen *screen = mb_screen_begin(stderr);
  fprintf(stderr, "%s: %s\n", mb_program, text);
  fflush(stderr);
  mb_screen_end(screen, MB_WRITTEN_LINE);
}

void mb_print_usage(FILE *to, enum mb_usage how) {
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
          "  -         stop handling options and execute stdin\n",
          mb_program);
  if (how == MB_USAGE_FULL) /* who has an option wrong is told what lua tells */
    fputs("and of the runtime:\n"
          "  --schedulers N  run on N schedulers (default: one per core)\n"
          "  --no-halt       run on after the script has ended\n"
          "  --listen SOCKET let prompts be attached there\n"
          "  --remote SOCKET attach a prompt to the program that listens there\n"
          "  --dot-file FILE what the prompt runs first (default: .moonbeam.lua here or in $HOME)\n"
          "  --no-dot-file   the prompt runs nothing first\n"
          "  --version       show the versions of Moonbeam and Lua\n"
          "  --help          show this text\n"
          "Environment variables of the runtime, with their defaults:\n"
          "  MOONBEAM_SCHEDULERS        as --schedulers; 1 where stock Lua loads the module\n"
          "  MOONBEAM_PROCESSES         most processes at once (1048576)\n"
          "  MOONBEAM_HEAP_PROCESSES    most processes in one Lua state; more get states of their own (4000)\n"
          "  MOONBEAM_PREEMPT           instructions that a process may run before others do (0.2 to 1 ms), or off\n"
          "  MOONBEAM_LONG_SCHEDULE     ms after which the log reports who keeps a scheduler; 0: never (50)\n"
          "  MOONBEAM_CLEANUP_TIMEOUT   ms for the to-be-closed variables of a process that is killed (50)\n"
          "  MOONBEAM_SHUTDOWN_TIMEOUT  ms for supervisors, and for at_exit, when the program ends (10000)\n"
          "  MOONBEAM_BLOCKING_THREADS  most threads of blocking() (one per core, at least 4)\n"
          "  MOONBEAM_BLOCKING_IDLE     ms after which such a thread without work ends (10000)\n"
          "  LUA_INIT, LUA_PATH, LUA_CPATH   as lua's\n"
          "  NO_COLOR                   the prompt has no colours\n"
          "  XDG_STATE_HOME             where the prompt keeps its history (~/.local/state)\n",
          to);
}

/* "@on" and "@off" switch; a warning may come in pieces. */
void mb_warn(void *unused, const char *text, int more) {
  static atomic_int on; /* relaxed would do: which of two threads is first does not matter */
  static _Thread_local int continued;
  (void)unused;
  if (!continued && !more && text[0] == '@') {
    if (strcmp(text, "@off") == 0) on = 0;
    if (strcmp(text, "@on") == 0) on = 1;
    return;
  }
  if (on) {
    const struct mb_screen *screen = mb_screen_begin(stderr);
    fprintf(stderr, "%s%s%s", continued ? "" : "Lua warning: ", text, more ? "" : "\n");
    fflush(stderr);
    mb_screen_end(screen, more ? MB_WRITTEN_PART : MB_WRITTEN_LINE);
  }
  continued = more;
}
