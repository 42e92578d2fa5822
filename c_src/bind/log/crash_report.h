/* The report of a process that comes to its end by an error, and its text. */
#ifndef MB_CRASH_REPORT_H
#define MB_CRASH_REPORT_H

#include "heap/heap.h"

/* Push the report of how p, which is alive, comes to its end: a table with kind = "crash", pid, name, reason, error and
 * traceback when it is an error's, spawned_at, parent, callers, ancestors. The reason is at `reason`. May raise. */
void mb_push_crash(struct mb_heap *h, lua_State *L, struct mb_process *p, int reason);

/* Push the text of such a report. Values of the user's are shown by the functions at the stack indices `short_text` and
 * `reason_text`, in protected calls: this raises only when memory is out. A server's report has more fields; see
 * moonbeam.logger.report. */
void mb_push_crash_text(struct mb_heap *h, lua_State *L, int report, int short_text, int reason_text);

/* Push what reports like this one, of a crash, have in common: what died, and where it was spawned. May raise. */
void mb_push_crash_place(lua_State *L, int report);

#endif
