/* Entries of the log that wait for whoever takes them, oldest first; bounded by bytes.
 *
 * What finds the queue full is dropped and counted, and dropping goes on until half of the room is free, so that what
 * is missing is missing in one piece. The count stands where the entries would have stood.
 *
 * Reports of crashes have a room of their own, as large as the others', so that no other entry can push them out. Above
 * that they are counted by the place that they have in common: a summary, an entry with a count, stands where the first
 * of them would have stood. Whoever shares a backlog between threads guards it. */
#ifndef MB_BACKLOG_H
#define MB_BACKLOG_H

#include <stddef.h>
#include <stdint.h>

struct mb_record {
  struct mb_record *next;
  uint64_t missing; /* entries that were dropped just before this one */
  uint64_t alike;   /* of a summary: how many reports it stands for; its bytes are their place. 0: this is none */
  int kind;         /* the owner's */
  uint32_t place_size; /* of a report: where in the program it comes from, behind its bytes. 0: this is none */
  size_t size;         /* of bytes, without the place */
  char bytes[];
};

enum { MB_BACKLOG_PLACES = 32 }; /* places that are told apart; the last summary stands for all others */

struct mb_backlog {
  struct mb_record *head, *tail;
  struct mb_record *before_tail; /* NULL: there is none */
  size_t bytes, limit;    /* of all but reports */
  size_t report_bytes;    /* the same limit */
  uint64_t missing;  /* dropped since the last entry was let in */
  uint64_t taken_at; /* ns: when somebody took from it last */
  int shedding, shedding_reports;
  struct mb_record *summaries[MB_BACKLOG_PLACES]; /* those in the queue */
  unsigned summary_count;
  unsigned rush;  /* how often it has become more than half full after it was less than a quarter full */
  int rushing;    /* it has not been less than a quarter full since */
};

#define MB_BACKLOG_STALL_NS 500000000ull /* who has taken nothing for so long has stopped */

/* A new entry with room for size bytes; NULL when memory is out. free() ends it. Any thread. */
struct mb_record *mb_record_new(int kind, size_t size);

/* The same, of a report that has this place, of which a few hundred bytes are kept; none: an ordinary entry. */
struct mb_record *mb_record_report(int kind, size_t size, const char *place, size_t place_size);

/* The place of a report, place_size bytes. */
static inline const char *mb_record_place(const struct mb_record *e) { return e->bytes + e->size; }

/* Whether an entry is let in when there is no room. */
enum mb_keeping { MB_MAY_DROP, MB_KEEP };

/* Append. Taken over: 1; 0: dropped, counted and the caller's. */
int mb_backlog_put(struct mb_backlog *b, struct mb_record *e, enum mb_keeping keeping);

/* Put an entry, which is no report, in the place of the last one, which is none either and which the caller gets. */
struct mb_record *mb_backlog_replace(struct mb_backlog *b, struct mb_record *e);

/* Put an entry that has been taken back to where it was. */
void mb_backlog_return(struct mb_backlog *b, struct mb_record *e);

/* The oldest entry, which the caller owns; NULL: there is none. *missing: how many are missing before it. */
struct mb_record *mb_backlog_take(struct mb_backlog *b, uint64_t *missing);

/* Whether mb_backlog_take has something to tell. */
static inline int mb_backlog_any(const struct mb_backlog *b) { return b->head || b->missing; }

enum mb_pressure { MB_NO_PRESSURE, MB_PRESSED, MB_STALLED };

/* Whether those who can wait should, before they put more: when it is more than half full, and who takes from it does
 * so. Adds to *rush the number of the rush, by which somebody who has waited in vain knows that it is still the same
 * one. */
enum mb_pressure mb_backlog_pressure(struct mb_backlog *b, unsigned *rush);

#endif
