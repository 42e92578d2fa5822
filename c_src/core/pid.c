#include "pid.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

size_t mb_pid_text(mb_pid p, char *buf) {
  return (size_t)snprintf(buf, MB_ID_TEXT, "#PID<%u.%u.%u>", mb_pid_node(p), mb_pid_index(p),
                          mb_pid_generation(p));
}

size_t mb_ref_text(mb_ref r, char *buf) {
  uint64_t counter = mb_ref_counter(r);
  return (size_t)snprintf(buf, MB_ID_TEXT, "#Reference<%u.%u.%u.%u>", (unsigned)(r >> 56),
                          mb_ref_scheduler(r), (unsigned)(counter >> 24),
                          (unsigned)(counter & 0xffffff));
}

int mb_pid_parse(const char *text, mb_pid *out) {
  unsigned node, index, generation;
  int end = 0;
  if (strncmp(text, "#PID<", 5) == 0) text += 5;
  if (sscanf(text, "%u.%u.%u%n", &node, &index, &generation, &end) != 3) return 0;
  if (text[end] == '>') end++;
  if (text[end] != '\0' || node > 255 || index > MB_MAX_INDEX || generation > MB_MAX_GENERATION)
    return 0;
  *out = mb_pid_make(index, generation) | (uint64_t)node << 56;
  return 1;
}
