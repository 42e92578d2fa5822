/* The publications of a node: what one heap has changed and all heaps are to have, in the order in which it became
 * known.
 *
 * A publication is encoded and constant. It sets names; when later ones have set all of them anew, it goes: as many
 * are kept as there are names, at most, however often they change. A heap adopts those behind the last one it has
 * seen. Any thread; no Lua inside. */
#ifndef MB_PUBLICATION_H
#define MB_PUBLICATION_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "core/block.h"
#include "core/map.h"

struct mb_publication {
  struct mb_publication *next, *before; /* under the mutex */
  atomic_uint references; /* acq_rel: the last one frees */
  unsigned version;       /* from 1, ascending */
  uint32_t origin;        /* id of the heap that has published it */
  unsigned current;       /* names of which it is the latest publication; under the mutex */
  int kind;               /* the publisher's */
  struct mb_block *holds; /* owned reference: what the bytes refer to outside of them; NULL: nothing */
  size_t size;
  unsigned char bytes[];
};

struct mb_publications {
  pthread_mutex_t mutex; /* partners: every heap's thread */
  atomic_uint version;   /* of the newest; release and acquire: it is in the list */
  atomic_uint heaps;     /* that there are, plus 1 when other schedulers are; relaxed: with one nobody has to be told */
  atomic_uint last_heap; /* id that has been given out last; relaxed */
  struct mb_publication *first, *last;
  struct mb_map names; /* hash of a name -> its latest publication, which is in the list */
};

void mb_publications_init(struct mb_publications *all);
void mb_publications_deinit(struct mb_publications *all);

/* Publish the bytes, with a reference to what they refer to, which is taken over, also when it fails. `names`: hashes of
 * the names set; without any it is kept for good. Its version, or 0 when memory is out. */
unsigned mb_publish(struct mb_publications *all, int kind, uint32_t origin, const void *bytes, size_t size,
                    struct mb_block *holds, const uint64_t *names, size_t count);

/* The first publication behind a version, retained; NULL when there is none. */
struct mb_publication *mb_publication_after(struct mb_publications *all, unsigned version);

void mb_publication_release(struct mb_publication *p);

#endif
