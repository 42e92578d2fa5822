#include "options.h"

#include <stdlib.h>
#include <string.h>

/* Options that start with two dashes. 1 when known; *i moves past a value. */
static int read_long(struct mb_options *o, int argc, char **argv, int *i, const char **why) {
  const char *name = argv[*i] + 2, *value = NULL;
  if (strcmp(name, "help") == 0) {
    o->help = 1;
  } else if (strcmp(name, "version") == 0) {
    o->full_version = 1;
  } else if (strcmp(name, "no-halt") == 0) {
    o->no_halt = 1;
  } else if (strncmp(name, "schedulers", 10) == 0 && (name[10] == '\0' || name[10] == '=')) {
    char *end;
    long n;
    if (name[10] == '=') {
      value = name + 11;
    } else if (*i + 1 < argc) {
      value = argv[++*i];
    } else {
      *why = "'%s' needs a number";
      return 0;
    }
    n = strtol(value, &end, 10);
    if (*value == '\0' || *end != '\0' || n < 1 || n > 1024) {
      *why = "'%s' needs a number from 1 to 1024";
      return 0;
    }
    o->schedulers = (int)n;
  } else {
    return 0;
  }
  return 1;
}

int mb_options_read(struct mb_options *o, int argc, char **argv, const char **bad,
                    const char **why) {
  struct mb_action *actions = o->actions;
  int i;
  *o = (struct mb_options){.script = argc, .actions = actions};
  *why = "unrecognized option '%s'";
  for (i = 1; i < argc; i++) {
    const char *a = argv[i];
    *bad = a;
    if (a[0] != '-') break;
    if (a[1] == '\0') {
      o->read_stdin = 1;
      break;
    }
    if (a[1] == '-') {
      if (a[2] == '\0') {
        i++;
        break;
      }
      if (!read_long(o, argc, argv, &i, why)) return -1;
      continue;
    }
    switch (a[1]) {
      case 'e':
      case 'l': {
        const char *value = a + 2;
        if (*value == '\0') {
          if (i + 1 >= argc || argv[i + 1][0] == '-') {
            *why = "'%s' needs argument";
            return -1;
          }
          value = argv[++i];
        }
        o->actions[o->action_count++] = (struct mb_action){a[1], value};
        o->execute |= a[1] == 'e';
        break;
      }
      case 'i':
        if (a[2] != '\0') return -1;
        o->interactive = o->show_version = 1;
        break;
      case 'v':
        if (a[2] != '\0') return -1;
        o->show_version = 1;
        break;
      case 'E':
        if (a[2] != '\0') return -1;
        o->no_environment = 1;
        break;
      case 'W':
        if (a[2] != '\0') return -1;
        o->actions[o->action_count++] = (struct mb_action){'W', NULL};
        break;
      default:
        return -1;
    }
  }
  o->script = i;
  return 0;
}
