/* The allocator: blocks keep what is in them while others come and go, and what is freed is there for other sizes. */
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>

#include "host/allocator.h"
#include "test/check.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { WATCHED = 1 };
#else
enum { WATCHED = 0 };
#endif

enum { BLOCKS = 20000, ROUNDS = 2000000 };

static struct {
  unsigned char *at;
  size_t size;
  unsigned char fill;
} blocks[BLOCKS];

static void check(int i, size_t size) {
  for (size_t k = 0; k < size; k++) CHECK(blocks[i].at[k] == blocks[i].fill);
}

/* Blocks of all sizes, grown, shrunk and freed in any order. */
static void use(struct mb_allocator *a) {
  for (int round = 0; round < ROUNDS; round++) {
    int i = (int)(check_random() % BLOCKS);
    size_t size = check_random() % 8 ? check_random() % 600 : check_random() % 5000;
    unsigned char *at;
    if (round / (ROUNDS / 8) % 2 && check_random() % 4) size = 0; /* times in which more is freed than made */
    at = mb_allocate(a, blocks[i].at, blocks[i].size, size);
    CHECK((at == NULL) == (size == 0) && (uintptr_t)at % 16 == 0);
    blocks[i].at = at;
    check(i, size < blocks[i].size ? size : blocks[i].size);
    blocks[i].size = size;
    blocks[i].fill = (unsigned char)check_random();
    if (size) memset(at, blocks[i].fill, size);
  }
  for (int i = 0; i < BLOCKS; i++) {
    check(i, blocks[i].size);
    CHECK(mb_allocate(a, blocks[i].at, blocks[i].size, 0) == NULL);
  }
}

/* Fill what the limit leaves with blocks of one size, each holding the address of the one before; free them. */
static size_t fill(struct mb_allocator *a, size_t size) {
  void **last = NULL, **block;
  size_t count = 0;
  while ((block = mb_allocate(a, NULL, 0, size))) {
    *block = last;
    last = block;
    count++;
  }
  while ((block = last)) {
    last = *block;
    CHECK(mb_allocate(a, block, size, 0) == NULL);
  }
  return count * size;
}

TEST(blocks_keep_what_is_in_them) {
  struct mb_allocator *a = mb_allocator_new();
  CHECK(a);
  use(a);
  mb_allocator_free(a);
}

TEST(what_is_freed_is_there_for_other_sizes) {
  static const size_t sizes[] = {16, 512, 4000, 64, 1 << 20, 48, 320};
  const struct rlimit limit = {100 << 20, 100 << 20};
  struct mb_allocator *a = mb_allocator_new();
  CHECK(a);
  use(a);
  if (!WATCHED) CHECK(setrlimit(RLIMIT_AS, &limit) == 0); /* sanitizers need more address space */
  for (size_t i = 0; !WATCHED && i < sizeof sizes / sizeof *sizes; i++) CHECK(fill(a, sizes[i]) > 60 << 20);
  mb_allocator_free(a);
}
