#include "io/signal_names.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const struct {
  const char *name;
  int number;
} signals[] = {
#define NAME(n) {#n, n}
    NAME(SIGHUP),  NAME(SIGINT),  NAME(SIGQUIT), NAME(SIGILL),  NAME(SIGTRAP),   NAME(SIGABRT), NAME(SIGBUS),
    NAME(SIGFPE),  NAME(SIGKILL), NAME(SIGUSR1), NAME(SIGSEGV), NAME(SIGUSR2),   NAME(SIGPIPE), NAME(SIGALRM),
    NAME(SIGTERM), NAME(SIGCHLD), NAME(SIGCONT), NAME(SIGSTOP), NAME(SIGTSTP),   NAME(SIGTTIN), NAME(SIGTTOU),
    NAME(SIGURG),  NAME(SIGXCPU), NAME(SIGXFSZ), NAME(SIGVTALRM), NAME(SIGPROF), NAME(SIGWINCH), NAME(SIGIO),
    NAME(SIGSYS),
#undef NAME
};
enum { COUNT = sizeof signals / sizeof signals[0] };

int mb_signal_number(const char *name, size_t size) {
  if (strlen(name) != size) return 0;
  for (int i = 0; i < COUNT; i++)
    if (strcmp(signals[i].name, name) == 0 || strcmp(signals[i].name + 3, name) == 0) return signals[i].number;
  return 0;
}

const char *mb_signal_name(int number) {
  for (int i = 0; i < COUNT; i++)
    if (signals[i].number == number) return signals[i].name;
  return NULL;
}

const char *mb_signal_text(int number, char room[MB_SIGNAL_NAME]) {
  const char *name = mb_signal_name(number);
  if (name) return name;
  snprintf(room, MB_SIGNAL_NAME, "%d", number);
  return room;
}
