/* Entries of the log that wait for whoever takes them, oldest first; bounded by bytes.
 *
 * What finds the queue full is dropped and counted, and dropping goes on until half of the room is free, so that what
 * is missing is missing in one piece. The count stands where the entries would have stood. An entry that is to be
 * kept is let in always. Whoever shares a backlog between threads guards it. */
#ifndef MB_BACKLOG_H
#define MB_BACKLOG_H

#include <stddef.h>
#include <stdint.h>

struct mb_record {
  struct mb_record *next;
  uint64_t missing; /* entries that were dropped just before this one */
  int kind;         /* the owner's */
  size_t size;      /* of bytes */
  char bytes[];
};

struct mb_backlog {
  struct mb_record *head, *tail;
  size_t bytes, limit;
  uint64_t missing;  /* dropped since the last entry was let in */
  uint64_t taken_at; /* ns: when somebody took from it last */
  int shedding;
};

#define MB_BACKLOG_STALL_NS 500000000ull /* who has taken nothing for so long has stopped */

/* A new entry with room for size bytes; NULL when memory is out. free() ends it. Any thread. */
struct mb_record *mb_record_new(int kind, size_t size);

/* Append. Taken over: 1; 0: dropped, counted and the caller's. keep: it is let in all the same. */
int mb_backlog_put(struct mb_backlog *b, struct mb_record *e, int keep);

/* The oldest entry, which the caller owns; NULL: there is none. *missing: how many are missing before it. */
struct mb_record *mb_backlog_take(struct mb_backlog *b, uint64_t *missing);

/* Whether mb_backlog_take has something to tell. */
static inline int mb_backlog_any(const struct mb_backlog *b) { return b->head || b->missing; }

/* Whether those who can wait should, before they put more: it is more than half full, and who takes from it does so. */
int mb_backlog_pressed(const struct mb_backlog *b);

/* Free what is left. */
void mb_backlog_clear(struct mb_backlog *b);

#endif
