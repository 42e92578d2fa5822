/* The command line of the interpreter: lua's options and the runtime's own. */
#ifndef MB_OPTIONS_H
#define MB_OPTIONS_H

struct mb_action {
  char kind;         /* 'e': run this text; 'l': require this module; 'W': warnings on */
  const char *value; /* from argv */
};

struct mb_options {
  int show_version;  /* -v */
  int interactive;   /* -i */
  int execute;       /* -e has been given */
  int no_environment; /* -E */
  int read_stdin;    /* "-" stands where the script would */
  int help, full_version;
  int no_halt;
  int schedulers;    /* 0: as many as cores */
  const char *listen; /* let prompts be attached at this socket */
  const char *remote; /* be such a prompt */
  const char *dot_file; /* what the prompt runs first; "": nothing, NULL: what it finds */
  int script;        /* index in argv; argc when there is none */
  int action_count;
  struct mb_action *actions; /* room for argc of them, given by the caller */
};

/* Read argv. 0, or -1 with *bad the argument that is wrong and *why what is wrong with it, a format with one
 * %s for the argument. */
int mb_options_read(struct mb_options *o, int argc, char **argv, const char **bad,
                    const char **why);

#endif
