/* The log: where the entries of C and of Lua meet.
 *
 * An entry that the level lets through becomes a text for the writer's thread (core/writer.h), or, for each handler of
 * the user's, an event for the process that runs it. Events are encoded tables in a backlog of the handler's own; its
 * process gets one message when there are some, and takes them out one by one. What it does not get to, because it dies
 * or raises, is written as text, unless the text is there already: no event depends on a handler's fate.
 *
 * What entries say is made in Lua (logger/log.lua); without it, and where it fails, plain texts are made here. */
#ifndef MB_LOG_H
#define MB_LOG_H

#include <lua.h>
#include <pthread.h>
#include <stdatomic.h>

#include "core/backlog.h"
#include "core/pid.h"
#include "core/writer.h"

struct mb_heap;
struct mb_process;
struct mb_reason;

/* Those of entries, and the two that only thresholds have: below all of them, and above. */
enum mb_log_level {
  MB_LOG_ALL,
  MB_LOG_DEBUG,
  MB_LOG_INFO,
  MB_LOG_NOTICE,
  MB_LOG_WARNING,
  MB_LOG_ERROR,
  MB_LOG_CRITICAL,
  MB_LOG_ALERT,
  MB_LOG_EMERGENCY,
  MB_LOG_NONE
};
extern const char *const mb_log_levels[]; /* their names, NULL at the end */

/* What has levels of its own, or had. */
enum mb_log_overrides { MB_LOG_OF_PROCESSES = 1, MB_LOG_OF_MODULES = 2 };

enum { MB_LOG_PROCESS_SHIFT = 28 }; /* in private_flags, from here on: a process's own level and 1; 0: it has none */

enum mb_event_kind {
  MB_EVENT_ENTRY,   /* bytes: the event, encoded */
  MB_EVENT_COPY,    /* the same, which is shown elsewhere, too: it is not written when this handler cannot handle it */
  MB_EVENT_HANDLER, /* bytes: the function for what follows, encoded */
  MB_EVENT_MARK     /* bytes: a struct mb_writer_mark */
};

/* Marks that may wait at a time: each is a process's that waits for it, or has. */
enum { MB_LOG_MOST_MARKS = 10000 };

/* How long a handler may be at one entry while another one waits to take its place. */
enum { MB_LOG_PATIENCE_MS = 1000 };

enum {
  MB_LOG_DEFAULT = 0,         /* the number of the handler that stands for the writer */
  MB_LOG_MOST_HANDLERS = 32,
  MB_LOG_NAME = 48            /* what is kept of a handler's name, and its end */
};

/* A handler: a function of the user's, or a file. Each has a process of its own, and room for what waits for it. */
struct mb_log_handler {
  atomic_int active;       /* events go to the process. Changed under the mutex */
  _Atomic(mb_pid) process; /* who takes events, or is about to end; 0: nobody. Changed under the mutex */
  /* Under the mutex. */
  int used;                /* it has been given away */
  char name[MB_LOG_NAME];  /* empty: the default one's */
  struct mb_backlog events;
  struct mb_record *taken; /* what the process is handling */
  int leaving;             /* the handler has ended: its process, or another, writes what there is, and ends then */
  int told;                /* it has been told, and has not found the backlog empty since */
  int handling;            /* the process has been given something, and has not asked for the next since */
  unsigned turns;          /* how often it has been given something */
  int watched;             /* a process sees to it that a handler does not hold up its successor */
  mb_pid cut;              /* whom that has ended; 0: nobody yet */
};

struct mb_log {
  /* Levels: relaxed, it does not matter which of two processes sees a change first. Changed under the mutex. */
  atomic_int level;     /* of entries of those that have none of their own */
  atomic_int gate;      /* nobody wants an entry below it, whoever logs */
  atomic_int overrides; /* enum mb_log_overrides */
  int lowest;           /* under the mutex: the lowest level that something had of its own */
  int floor;            /* under the mutex: below it no handler takes anything */
  struct mb_writer *writer;
  int shows_colors;         /* constant: stderr is a terminal with colours */
  atomic_int colors;        /* texts for stderr have the colour of their level; relaxed */
  atomic_uint version;      /* of the settings; 0: there were none yet. Release and acquire: changed after them */
  atomic_int styled;        /* a text is not written as it is: the settings say something else. Relaxed */
  pthread_mutex_t mutex;    /* guards what says so. Partners: every scheduler's thread; no Lua inside */
  struct mb_reason *settings; /* under the mutex: encoded; NULL: the default */
  struct mb_reason *wake;     /* the message to a handler's process; constant */
  atomic_int ending;          /* the program ends */
  atomic_uint in_vain;        /* the rush << 16 in which so many have waited in vain; relaxed, as a bound */
  atomic_uint marks;          /* that have not been reached; relaxed: a bound, to which some more do no harm */
  atomic_int handler_count;   /* the first so many have been used. Grows, under the mutex */
  struct mb_log_handler handlers[MB_LOG_MOST_HANDLERS];
};

/* How many handlers there may be something to ask of. Any thread. */
static inline int mb_log_handler_count(const struct mb_log *log) {
  return atomic_load_explicit(&log->handler_count, memory_order_acquire); /* partner: log_slot */
}

/* How many processes run handlers. Any thread. */
size_t mb_log_processes(const struct mb_log *log);

/* 0, or -1 when memory is out. */
int mb_log_init(struct mb_log *log);

/* Write what is left, as long as somebody reads it; free. Before the runtime goes. */
void mb_log_deinit(struct mb_log *log);

/* Whether entries of this level may be wanted from somebody. */
static inline int mb_log_passes(const struct mb_log *log, enum mb_log_level level) {
  return (int)level >= atomic_load_explicit(&log->gate, memory_order_relaxed);
}

/* Whether entries of this level are wanted from those that have no level of their own, as the runtime has none. */
static inline int mb_log_wants(const struct mb_log *log, enum mb_log_level level) {
  return mb_log_passes(log, level) && (int)level >= atomic_load_explicit(&log->level, memory_order_relaxed);
}

/* Change the level of all. Any thread. */
void mb_log_set_level(struct mb_log *log, enum mb_log_level level);

/* Let something have a level of its own; let no handler take anything below `floor`. The caller holds the mutex. */
void mb_log_override(struct mb_log *log, enum mb_log_overrides whose, enum mb_log_level level);
void mb_log_set_floor(struct mb_log *log, enum mb_log_level floor);

/* Log the value on the top of L's stack, a text or a table that logger/report.lua knows, and pop it. Never raises. */
void mb_log(struct mb_heap *h, lua_State *L, enum mb_log_level level);

/* An entry of the running process could not be made; why is on the top of the stack, and stays there. */
void mb_log_failure(struct mb_heap *h, lua_State *L);

enum { MB_EMIT_ARGUMENTS = 6, MB_EMIT_TEXT = 5, MB_EMIT_PLACE = 6 };

/* Who logs: what a user logs is no report of the runtime's, whatever it looks like. */
enum mb_log_source { MB_LOG_BY_USER, MB_LOG_BY_RUNTIME };

/* An entry of the value at index 1 and the metadata at 2. It has been written when this returns 0; at 1 a function is
 * left to be called, with MB_EMIT_ARGUMENTS on the top of the stack: level, value, metadata, the kind of a report of
 * the runtime's, and the text and the place of a crash's. */
int mb_log_make_entry(struct mb_heap *h, lua_State *L, enum mb_log_level level, enum mb_log_source by);

/* Let the writer write "HH:MM:SS.mmm [level] text"; time in ms since 1970; place: what a report has in common with
 * those like it, NULL: it is none. */
void mb_log_write(struct mb_log *log, enum mb_log_level level, int64_t time, const char *text, size_t size,
                  const char *place);

/* Let the writer write a text as it is. */
void mb_log_write_raw(struct mb_log *log, const char *text, size_t size, const char *place);

/* The text that stands for dropped entries, or for the reports of a summary; "the handler" or "stderr": who has not
 * taken them. Returns its size. */
size_t mb_log_dropped(char *text, size_t size, uint64_t dropped, const struct mb_record *summary, const char *who);

/* ms since 1970. */
int64_t mb_system_time(void);

/* Push a function of moonbeam.logger.log; 0 and nothing pushed when that is not loaded yet. */
int mb_log_push_function(struct mb_heap *h, lua_State *L, const char *name);

/* Let the writer take over a mark from among the events: it is reached when what was before it is written. */
void mb_log_pass_mark(struct mb_log *log, struct mb_record *mark);

/* The rest: log_handler.c. */

/* Append to a handler's events and tell its process; the entry is taken over when this returns 1. 0: nobody handles
 * it. */
int mb_log_event(struct mb_heap *h, struct mb_log_handler *to, struct mb_record *e);

/* What stands for a handler that is set: its function, or nothing for none. */
enum mb_log_handlers { MB_HANDLERS_ALL, MB_HANDLERS_FUNCTIONS };

/* How many of these wait for what was logged before they were set. The caller holds the mutex. */
unsigned mb_log_successors(const struct mb_log_handler *to, enum mb_log_handlers which);

/* When p, which is dead, is a process that takes events: let another one write as text what is left. Owner's
 * thread. */
void mb_log_on_exit(struct mb_heap *h, struct mb_process *p);

/* The script has ended: let the handler take what is left, for up to a second, and the writer write it. The thread of
 * the first scheduler, outside of processes. */
void mb_log_settle(struct mb_heap *h);

#endif
