/* Errors that point at the user's code: the first stack level outside the runtime's own files. */
#ifndef MB_ERRORS_H
#define MB_ERRORS_H

#include "heap/heap.h"

enum { MB_FUNCTION_NAME = 48 }; /* the longest name of a function of the library, and its end */

/* How what is encoded has been given. */
enum mb_given_form {
  MB_GIVEN_ITSELF, /* each value is an argument */
  MB_GIVEN_PACKED  /* the items of the one value, a sequence, are */
};

/* See mb_given_to. */
struct mb_given {
  char to[MB_FUNCTION_NAME]; /* empty: nobody in particular */
  enum mb_given_form form;
  int number; /* what value 0, or item 0, would be as an argument */
};

/* Whether a chunk of this source is one of the runtime's own files. */
int mb_is_own(const struct mb_heap *h, const char *source);

/* Raise that memory is out, as Lua words it: at the user's line, unless there is no memory for that, either. */
int mb_no_memory(lua_State *L);

/* The innermost line of the user's on the stack of L, any thread, from that level on (0: what runs there; 1: who called
 * it): *ar has its source and line. 0: there is none. */
int mb_user_line(const struct mb_heap *h, lua_State *L, int level, lua_Debug *ar);

/* Push "file:line: " of that level, or "" when there is none. */
void mb_push_where(struct mb_heap *h, lua_State *L);

/* Raise the formatted text there (formats of lua_pushfstring). */
int mb_raise(struct mb_heap *h, lua_State *L, const char *format, ...);

/* What is encoded from here on was given to the library's function `function`, whose argument a refusal will name:
 * value or item i is argument number + i. */
void mb_given_to(struct mb_heap *h, const char *function, enum mb_given_form form, int number);

/* What is encoded from here on concerns no function in particular. */
static inline void mb_given_to_nobody(struct mb_heap *h) { h->given->to[0] = 0; }

/* Raise "bad argument #index to 'function' (text)" there. */
int mb_bad_argument(struct mb_heap *h, lua_State *L, const char *function, int index,
                    const char *format, ...);

/* Raise "... (expected expected, got TYPE)" about the value at stack index `at`. */
int mb_bad_type(struct mb_heap *h, lua_State *L, const char *function, int index,
                const char *expected, int at);

/* Push a text as errors quote it: the beginning of one that is longer than MB_SHORT, and "...". Returns what is
 * pushed. */
const char *mb_push_short(lua_State *L, const char *text);
enum { MB_SHORT = 200 };

/* Push the value at stack index `index`, a positive one, as errors show what they got: strings in quotes, tables and
 * the like by their type. Returns the text. */
const char *mb_push_shown(struct mb_heap *h, lua_State *L, int index);

/* An argument that is a table of options, or none: every key is one of `known`, which ends with NULL, or this raises
 * with the names there are. The twin of lua/moonbeam/internal/options.lua. */
void mb_check_options(struct mb_heap *h, lua_State *L, int at, const char *function, int index,
                      const char *const *known);

/* The value of a boolean option in the table at stack index `at`; raises when it is another value. */
int mb_check_flag(struct mb_heap *h, lua_State *L, int at, const char *name, const char *function, int index);

/* The name of a value's type as users know it: "pid" and "reference" included. */
const char *mb_type_name(struct mb_heap *h, lua_State *L, int index);

#endif
