#include "allocator.h"

#include <stdlib.h>
#include <string.h>
#include <malloc.h>

enum {
  GRAIN = 16,             /* sizes are rounded up to this */
  MOST_SMALL = 512,       /* larger blocks are malloc's */
  CLASSES = MOST_SMALL / GRAIN + 1,
  CHUNK = 64 * 1024       /* small enough for malloc to make it of what others have freed */
};

/* The sanitizers watch malloc's blocks, so all are malloc's then. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { WATCHED = 1 };
#else
enum { WATCHED = 0 };
#endif

struct block {
  struct block *next;
};

struct chunk {
  struct chunk *next;
  size_t unused; /* keeps what follows aligned to GRAIN */
};

struct mb_allocator {
  struct block *free[CLASSES]; /* by size / GRAIN */
  unsigned char *at, *end;     /* what is left of the newest chunk */
  struct chunk *chunks;
};

static size_t class_of(size_t size) { return (size + GRAIN - 1) / GRAIN; }

struct mb_allocator *mb_allocator_new(void) {
  /* Memory that has been touched is kept: processes come and go, and new pages are dear. */
  mallopt(M_TRIM_THRESHOLD, 256 * 1024 * 1024);
  mallopt(M_TOP_PAD, 1024 * 1024);
  mallopt(M_MMAP_THRESHOLD, 4 * 1024 * 1024);
  return calloc(1, sizeof(struct mb_allocator));
}

void mb_allocator_free(struct mb_allocator *a) {
  while (a->chunks) {
    struct chunk *c = a->chunks;
    a->chunks = c->next;
    free(c);
  }
  free(a);
}

static void give(struct mb_allocator *a, void *block, size_t class) {
  struct block *b = block;
  b->next = a->free[class];
  a->free[class] = b;
}

static void *carve(struct mb_allocator *a, size_t class) {
  size_t size = class * GRAIN;
  unsigned char *p;
  if ((size_t)(a->end - a->at) < size) {
    struct chunk *c = malloc(CHUNK);
    if (!c) return NULL;
    if (a->at != a->end) give(a, a->at, (size_t)(a->end - a->at) / GRAIN); /* the rest is of some class */
    c->next = a->chunks;
    a->chunks = c;
    a->at = (unsigned char *)(c + 1);
    a->end = (unsigned char *)c + CHUNK;
  }
  p = a->at;
  a->at += size;
  return p;
}

static void *take(struct mb_allocator *a, size_t class) {
  struct block *b = a->free[class];
  if (!b) return carve(a, class);
  a->free[class] = b->next;
  return b;
}

/* What malloc has a part in, and what changes its size. */
static __attribute__((noinline)) void *reallocate(struct mb_allocator *a, void *block, size_t old, size_t size) {
  void *result;
  if (!block) {
    if (size == 0) return NULL;
    return size <= MOST_SMALL ? carve(a, class_of(size)) : malloc(size);
  }
  if (size == 0) {
    free(block);
    return NULL;
  }
  if (old > MOST_SMALL && size > MOST_SMALL) return realloc(block, size);
  if (old <= MOST_SMALL && size <= MOST_SMALL && class_of(old) == class_of(size)) return block;
  result = size <= MOST_SMALL ? take(a, class_of(size)) : malloc(size);
  if (!result) return NULL;
  memcpy(result, block, old < size ? old : size);
  if (old > MOST_SMALL)
    free(block);
  else
    give(a, block, class_of(old));
  return result;
}

void *mb_allocate(void *data, void *block, size_t old, size_t size) {
  struct mb_allocator *a = data;
  if (WATCHED) {
    if (size > 0) return realloc(block, size);
    free(block);
    return NULL;
  }
  if (!block && size <= MOST_SMALL) {
    struct block *b = a->free[class_of(size)]; /* nothing is of class 0 */
    if (b) {
      a->free[class_of(size)] = b->next;
      return b;
    }
  } else if (size == 0 && old <= MOST_SMALL) {
    give(a, block, class_of(old));
    return NULL;
  }
  return reallocate(a, block, old, size);
}
