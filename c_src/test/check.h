/* Tests are named cases, and a test program is all cases of its files: TEST(what_is_so) {...}, full of CHECKs. Each
 * case runs in a process of its own, so that one that fails, crashes or hangs is named and the others run on, and none
 * finds what another has left. Given names, the program runs those alone. */
#ifndef MB_CHECK_H
#define MB_CHECK_H

#include <stdio.h>
#include <stdlib.h>

struct check_case {
  const char *name;
  void (*run)(void);
  struct check_case *next;
};

/* Add a case to those that main, in check.c, runs. Before main. */
void check_add(struct check_case *c);

/* A case that is run in the order in which it stands in its file. */
#define TEST(name)                                                                                           \
  static void name(void);                                                                                    \
  __attribute__((constructor)) static void check_add_##name(void) {                                          \
    static struct check_case added = {#name, name, NULL};                                                    \
    check_add(&added);                                                                                       \
  }                                                                                                          \
  static void name(void)

/* The case has failed where this is not so, whichever of its threads finds out. */
#define CHECK(condition)                                                      \
  do {                                                                        \
    if (!(condition)) {                                                       \
      fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
      _Exit(1);                                                               \
    }                                                                         \
  } while (0)

/* A small generator with a fixed seed: the tests are the same every time. */
static inline unsigned check_random(void) {
  static unsigned long long state = 88172645463325252ull;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (unsigned)(state >> 16);
}

#endif
