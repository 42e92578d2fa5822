/* Levels of the log as scripts name them. */
#ifndef MB_LOG_LEVEL_H
#define MB_LOG_LEVEL_H

#include "log/log.h"

/* The level whose name is at `at`, one from least to most; -1: it is none of these. */
int mb_log_level_of(lua_State *L, int at, enum mb_log_level least, enum mb_log_level most);

/* The same of argument `at`; raises naming the function, with the levels there are. */
int mb_log_check_level(struct mb_heap *h, lua_State *L, const char *function, int at, enum mb_log_level least,
                       enum mb_log_level most);

/* Whether an entry that mb_log_passes is wanted from who calls the C function that runs on L. May raise. */
int mb_log_is_wanted(struct mb_heap *h, lua_State *L, enum mb_log_level level);

#endif
