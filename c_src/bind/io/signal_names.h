/* The names of signals, "SIGTERM", which also go without the SIG. Any thread. */
#ifndef MB_SIGNAL_NAMES_H
#define MB_SIGNAL_NAMES_H

enum { MB_MOST_SIGNALS = 65 };

/* The number, 0: there is no such name. */
int mb_signal_number(const char *name);

/* The name, NULL: the number has none. */
const char *mb_signal_name(int number);

#endif
