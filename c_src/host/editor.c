#include "host/editor.h"

#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <ucontext.h>
#include <unistd.h>
#include <wchar.h>

#include "core/screen.h"
#include "core/status_line.h"
#include "host/signals.h"

enum { STACK_SIZE = 512 * 1024, HISTORY_SIZE = 1000, ESCAPE_MS = 50 };

static struct {
  /* Guards everything below that the drawing of the line needs, and the terminal. Partner: screen_begin, on any thread.
   * No Lua runs under it. */
  pthread_mutex_t mutex;
  EditLine *el;
  FILE *out;
  int editing; /* a line is on the screen */
  int midway;  /* what was written last does not end with a newline */
  char *prompt;

  /* The loop's thread only. */
  History *history;
  locale_t locale; /* UTF-8, for libedit alone: the program's is not touched */
  mb_edit_event event;
  uv_poll_t keys;
  uv_signal_t resized, suspended;
  ucontext_t loop, editor; /* where the one left off when the other runs */
  void *stack;
  int wanted;     /* a line has been asked for */
  int aborted;    /* the read of a key fails, and so the line */
  int completing; /* an answer is awaited; no key is read */
  char *insertion, *above; /* the answer */
  /* What happened while the editor ran, told when it has left. */
  int happened; /* enum mb_edit, or -1 */
  char *text;
  size_t size;
} e = {.mutex = PTHREAD_MUTEX_INITIALIZER, .happened = -1};

int mb_editor_possible(void) {
  const char *term = getenv("TERM");
  return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

int mb_editor_columns(void) {
  struct winsize size;
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

int mb_editor_rows(void) {
  struct winsize size;
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row : 24;
}

/* Taking the line off the screen */

/* How many columns libedit shows a character in, at a column. */
static int width_of(wchar_t c, int column) {
  int width;
  if (c == L'\t') return 8 - column % 8;
  if (c < 32 || c == 127) return 2; /* ^X */
  width = wcwidth(c);
  return width < 0 ? 8 : width; /* \U+00000 */
}

/* The row of the cursor, counted from the one of the prompt. */
static int cursor_row(void) {
  const LineInfoW *line = el_wline(e.el);
  int columns = mb_editor_columns(), column = (int)strlen(e.prompt), row = column / columns;
  column %= columns;
  for (const wchar_t *c = line->buffer; c < line->cursor; c++) {
    int width = *c == L'\n' ? columns - column : width_of(*c, column);
    if (column + width > columns) column = columns; /* a wide one does not fit: it goes to the next row */
    row += column / columns;
    column = column % columns + width;
    row += column / columns;
    column %= columns;
  }
  return row;
}

static void take_off(void) {
  int row = cursor_row();
  fputc('\r', e.out);
  if (row > 0) fprintf(e.out, "\033[%dA", row);
  fputs("\033[J", e.out);
  fflush(e.out);
}

static void draw(void) { el_set(e.el, EL_REFRESH); }

static locale_t use_locale(void) { return uselocale(e.locale); }

static int screen_begin(FILE *to) {
  locale_t before;
  if (!isatty(fileno(to))) return 0;
  pthread_mutex_lock(&e.mutex);
  if (e.editing) {
    before = use_locale();
    take_off();
    uselocale(before);
  } else {
    mb_status_line_erase();
  }
  return 1;
}

static void end_line(void) {
  if (e.midway) fputc('\n', e.out);
  e.midway = 0;
}

static void screen_end(enum mb_written how) {
  e.midway = how == MB_WRITTEN_PART;
  if (e.editing) {
    locale_t before = use_locale();
    end_line();
    draw();
    uselocale(before);
  } else if (!e.midway) {
    mb_status_line_draw();
  }
  pthread_mutex_unlock(&e.mutex);
}

/* While a line is edited the status is not shown. */
static void status_changed(void) {
  pthread_mutex_lock(&e.mutex);
  if (!e.editing) {
    mb_status_line_erase();
    if (!e.midway) mb_status_line_draw();
  }
  pthread_mutex_unlock(&e.mutex);
}

static const struct mb_screen screen = {screen_begin, screen_end, status_changed};

/* The editor's side of the two stacks */

static void leave(void) { swapcontext(&e.editor, &e.loop); }

/* One byte, when it is there within ms: 1; 0 at the end of the input, -1 when there is none. */
static int read_byte(unsigned char *byte, int ms) {
  struct pollfd fd = {STDIN_FILENO, POLLIN, 0};
  ssize_t n;
  do {
    if (poll(&fd, 1, ms) <= 0) return -1;
    n = read(STDIN_FILENO, byte, 1);
  } while (n < 0 && errno == EINTR);
  return n > 0 ? 1 : n == 0 || errno != EAGAIN ? 0 : -1;
}

/* The rest of a UTF-8 character; what is ill-formed becomes the replacement character. */
static wchar_t read_rest(unsigned char first) {
  int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
  wchar_t c = first & (0x3f >> more);
  unsigned char byte;
  if (first < 0xc2 || first > 0xf4) return 0xfffd;
  while (more-- > 0) {
    if (read_byte(&byte, ESCAPE_MS) != 1 || (byte & 0xc0) != 0x80) return 0xfffd;
    c = c << 6 | (byte & 0x3f);
  }
  return c;
}

static int read_key(EditLine *el, wchar_t *key) {
  unsigned char byte;
  int n;
  (void)el;
  while (!e.aborted && (n = read_byte(&byte, 0)) < 0) leave();
  if (e.aborted) return -1;
  if (n == 0) return 0;
  mb_forget_interrupts();
  *key = byte < 0x80 ? byte : read_rest(byte);
  return 1;
}

static void happen(enum mb_edit what, const char *text, size_t size) {
  char *copy = malloc(size + 1);
  if (!copy) return;
  memcpy(copy, text, size);
  copy[size] = '\0';
  free(e.text);
  e.happened = what;
  e.text = copy;
  e.size = size;
}

static unsigned char complete(EditLine *el, int key) {
  const LineInfo *line = el_line(el);
  unsigned char result = CC_ERROR;
  (void)key;
  happen(MB_EDIT_COMPLETE, line->buffer, (size_t)(line->cursor - line->buffer));
  e.completing = 1;
  while (e.completing && !e.aborted) leave();
  e.completing = 0;
  if (e.above && *e.above) {
    take_off();
    fputs(e.above, e.out);
    draw();
    result = CC_NORM;
  }
  if (e.insertion && *e.insertion && el_insertstr(el, e.insertion) == 0) result = CC_REFRESH;
  free(e.insertion);
  free(e.above);
  e.insertion = e.above = NULL;
  return result;
}

static char *show_prompt(EditLine *el) {
  (void)el;
  return e.prompt;
}

static void edit(void) {
  for (;;) {
    const char *line;
    int size;
    while (!e.wanted) leave();
    mb_status_line_erase();
    end_line();
    e.editing = 1;
    line = el_gets(e.el, &size);
    e.editing = 0;
    e.wanted = 0;
    if (e.aborted)
      e.aborted = 0;
    else if (!line || size <= 0)
      happen(MB_EDIT_END, "", 0);
    else
      happen(MB_EDIT_LINE, line, (size_t)size - (line[size - 1] == '\n'));
  }
}

/* The loop's side */

static void on_keys(uv_poll_t *poll, int status, int events);

/* Let the editor run until it wants a key that is not there, or has something to tell. */
static void enter(void) {
  int what;
  char *text;
  locale_t before;
  pthread_mutex_lock(&e.mutex);
  before = use_locale();
  swapcontext(&e.loop, &e.editor);
  uselocale(before);
  fflush(e.out);
  pthread_mutex_unlock(&e.mutex);
  if (e.wanted && !e.completing)
    uv_poll_start(&e.keys, UV_READABLE, on_keys);
  else
    uv_poll_stop(&e.keys);
  what = e.happened;
  text = e.text;
  e.happened = -1;
  e.text = NULL;
  if (what >= 0) e.event((enum mb_edit)what, text, e.size);
  free(text);
}

static void on_keys(uv_poll_t *poll, int status, int events) {
  (void)poll;
  (void)status;
  (void)events;
  enter();
}

static void on_resized(uv_signal_t *handle, int number) {
  locale_t before = use_locale();
  (void)handle;
  (void)number;
  pthread_mutex_lock(&e.mutex);
  el_resize(e.el);
  if (e.editing) {
    take_off();
    draw();
  }
  pthread_mutex_unlock(&e.mutex);
  uselocale(before);
}

/* Ctrl-Z: the terminal is as others expect it while we are stopped. */
static void on_suspended(uv_signal_t *handle, int number) {
  locale_t before = use_locale();
  (void)handle;
  (void)number;
  pthread_mutex_lock(&e.mutex);
  if (e.editing) el_set(e.el, EL_PREP_TERM, 0);
  raise(SIGSTOP);
  if (e.editing) {
    el_set(e.el, EL_PREP_TERM, 1);
    draw();
  }
  pthread_mutex_unlock(&e.mutex);
  uselocale(before);
}

void mb_editor_read(const char *prompt) {
  char *copy = strdup(prompt);
  locale_t before;
  if (!copy) return;
  pthread_mutex_lock(&e.mutex);
  before = use_locale();
  if (e.editing) take_off();
  free(e.prompt);
  e.prompt = copy;
  if (e.editing) draw();
  uselocale(before);
  pthread_mutex_unlock(&e.mutex);
  if (e.wanted) return;
  e.wanted = 1;
  enter();
}

int mb_editor_reads(void) { return e.wanted; }

void mb_editor_abort(void) {
  const LineInfo *line;
  locale_t before;
  if (!e.wanted) return;
  pthread_mutex_lock(&e.mutex);
  before = use_locale();
  line = el_line(e.el);
  take_off();
  el_cursor(e.el, (int)(line->lastchar - line->cursor));
  draw();
  fputs("^C\n", e.out);
  uselocale(before);
  pthread_mutex_unlock(&e.mutex);
  e.aborted = 1;
  enter();
}

void mb_editor_complete(const char *insertion, const char *above) {
  if (!e.completing) return;
  e.insertion = strdup(insertion);
  e.above = strdup(above);
  e.completing = 0;
  enter();
}

void mb_editor_remember(const char *line) {
  HistEvent ev;
  history(e.history, &ev, H_ENTER, line);
}

/* Watch standard input, which stays blocking for everybody else who has it open. */
static int watch_keys(uv_loop_t *loop) {
  int flags = fcntl(STDIN_FILENO, F_GETFL);
  if (uv_poll_init(loop, &e.keys, STDIN_FILENO) != 0) return -1;
  if (flags >= 0) fcntl(STDIN_FILENO, F_SETFL, flags);
  uv_signal_init(loop, &e.resized);
  uv_signal_init(loop, &e.suspended);
  uv_signal_start(&e.resized, on_resized, SIGWINCH);
  uv_signal_start(&e.suspended, on_suspended, SIGTSTP);
  return 0;
}

static int open_libedit(void) {
  HistEvent ev;
  int copy = dup(STDOUT_FILENO); /* a stream of its own: its lock is nobody else's */
  e.locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
  e.out = copy >= 0 ? fdopen(copy, "w") : NULL;
  e.history = history_init();
  e.prompt = strdup("");
  if (!e.locale || !e.out || !e.history || !e.prompt) return -1;
  use_locale();
  e.el = el_init("moonbeam", stdin, e.out, e.out);
  if (!e.el) return -1;
  history(e.history, &ev, H_SETSIZE, HISTORY_SIZE);
  history(e.history, &ev, H_SETUNIQUE, 1);
  el_set(e.el, EL_SIGNAL, 0);
  el_set(e.el, EL_EDITOR, "emacs");
  el_set(e.el, EL_HIST, history, e.history);
  el_set(e.el, EL_PROMPT, show_prompt);
  el_set(e.el, EL_GETCFN, read_key);
  el_set(e.el, EL_ADDFN, "moonbeam-complete", "complete the name before the cursor", complete);
  el_source(e.el, NULL);
  el_set(e.el, EL_BIND, "^I", "moonbeam-complete", NULL);
  return 0;
}

int mb_editor_open(uv_loop_t *loop, mb_edit_event event) {
  locale_t before = uselocale((locale_t)0);
  int err = open_libedit();
  uselocale(before);
  if (err || watch_keys(loop) != 0) return -1;
  e.event = event;
  e.stack = malloc(STACK_SIZE);
  if (!e.stack || getcontext(&e.editor) != 0) return -1;
  e.editor.uc_stack.ss_sp = e.stack;
  e.editor.uc_stack.ss_size = STACK_SIZE;
  e.editor.uc_link = NULL;
  makecontext(&e.editor, edit, 0);
  atexit(mb_editor_close);
  atomic_store(&mb_screen, &screen);
  return 0;
}

void mb_editor_close(void) {
  if (!e.el) return;
  pthread_mutex_lock(&e.mutex);
  if (e.editing) {
    take_off();
    el_set(e.el, EL_PREP_TERM, 0); /* the terminal as it was before */
  }
  e.editing = 0;
  fflush(e.out);
  pthread_mutex_unlock(&e.mutex);
}
