/* The log's writer: order, whole entries, what is dropped and what is not, a reader that does not read. */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "core/writer.h"
#include "test/check.h"

enum { LIMIT = 100000, BIG = 500, SMALL = 20 };

static size_t notice(char *text, size_t size, uint64_t dropped, const struct mb_record *summary) {
  if (summary)
    return (size_t)snprintf(text, size, "%llu like %.*s\n", (unsigned long long)dropped, (int)summary->size,
                            summary->bytes);
  return (size_t)snprintf(text, size, "dropped %llu\n", (unsigned long long)dropped);
}

/* place: of a report, or NULL */
static void put(struct mb_writer *w, const char *text, const char *place) {
  struct mb_record *e = mb_record_report(MB_WRITE_TEXT, strlen(text), place, place ? strlen(place) : 0);
  CHECK(e);
  memcpy(e->bytes, text, e->size);
  mb_writer_put(w, e);
}

static void on_mark(void *data) { atomic_fetch_add((atomic_int *)data, 1); }

static void put_mark(struct mb_writer *w, atomic_int *count) {
  struct mb_writer_mark mark = {on_mark, count};
  struct mb_record *e = mb_record_new(MB_WRITE_MARK, sizeof mark);
  CHECK(e);
  memcpy(e->bytes, &mark, sizeof mark);
  mb_writer_put(w, e);
}

/* The backlog by itself: everything comes out or is counted, in order. */
TEST(what_goes_into_a_backlog_comes_out_in_order_or_is_counted) {
  struct mb_backlog b = {.limit = LIMIT};
  uint64_t missing, in = 0, out = 0, lost = 0, next = 0;
  for (int round = 0; round < 100000; round++) {
    if (check_random() % 5 < 3) {
      struct mb_record *e = mb_record_new(0, sizeof in + check_random() % BIG);
      memcpy(e->bytes, &in, sizeof in);
      in++;
      if (!mb_backlog_put(&b, e, MB_MAY_DROP)) free(e);
    } else {
      struct mb_record *e = mb_backlog_take(&b, &missing);
      lost += missing;
      next += missing;
      if (e) {
        uint64_t number;
        memcpy(&number, e->bytes, sizeof number);
        CHECK(number == next);
        next++;
        out++;
        free(e);
      }
    }
    CHECK(b.bytes <= LIMIT);
  }
  while (mb_backlog_any(&b)) {
    struct mb_record *e = mb_backlog_take(&b, &missing);
    lost += missing;
    if (e) out++;
    free(e);
  }
  CHECK(lost > 0 && in == out + lost && b.bytes == 0);
}

/* Entries with some numbers of reports among them, from more places than are told apart: no entry takes a report's
 * room, and no report is lost without being counted, by its place where there are few. */
static void reports(unsigned places) {
  struct mb_backlog b = {.limit = LIMIT};
  uint64_t missing, in[100] = {0}, out[100] = {0}, elsewhere = 0, sum_in = 0, sum_out = 0;
  for (int round = 0; round < 200000 || b.head; round++) {
    struct mb_record *e;
    if (round < 200000 && check_random() % 5 < 3) {
      char place[16];
      unsigned n = check_random() % (2 * places);
      int size = snprintf(place, sizeof place, "%u", n);
      e = n < places ? mb_record_report(0, check_random() % BIG + sizeof n, place, (size_t)size)
                     : mb_record_new(0, BIG);
      if (n < places) {
        memcpy(e->bytes, &n, sizeof n);
        in[n]++;
      }
      if (!mb_backlog_put(&b, e, MB_MAY_DROP)) free(e);
    } else if ((e = mb_backlog_take(&b, &missing))) {
      unsigned n;
      if (e->alike && !e->size) {
        elsewhere += e->alike;
      } else if (e->alike) {
        char place[16] = "";
        memcpy(place, e->bytes, e->size);
        CHECK(sscanf(place, "%u", &n) == 1 && n < places);
        out[n] += e->alike;
      } else if (e->place_size) {
        memcpy(&n, e->bytes, sizeof n);
        out[n]++;
      }
      free(e);
    }
    CHECK(b.bytes <= LIMIT && b.report_bytes <= LIMIT && b.summary_count <= MB_BACKLOG_PLACES);
  }
  for (unsigned i = 0; i < places; i++) {
    sum_in += in[i];
    sum_out += out[i];
    CHECK(places >= MB_BACKLOG_PLACES || in[i] == out[i]);
  }
  CHECK(sum_in == sum_out + elsewhere && (places >= MB_BACKLOG_PLACES) == (elsewhere > 0));
  CHECK(b.report_bytes == 0 && b.summary_count == 0 && !b.tail && !b.before_tail);
}

/* The last entry can be replaced, wherever the one before it has gone. */
TEST(the_last_entry_can_be_replaced) {
  struct mb_backlog b = {.limit = LIMIT};
  uint64_t missing;
  for (int before = 0; before < 3; before++) {
    struct mb_record *old = mb_record_new(0, 10), *e = mb_record_new(1, 20);
    for (int i = 0; i < before; i++) CHECK(mb_backlog_put(&b, mb_record_new(0, 5), MB_MAY_DROP));
    CHECK(mb_backlog_put(&b, old, MB_MAY_DROP));
    if (before == 2) free(mb_backlog_take(&b, &missing));
    CHECK(mb_backlog_replace(&b, e) == old);
    free(old);
    if (before) free(mb_backlog_take(&b, &missing));
    CHECK(mb_backlog_take(&b, &missing) == e && !b.head && !b.tail && b.bytes == 0);
    free(e);
  }
}

static struct mb_writer *writer;

static void put_many(void *data) {
  char text[SMALL];
  for (int i = 0; i < 1000; i++) {
    snprintf(text, sizeof text, "%c %d\n", *(char *)data, i);
    put(writer, text, NULL);
  }
}

/* Several threads: lines are whole, those of a thread in order, and a mark comes after them. */
TEST(several_threads_lines_are_whole_and_in_order) {
  static char names[] = "abcd";
  uv_thread_t thread[4];
  atomic_int marks = 0;
  int next[4] = {0};
  char line[SMALL];
  FILE *f = tmpfile();
  CHECK(f);
  writer = mb_writer_new(fileno(f), LIMIT, notice, NULL);
  for (int i = 0; i < 4; i++) CHECK(uv_thread_create(&thread[i], put_many, &names[i]) == 0);
  for (int i = 0; i < 4; i++) uv_thread_join(&thread[i]);
  put_mark(writer, &marks);
  CHECK(mb_writer_drain(writer) && marks == 1);
  mb_writer_free(writer);
  rewind(f);
  while (fgets(line, sizeof line, f)) {
    char name;
    int number;
    CHECK(sscanf(line, "%c %d\n", &name, &number) == 2);
    CHECK(number == next[name - 'a']++);
  }
  for (int i = 0; i < 4; i++) CHECK(next[i] == 1000);
  fclose(f);
}

/* A pipe that nobody reads: nobody waits but who drains, and that one not for ever. What is read later tells what is
 * missing, and what was to be kept is there. */
static void blocked(int read_after) {
  int ends[2];
  atomic_int marks = 0;
  char line[256], text[128];
  unsigned long long dropped = 0;
  int seen = 0, kept = 0;
  uint64_t before = uv_hrtime();
  FILE *f;
  CHECK(pipe(ends) == 0);
  writer = mb_writer_new(ends[1], LIMIT, notice, NULL);
  memset(text, '.', sizeof text - 2);
  strcpy(text + sizeof text - 2, "\n");
  for (int i = 0; i < 20000; i++) put(writer, i % 1000 ? text : "keep\n", i % 1000 ? NULL : "place");
  put_mark(writer, &marks);
  CHECK(uv_hrtime() - before < 1000000000ull);
  if (!read_after) {
    CHECK(!mb_writer_drain(writer) && marks == 0);
    mb_writer_free(writer); /* the thread is in a write that does not end */
    CHECK(marks == 1 && uv_hrtime() - before < 4000000000ull);
    close(ends[0]);
    close(ends[1]);
    return;
  }
  f = fdopen(ends[0], "r");
  while (seen + kept + (int)dropped < 20000) {
    unsigned long long n;
    CHECK(fgets(line, sizeof line, f));
    if (sscanf(line, "dropped %llu\n", &n) == 1)
      dropped += n;
    else if (strcmp(line, "keep\n") == 0)
      kept++;
    else
      seen++;
  }
  CHECK(kept == 20 && dropped > 0 && seen > 0);
  CHECK(mb_writer_drain(writer) && marks == 1);
  mb_writer_free(writer);
  fclose(f);
  close(ends[1]);
}

/* A pipe that has room is written to at once, a thread not needed; and when its reader has gone nobody is killed. */
TEST(a_pipe_with_room_is_written_to_at_once) {
  int ends[2];
  char text[16] = "";
  CHECK(pipe(ends) == 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
  writer = mb_writer_new(ends[1], LIMIT, notice, NULL);
  put(writer, "first\n", NULL);
  CHECK(write(ends[1], "second\n", 7) == 7);
  CHECK(read(ends[0], text, sizeof text - 1) == 13 && strcmp(text, "first\nsecond\n") == 0);
  CHECK((fcntl(ends[1], F_GETFL) & O_NONBLOCK) == 0); /* the flag is not left with others */
  close(ends[0]);
  put(writer, "third\n", NULL);
  CHECK(mb_writer_drain(writer));
  mb_writer_free(writer);
  close(ends[1]);
}

static int needs;
static atomic_int begun;
static int needed(void) { return needs; }
static const void *begin(void) { return &needs; }
static void end(const void *what) {
  CHECK(what == &needs);
  atomic_fetch_add(&begun, 1);
}

/* What needs a frame is written on the thread, inside it. */
TEST(what_needs_a_frame_is_written_inside_it) {
  static const struct mb_writer_frame frame = {needed, begin, end};
  FILE *f = tmpfile();
  CHECK(f);
  writer = mb_writer_new(fileno(f), LIMIT, notice, &frame);
  put(writer, "as it is\n", NULL);
  CHECK(begun == 0);
  needs = 1;
  put(writer, "framed\n", NULL);
  CHECK(mb_writer_drain(writer) && begun == 1);
  mb_writer_free(writer);
  fclose(f);
}

TEST(reports_from_few_places_are_counted_by_place) { reports(5); }

TEST(reports_from_many_places_are_counted) { reports(MB_BACKLOG_PLACES + 20); }

TEST(a_pipe_that_is_read_late_tells_what_is_missing) { blocked(1); }

TEST(a_pipe_that_nobody_reads_keeps_nobody_for_ever) { blocked(0); }
