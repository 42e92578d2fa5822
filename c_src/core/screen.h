/* Writing beside a line editor, or a status line: it is taken off the screen around each write, and drawn again below. */
#ifndef MB_SCREEN_H
#define MB_SCREEN_H

#include <stdatomic.h>
#include <stdio.h>

/* How what was written ends. */
enum mb_written { MB_WRITTEN_PART, MB_WRITTEN_LINE };

struct mb_screen {
  int (*begin)(FILE *to); /* whether there is an end to come */
  void (*end)(enum mb_written how);
  void (*changed)(void); /* the status line has another text, or none */
};

/* NULL: there is nothing to be taken off. Set by the host, once, to the editor's; before, by status_line, while there is
 * a line. Any thread reads it. What is there is constant: an end may come when there is another. */
extern const struct mb_screen *_Atomic mb_screen;

/* Around a write of any thread to stdout or stderr, whose buffer is empty at the end; begin may wait for others, and no
 * Lua may run before the end. The end is due when begin gives something. */
static inline const struct mb_screen *mb_screen_begin(FILE *to) {
  const struct mb_screen *s = atomic_load_explicit(&mb_screen, memory_order_acquire); /* partner: the host's store */
  return s && (to == stdout || to == stderr) && s->begin(to) ? s : NULL;
}

static inline void mb_screen_end(const struct mb_screen *s, enum mb_written how) {
  if (s) s->end(how);
}

#endif
