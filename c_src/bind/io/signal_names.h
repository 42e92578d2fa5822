/* The names of signals, "SIGTERM", which also go without the SIG. Any thread. */
#ifndef MB_SIGNAL_NAMES_H
#define MB_SIGNAL_NAMES_H

#include <stddef.h>

enum { MB_MOST_SIGNALS = 65, MB_SIGNAL_NAME = 16 };

/* The number of a name of so many bytes, 0: there is no such name. */
int mb_signal_number(const char *name, size_t size);

/* The name, NULL: the number has none. */
const char *mb_signal_name(int number);

/* The same, or else the number as text in `room`. */
const char *mb_signal_text(int number, char room[MB_SIGNAL_NAME]);

#endif
