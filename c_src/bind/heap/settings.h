/* The environment variables that set the runtime up, each a number. They are checked when the runtime starts. */
#ifndef MB_SETTINGS_H
#define MB_SETTINGS_H

#include <lua.h>
#include <stdint.h>

enum mb_setting {
  MB_SET_SCHEDULERS,
  MB_SET_PROCESSES,
  MB_SET_HEAP_PROCESSES,
  MB_SET_PREEMPT,
  MB_SET_LONG_SCHEDULE,
  MB_SET_CLEANUP_TIMEOUT,
  MB_SET_SHUTDOWN_TIMEOUT,
  MB_SET_BLOCKING_THREADS,
  MB_SET_BLOCKING_IDLE,
  MB_SET_COUNT
};

enum { MB_MOST_BLOCKING_THREADS = 512 };
enum { MB_SETTING_OFF = -1 }; /* the word "off", where it is allowed */

/* Raise when one of them has a value that it may not have: with its name, the value, and what is allowed. */
void mb_settings_check(lua_State *L);

/* The value of one; `otherwise` when it is not set, or empty, or has been changed to what it may not be. Any thread. */
int64_t mb_setting(enum mb_setting which, int64_t otherwise);

#endif
