/* Process identifiers and references: immediate 64-bit values that fit a Lua light userdata.
 *
 *   pid        bits 0-2 tag 1 | 3-27 slot index (25) | 28-55 generation (28) | 56-63 node
 *   reference  bits 0-2 tag 3 | 3-45 counter (43)    | 46-55 scheduler (10)  | 56-63 node
 *
 * The tags are odd, so that no aligned pointer is mistaken for either. Node 0 is this node. A slot
 * whose generations are used up is retired, so a pid is never given out twice. */
#ifndef MB_PID_H
#define MB_PID_H

#include <stddef.h>
#include <stdint.h>

typedef uint64_t mb_pid;
typedef uint64_t mb_ref;

#define MB_TAG_MASK 7u
#define MB_TAG_PID 1u
#define MB_TAG_REF 3u
#define MB_INDEX_BITS 25
#define MB_GENERATION_BITS 28
#define MB_MAX_INDEX ((1u << MB_INDEX_BITS) - 1)
#define MB_MAX_GENERATION ((1u << MB_GENERATION_BITS) - 1)
#define MB_COUNTER_BITS 43
#define MB_MAX_SCHEDULERS 1024

static inline mb_pid mb_pid_make(uint32_t index, uint32_t generation) {
  return (uint64_t)MB_TAG_PID | (uint64_t)index << 3 | (uint64_t)generation << 28;
}

static inline int mb_is_pid(uint64_t v) { return (v & MB_TAG_MASK) == MB_TAG_PID; }
static inline int mb_is_ref(uint64_t v) { return (v & MB_TAG_MASK) == MB_TAG_REF; }
static inline uint32_t mb_pid_index(mb_pid p) { return (uint32_t)(p >> 3) & MB_MAX_INDEX; }
static inline uint32_t mb_pid_generation(mb_pid p) { return (uint32_t)(p >> 28) & MB_MAX_GENERATION; }
static inline uint32_t mb_pid_node(mb_pid p) { return (uint32_t)(p >> 56); }

static inline mb_ref mb_ref_make(uint64_t counter, uint32_t scheduler) {
  return (uint64_t)MB_TAG_REF | (counter & ((1ull << MB_COUNTER_BITS) - 1)) << 3 |
         (uint64_t)scheduler << 46;
}
static inline uint64_t mb_ref_counter(mb_ref r) { return (r >> 3) & ((1ull << MB_COUNTER_BITS) - 1); }
static inline uint32_t mb_ref_scheduler(mb_ref r) { return (uint32_t)(r >> 46) & 1023; }

/* Room for the longest text of a pid or a reference, the final zero included. */
#define MB_ID_TEXT 64

/* Write `#PID<node.index.generation>` or `#Reference<node.scheduler.high.low>` into buf (at least
 * MB_ID_TEXT bytes); returns the length. Any thread. */
size_t mb_pid_text(mb_pid p, char *buf);
size_t mb_ref_text(mb_ref r, char *buf);

/* Read the text of a pid, with or without the `#PID<` and `>`. 1 and the pid, or 0. */
int mb_pid_parse(const char *text, mb_pid *out);

#endif
