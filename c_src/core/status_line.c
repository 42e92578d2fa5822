#include "status_line.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "process.h"
#include "screen.h"

enum { COLUMNS = 80 };

static struct {
  pthread_mutex_t mutex; /* guards all below; taken inside of a screen's, and nothing is taken inside of it */
  struct mb_process_table *table;
  mb_pid owner;
  char *text; /* NULL: there is no line */
  int drawn, ends_at_exit;
} line = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* The screen while there is a line and no editor. */
static struct {
  pthread_mutex_t mutex; /* held between begin and end; guards: */
  int midway;            /* what was written last does not end with a newline */
} plain = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void put(const char *text, size_t size) {
  while (size > 0) {
    ssize_t n = write(STDERR_FILENO, text, size);
    if (n <= 0) return; /* a line that is lost is drawn again */
    text += n;
    size -= (size_t)n;
  }
}

/* How many bytes of a text fit into a row, whose last column stays free: there the cursor would be in the next. */
static size_t fitting(const char *text) {
  struct winsize size;
  size_t columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : COLUMNS, i;
  for (i = 0; text[i]; i++)
    if (((unsigned char)text[i] & 0xc0) != 0x80 && --columns == 0) break;
  return i;
}

static void forget(void) {
  free(line.text);
  line.text = NULL;
}

void mb_status_line_draw(void) {
  pthread_mutex_lock(&line.mutex);
  if (line.text && !mb_process_table_lookup(line.table, line.owner)) forget();
  if (line.text && !line.drawn) {
    put("\r\033[K", 4);
    put(line.text, fitting(line.text));
    line.drawn = 1;
  }
  pthread_mutex_unlock(&line.mutex);
}

void mb_status_line_erase(void) {
  pthread_mutex_lock(&line.mutex);
  if (line.drawn) put("\r\033[K", 4);
  line.drawn = 0;
  pthread_mutex_unlock(&line.mutex);
}

static int begin(FILE *to) {
  if (!isatty(fileno(to))) return 0;
  pthread_mutex_lock(&plain.mutex);
  mb_status_line_erase();
  return 1;
}

static void end(enum mb_written how) {
  plain.midway = how == MB_WRITTEN_PART;
  if (!plain.midway) mb_status_line_draw();
  pthread_mutex_unlock(&plain.mutex);
}

static void changed(void) {
  pthread_mutex_lock(&plain.mutex);
  mb_status_line_erase();
  if (!plain.midway) mb_status_line_draw();
  pthread_mutex_unlock(&plain.mutex);
}

static const struct mb_screen screen = {begin, end, changed};

/* Begin or cease to be the screen; an editor stays. */
static void be_screen(int begins) {
  const struct mb_screen *now = begins ? NULL : &screen;
  (void)atomic_compare_exchange_strong(&mb_screen, &now, begins ? &screen : NULL);
}

void mb_status_line_set(struct mb_process_table *table, mb_pid owner, const char *text) {
  const struct mb_screen *s;
  int there;
  pthread_mutex_lock(&line.mutex);
  if (text || line.owner == owner) {
    forget();
    line.text = text ? strdup(text) : NULL; /* none when memory is out */
    line.table = table;
    line.owner = owner;
  }
  there = line.text != NULL;
  if (!line.ends_at_exit) atexit(mb_status_line_erase);
  line.ends_at_exit = 1;
  pthread_mutex_unlock(&line.mutex);
  be_screen(1);
  s = atomic_load(&mb_screen);
  s->changed();
  if (!there) be_screen(0);
}

void mb_status_line_end(const struct mb_process_table *table) {
  pthread_mutex_lock(&line.mutex);
  if (line.table == table) {
    if (line.drawn) put("\r\033[K", 4);
    line.drawn = 0;
    forget();
  }
  pthread_mutex_unlock(&line.mutex);
}
