/* What an ended coroutine died of, and the report of it. */
#ifndef MB_CRASH_H
#define MB_CRASH_H

#include "heap.h"

enum mb_log_level { MB_LOG_DEBUG, MB_LOG_INFO, MB_LOG_WARNING, MB_LOG_ERROR, MB_LOG_NONE };

/* Doom p with the error on the top of its coroutine's stack: the reason of an exit, or
 * {"error", value, traceback}, which is logged. Never raises. */
void mb_crash(struct mb_heap *h, struct mb_process *p, lua_State *co);

/* Write one entry, "HH:MM:SS.mmm [level] text", to stderr in one write when the level allows it. */
void mb_log(struct mb_heap *h, enum mb_log_level level, const char *text, size_t size);

/* Push the inspect text of the value at index; falls back to a plain text. May raise. */
void mb_push_inspect(struct mb_heap *h, lua_State *L, int index);

/* Push the registered name of a process; 0 and nothing pushed when it has none. */
int mb_push_name(struct mb_heap *h, lua_State *L, struct mb_process *p);

#endif
