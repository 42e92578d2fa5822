/* Errors that point at the user's code: the first stack level outside the runtime's own files. */
#ifndef MB_ERRORS_H
#define MB_ERRORS_H

#include "heap/heap.h"

/* Whether a chunk of this source is one of the runtime's own files. */
int mb_is_own(const struct mb_heap *h, const char *source);

/* Push "file:line: " of that level, or "" when there is none. */
void mb_push_where(struct mb_heap *h, lua_State *L);

/* Raise the formatted text there (formats of lua_pushfstring). */
int mb_raise(struct mb_heap *h, lua_State *L, const char *format, ...);

/* What is encoded from here on was given to the library's function `function`, which a refusal will name; NULL: to nobody
 * in particular. A packed request is {what, argument 2}. */
void mb_given_to(struct mb_heap *h, const char *function, int packed);

/* Raise "bad argument #index to 'function' (text)" there. */
int mb_bad_argument(struct mb_heap *h, lua_State *L, const char *function, int index,
                    const char *format, ...);

/* Raise "... (expected expected, got TYPE)" about the value at stack index `at`. */
int mb_bad_type(struct mb_heap *h, lua_State *L, const char *function, int index,
                const char *expected, int at);

/* Push the value at stack index `index`, a positive one, as errors show what they got: strings in quotes, tables and the
 * like by their type. Returns the text. */
const char *mb_push_shown(struct mb_heap *h, lua_State *L, int index);

/* An argument that is a table of options, or none: every key is one of `known`, which ends with NULL, or this raises with
 * the names there are. The twin of lua/moonbeam/internal/options.lua. */
void mb_check_options(struct mb_heap *h, lua_State *L, int at, const char *function, int index,
                      const char *const *known);

/* The value of a boolean option in the table at stack index `at`; raises when it is another value. */
int mb_check_flag(struct mb_heap *h, lua_State *L, int at, const char *name, const char *function, int index);

/* The name of a value's type as users know it: "pid" and "reference" included. */
const char *mb_type_name(struct mb_heap *h, lua_State *L, int index);

/* Raise that what runs on L, outside of any process, cannot do what it has asked for: only a process can. For a finalizer,
 * whose errors Lua drops, logged once per place. */
void mb_refuse_outside(struct mb_heap *h, lua_State *L);

/* Raise where the calling process may not take messages: a receive that looks at one runs a guard or predicate. */
void mb_check_takes(struct mb_heap *h, lua_State *L);

/* The deadline of a wait for 0 ms. */
#define MB_NO_TIME 1u

/* A timeout argument in ms as a deadline in ns: 0 for none ("infinity", math.huge, and nil if
 * allowed), MB_NO_TIME for 0 ms. A new wait of the running process begins. Raises naming the argument. */
uint64_t mb_check_deadline(struct mb_heap *h, lua_State *L, int at, const char *function, int index,
                           int nil_allowed);

#endif
