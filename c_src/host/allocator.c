/* Blocks of one size class come from chunks of that class. A chunk is aligned to its size, so a block finds the head of
 * its chunk by its own address, and what is freed goes back to the chunk that it is of. New blocks are taken from one
 * chunk per class, the current one, until it is full; then comes the next that has free ones, the one that has had them
 * for the longest time. What is made at one time lies together, therefore.
 *
 *   current[class]      the chunk that new blocks are from; nobody else's list has it
 *   partial[class]      a ring of the others that have free blocks; the next current one is behind its head
 *   (nowhere)           the full ones
 *   spare               the empty ones, of no class; what is more than a bound goes back to malloc */
#include "host/allocator.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
  GRAIN = 16,             /* sizes are rounded up to this */
  MOST_SMALL = 768,       /* larger blocks are malloc's */
  CLASSES = MOST_SMALL / GRAIN + 1,
  CHUNK = 32 * 1024,
  MALLOCS = 16,           /* of the chunk, so that one follows the other: what malloc puts between two blocks */
  AT_ONCE = 1024,         /* bytes of a chunk that become free blocks at a time: what is never used is never touched */
  FEW_SPARE = 16          /* so many, and a part of the others */
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
  struct block *free;
  uint32_t until; /* so many blocks have to be freed before something has to be done: all that are used, which makes the
                     chunk an empty one; of a full one, the first */
  uint16_t class;
  uint16_t full;
  unsigned char *fresh, *end; /* what has not become blocks yet */
  struct chunk *next, *prev;  /* in a ring, or next spare */
};

enum { HEAD = (sizeof(struct chunk) + GRAIN - 1) / GRAIN * GRAIN };

struct mb_allocator {
  struct chunk *current[CLASSES];
  struct chunk partial[CLASSES]; /* heads of rings */
  struct chunk none;             /* current, where there is none yet: without blocks */
  struct chunk *spare;
  size_t spare_count, count; /* all that malloc has given */
  unsigned users;            /* states, of mb_allocator_share */
};

static _Thread_local struct mb_allocator *shared;

static size_t class_of(size_t size) { return (size + GRAIN - 1) / GRAIN; }

static struct chunk *chunk_of(void *block) { return (struct chunk *)((uintptr_t)block & ~(uintptr_t)(CHUNK - 1)); }

static uint32_t capacity(size_t class) { return (uint32_t)((CHUNK - MALLOCS - HEAD) / (class * GRAIN)); }

static void unlink_chunk(struct chunk *c) {
  c->prev->next = c->next;
  c->next->prev = c->prev;
}

static void append(struct chunk *ring, struct chunk *c) {
  c->next = ring;
  c->prev = ring->prev;
  c->prev->next = c;
  ring->prev = c;
}

struct mb_allocator *mb_allocator_new(void) {
  struct mb_allocator *a = calloc(1, sizeof *a);
  /* Memory that has been touched is kept: processes come and go, and new pages are dear. */
  mallopt(M_TRIM_THRESHOLD, 256 * 1024 * 1024);
  mallopt(M_TOP_PAD, 1024 * 1024);
  mallopt(M_MMAP_THRESHOLD, 4 * 1024 * 1024);
  if (!a) return NULL;
  for (int i = 0; i < CLASSES; i++) {
    a->current[i] = &a->none;
    a->partial[i].next = a->partial[i].prev = &a->partial[i];
  }
  return a;
}

static void drop_spare(struct mb_allocator *a, size_t most) {
  while (a->spare_count > most) {
    struct chunk *c = a->spare;
    a->spare = c->next;
    a->spare_count--;
    a->count--;
    free(c);
  }
}

void mb_allocator_free(struct mb_allocator *a) {
  for (int i = 0; i < CLASSES; i++)
    if (a->current[i] != &a->none) free(a->current[i]);
  drop_spare(a, 0);
  free(a);
}

struct mb_allocator *mb_allocator_share(void) {
  if (!shared) shared = mb_allocator_new();
  if (shared) shared->users++;
  return shared;
}

void mb_allocator_leave(struct mb_allocator *a) {
  if (--a->users > 0) return;
  if (shared == a) shared = NULL;
  mb_allocator_free(a);
}

/* malloc says no: give it what there is to give. */
static void trim(struct mb_allocator *a) {
  drop_spare(a, 0);
  (void)malloc_trim(0);
}

static void *get_large(struct mb_allocator *a, void *block, size_t size) {
  void *p = realloc(block, size);
  if (p) return p;
  trim(a);
  return realloc(block, size);
}

static struct chunk *get_chunk(struct mb_allocator *a, size_t class) {
  struct chunk *c = a->spare;
  void *p;
  if (c) {
    a->spare = c->next;
    a->spare_count--;
  } else {
    if (posix_memalign(&p, CHUNK, CHUNK - MALLOCS) != 0) {
      trim(a);
      if (posix_memalign(&p, CHUNK, CHUNK - MALLOCS) != 0) return NULL;
    }
    c = p;
    a->count++;
  }
  *c = (struct chunk){.class = (uint16_t)class, .fresh = (unsigned char *)c + HEAD};
  c->end = c->fresh + capacity(class) * class * GRAIN;
  return c;
}

/* Make free blocks of what is fresh in a chunk that has no others. */
static void carve(struct chunk *c) {
  size_t size = c->class * (size_t)GRAIN;
  struct block **last = &c->free;
  for (size_t bytes = 0; c->fresh < c->end && bytes < AT_ONCE; bytes += size) {
    struct block *b = (struct block *)c->fresh;
    c->fresh += size;
    *last = b;
    last = &b->next;
  }
  *last = NULL;
}

/* A block of a class whose current chunk has none ready. */
static void *take_slowly(struct mb_allocator *a, size_t class) {
  struct chunk *c = a->current[class], *ring = &a->partial[class];
  struct block *b;
  if (c->fresh == c->end) {
    struct chunk *next = ring->next;
    if (next != ring)
      unlink_chunk(next);
    else if (!(next = get_chunk(a, class)))
      return NULL;
    c->full = 1;
    c->until = 1;
    c = a->current[class] = next;
  }
  if (!c->free) carve(c);
  b = c->free;
  c->free = b->next;
  c->until++;
  return b;
}

/* A block of the chunk has been freed, and it was the last that is used, or the first of a full one. */
static __attribute__((noinline)) void turned(struct mb_allocator *a, struct chunk *c) {
  if (c->full) {
    c->full = 0;
    c->until = capacity(c->class) - 1;
    append(&a->partial[c->class], c);
  } else if (c != a->current[c->class]) {
    unlink_chunk(c);
    c->next = a->spare;
    a->spare = c;
    a->spare_count++;
    drop_spare(a, FEW_SPARE + a->count / 8);
  }
}

static void give(struct mb_allocator *a, void *block) {
  struct chunk *c = chunk_of(block);
  struct block *b = block;
  b->next = c->free;
  c->free = b;
  if (--c->until == 0) turned(a, c);
}

static void *take(struct mb_allocator *a, size_t class) {
  struct chunk *c = a->current[class];
  struct block *b = c->free;
  if (!b) return take_slowly(a, class);
  c->free = b->next;
  c->until++;
  return b;
}

/* What malloc has a part in, and what changes its size. */
static __attribute__((noinline)) void *reallocate(struct mb_allocator *a, void *block, size_t old, size_t size) {
  void *result;
  if (!block) {
    if (size == 0) return NULL;
    return size <= MOST_SMALL ? take_slowly(a, class_of(size)) : get_large(a, NULL, size);
  }
  if (size == 0) {
    free(block);
    return NULL;
  }
  if (old > MOST_SMALL && size > MOST_SMALL) return get_large(a, block, size);
  if (old <= MOST_SMALL && size <= MOST_SMALL && class_of(old) == class_of(size)) return block;
  result = size <= MOST_SMALL ? take(a, class_of(size)) : get_large(a, NULL, size);
  if (!result) return NULL;
  memcpy(result, block, old < size ? old : size);
  if (old > MOST_SMALL)
    free(block);
  else
    give(a, block);
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
    struct chunk *c = a->current[class_of(size)]; /* nothing is of class 0 */
    struct block *b = c->free;
    if (b) {
      c->free = b->next;
      c->until++;
      return b;
    }
  } else if (size == 0 && old <= MOST_SMALL) {
    give(a, block);
    return NULL;
  }
  return reallocate(a, block, old, size);
}
