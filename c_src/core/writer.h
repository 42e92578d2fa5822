/* Writes the log's entries to a file descriptor, so that nobody waits for a slow terminal or a pipe that is not read.
 *
 * An entry is written at once where the system takes it at once. Where it does not, this entry and those that follow go
 * to a backlog, and a thread, started then, does the waiting. Each entry is one write, so entries do not interleave.
 * What does not fit into the backlog is dropped and counted, and the count is written where the entries are missing.
 * When the program exits, what is left is written, as long as the reader takes it. */
#ifndef MB_WRITER_H
#define MB_WRITER_H

#include "backlog.h"

struct mb_writer;

/* Kinds of entries. */
enum mb_writer_kind {
  MB_WRITE_TEXT, /* bytes are written as they are */
  MB_WRITE_MARK  /* bytes hold a struct mb_writer_mark */
};

/* Tells that all before it has been written: called once on the writer's thread, or where the entry is ended. */
struct mb_writer_mark {
  void (*reached)(void *data);
  void *data;
};

/* Tell that the mark has been reached, and free it. Any thread. */
void mb_writer_reach(struct mb_record *mark);

/* The text about dropped entries; about reports, where `summary` is not NULL. Writes up to size bytes, returns how
 * many. Called on the writer's thread. */
typedef size_t (*mb_writer_notice)(char *text, size_t size, uint64_t dropped, const struct mb_record *summary);

/* Around each write, on the writer's thread: what begin gives is end's. While it is needed, all is written there, for
 * begin may wait for others. */
struct mb_writer_frame {
  int (*needed)(void); /* any thread */
  const void *(*begin)(void);
  void (*end)(const void *begun);
};

/* A new writer; frame: NULL, or for as long as the writer lives. NULL when memory is out. The descriptor stays the
 * caller's. */
struct mb_writer *mb_writer_new(int fd, size_t limit, mb_writer_notice notice, const struct mb_writer_frame *frame);

/* Write the entry, which is taken over; it is dropped when the backlog is full. Any thread; waits for nothing but a
 * short lock. */
void mb_writer_put(struct mb_writer *w, struct mb_record *e);

/* As mb_backlog_pressure. Any thread. */
enum mb_pressure mb_writer_pressure(struct mb_writer *w, unsigned *rush);

/* Wait until all that has been put is written: 1; 0: the reader has taken nothing for a second, or it takes too long.
 * Any thread but the writer's. */
int mb_writer_drain(struct mb_writer *w);

/* Drain, end the thread, free. Nobody uses it any more. NULL is allowed. */
void mb_writer_free(struct mb_writer *w);

#endif
