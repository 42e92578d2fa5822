#include "host/options.h"

#include <stdlib.h>
#include <string.h>

/* The value of the option `name`, which may stand behind "=" or in the next argument: NULL when `text` is another
 * option, or with *why set when there is none. */
static const char *value_of(const char *name, const char *text, int argc, char **argv, int *i, const char **why) {
  size_t size = strlen(name);
  if (strncmp(text, name, size) != 0 || (text[size] != '=' && text[size] != '\0')) return NULL;
  if (text[size] == '=') return text + size + 1;
  if (*i + 1 < argc) return argv[++*i];
  *why = "'%s' needs argument";
  return NULL;
}

static int read_schedulers(struct mb_options *o, const char *value, const char **why) {
  char *end;
  long n = strtol(value, &end, 10);
  if (*value != '\0' && *end == '\0' && n >= 1 && n <= 1024) {
    o->schedulers = (int)n;
    return 1;
  }
  *why = "'%s' needs a number from 1 to 1024";
  return 0;
}

/* Options that start with two dashes. 1 when known; *i moves past a value. */
static int read_long(struct mb_options *o, int argc, char **argv, int *i, const char **why) {
  const char *name = argv[*i] + 2, *value;
  if (strcmp(name, "no-dot-file") == 0)
    o->dot_file = "";
  else if (strcmp(name, "help") == 0)
    o->help = 1;
  else if (strcmp(name, "version") == 0)
    o->full_version = 1;
  else if (strcmp(name, "no-halt") == 0)
    o->no_halt = 1;
  else if ((value = value_of("schedulers", name, argc, argv, i, why)))
    return read_schedulers(o, value, why);
  else if ((value = value_of("dot-file", name, argc, argv, i, why)))
    o->dot_file = value;
  else if ((value = value_of("listen", name, argc, argv, i, why)))
    o->listen = value;
  else if ((value = value_of("remote", name, argc, argv, i, why)))
    o->remote = value;
  else
    return 0;
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
