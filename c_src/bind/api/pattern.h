/* Patterns: what receive and match compare values with. See the API's documentation of receive. */
#ifndef MB_PATTERN_H
#define MB_PATTERN_H

#include "heap/heap.h"

/* `any`, `is.string` and so on are immediates like pids, with a tag of their own, so that they mean the
 * same wherever they travel. */
#define MB_TAG_PATTERN 5u

enum mb_pattern {
  MB_ANY, MB_IS_STRING, MB_IS_NUMBER, MB_IS_INTEGER, MB_IS_BOOLEAN, MB_IS_TABLE, MB_IS_FUNC,
  MB_IS_PID, MB_IS_REF,
  MB_MAYBE,           /* anything, or an item or field that is missing */
  MB_IGNORE, MB_REST, /* these two capture something else than one value */
  MB_PATTERN_COUNT
};

/* How many values the pattern at the absolute index `pattern` captures. Raises when it nests too deeply. */
int mb_count_captures(struct mb_heap *h, lua_State *L, int pattern);

/* "any", "is.string", ...; NULL when v is no such immediate. */
const char *mb_pattern_text(uint64_t v);
void mb_push_pattern(lua_State *L, enum mb_pattern p);

/* Match the value at `value` against the pattern at `pattern` (absolute indices): 1 with the captures
 * pushed, or 0 with the stack as it was. Raises when a pattern nests too deeply. */
int mb_match(struct mb_heap *h, lua_State *L, int pattern, int value);

/* Whether the message cannot match the pattern, as far as its encoded form tells at once. */
int mb_cannot_match(struct mb_heap *h, lua_State *L, int pattern, const struct mb_signal *s);

#endif
