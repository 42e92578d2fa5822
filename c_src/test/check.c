/* Runs the cases of a test program: see check.h. */
#include "test/check.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_S = 110 }; /* for one case */

static struct check_case *first, **last = &first;

void check_add(struct check_case *c) {
  *last = c;
  last = &c->next;
}

static int is_asked_for(const struct check_case *c, int argc, char **argv) {
  for (int i = 1; i < argc; i++)
    if (strcmp(argv[i], c->name) == 0) return 1;
  return argc < 2;
}

/* Run a case; NULL: all is well, or what became of it. */
static const char *outcome(const struct check_case *c) {
  static char text[64];
  int status;
  pid_t child = fork();
  if (child == 0) {
    alarm(PATIENCE_S);
    c->run();
    exit(0); /* a leak sanitizer looks now */
  }
  if (child < 0 || waitpid(child, &status, 0) < 0) return "could not be run";
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) return "takes too long";
  if (WIFSIGNALED(status)) {
    snprintf(text, sizeof text, "ended by signal %d", WTERMSIG(status));
    return text;
  }
  return WEXITSTATUS(status) ? "failed" : NULL;
}

int main(int argc, char **argv) {
  int run = 0, wrong = 0;
  for (struct check_case *c = first; c; c = c->next) {
    const char *what;
    if (!is_asked_for(c, argc, argv)) continue;
    fflush(NULL); /* else the child writes it, too */
    what = outcome(c);
    printf("%s %s%s%s\n", what ? "not ok" : "ok", c->name, what ? ": " : "", what ? what : "");
    run++;
    wrong += what != NULL;
  }
  printf("%d cases, %d failed\n", run, wrong);
  return wrong || !run;
}
