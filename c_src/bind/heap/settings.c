#include "heap/settings.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "core/core.h"
#include "heap/errors.h"

enum { DAY_MS = 24 * 60 * 60 * 1000 };

static const struct {
  const char *name, *what;
  int64_t least, most;
  int may_be_off;
} settings[] = {
    [MB_SET_SCHEDULERS] = {"MOONBEAM_SCHEDULERS", "a number", 1, MB_MAX_SCHEDULERS, 0},
    [MB_SET_PROCESSES] = {"MOONBEAM_PROCESSES", "a number", 1, MB_MAX_INDEX, 0},
    [MB_SET_HEAP_PROCESSES] = {"MOONBEAM_HEAP_PROCESSES", "a number", 1, MB_MAX_INDEX, 0},
    [MB_SET_PREEMPT] = {"MOONBEAM_PREEMPT", "off, or a number of instructions", 1, INT32_MAX - 1, 1},
    [MB_SET_LONG_SCHEDULE] = {"MOONBEAM_LONG_SCHEDULE", "a number of ms", 0, DAY_MS, 0},
    [MB_SET_CLEANUP_TIMEOUT] = {"MOONBEAM_CLEANUP_TIMEOUT", "a number of ms", 0, DAY_MS, 0},
    [MB_SET_SHUTDOWN_TIMEOUT] = {"MOONBEAM_SHUTDOWN_TIMEOUT", "a number of ms", 0, DAY_MS, 0},
    [MB_SET_BLOCKING_THREADS] = {"MOONBEAM_BLOCKING_THREADS", "a number", 1, MB_MOST_BLOCKING_THREADS, 0},
    [MB_SET_BLOCKING_IDLE] = {"MOONBEAM_BLOCKING_IDLE", "a number of ms", 1, DAY_MS, 0},
};

/* 1: *value is what `text` says. 0: it may not say that. */
static int parse(enum mb_setting which, const char *text, int64_t *value) {
  char *end;
  if (settings[which].may_be_off && strcmp(text, "off") == 0) {
    *value = MB_SETTING_OFF;
    return 1;
  }
  if (*text < '0' || *text > '9') return 0; /* strtoll would take a sign, and spaces */
  *value = strtoll(text, &end, 10); /* what is too large is the largest, and refused */
  return *end == '\0' && *value >= settings[which].least && *value <= settings[which].most;
}

int64_t mb_setting(enum mb_setting which, int64_t otherwise) {
  const char *text = getenv(settings[which].name);
  int64_t value;
  return text && *text && parse(which, text, &value) ? value : otherwise;
}

void mb_settings_check(lua_State *L) {
  for (int i = 0; i < MB_SET_COUNT; i++) {
    const char *text = getenv(settings[i].name);
    int64_t value;
    if (!text || !*text || parse((enum mb_setting)i, text, &value)) continue;
    luaL_error(L, "the environment variable %s is '%s': it may be %s from %I to %I, or empty", settings[i].name,
               mb_push_short(L, text), settings[i].what, (LUAI_UACINT)settings[i].least,
               (LUAI_UACINT)settings[i].most);
  }
}
