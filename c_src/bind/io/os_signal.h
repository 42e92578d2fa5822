/* Signals of the system as messages: {"signal", name} to each process that has asked for them.
 *
 * The handler sets a flag and lets the first scheduler notice, which sends copies of the message that each listener has
 * encoded. While somebody listens the signal does nothing else; the action that it had before comes back when nobody
 * does any more. A process listens until it exits. Who listens counts as somebody who could be woken. */
#ifndef MB_OS_SIGNAL_H
#define MB_OS_SIGNAL_H

#include "heap/heap.h"

/* The first scheduler has noticed something: send what has come in. */
void mb_os_signals_noticed(struct mb_scheduler *s);

/* Functions of moonbeam.core: on_signal, off_signal. */
void mb_open_os_signal(struct mb_heap *h, lua_State *L);

#endif
