#include "io/io.h"

#include <stdlib.h>

#include "io/command.h"
#include "io/ready.h"
#include "io/socket.h"

struct mb_io *mb_io_new(struct mb_heap *h, const struct mb_heap *beside) {
  struct mb_io *io = calloc(1, sizeof *io);
  if (!io) return NULL;
  io->loop = beside ? beside->io->loop : calloc(1, sizeof *io->loop);
  if (!io->loop) {
    free(io);
    return NULL;
  }
  io->heap = h;
  io->objects = LUA_NOREF;
  io->gone = &mb_socket_type;
  return io;
}

void mb_io_settle(struct mb_io *io) {
  uint32_t cursor = 0;
  for (const struct mb_entry *e; (e = mb_map_next(&io->by_id, &cursor));) {
    struct mb_object *o = (struct mb_object *)(uintptr_t)e->value;
    mb_object_close(o, MB_CLOSE_AT_ONCE);
    if (o->type->settle) o->type->settle(o);
  }
  if (io->heap->shares)
    while (io->loop->lingering) mb_socket_end_lingering(io->loop->lingering);
}

int mb_io_is_used(const struct mb_io *io) { return io->uses || io->commands || io->watchers.count; }

void mb_io_free(struct mb_io *io) {
  if (!io) return;
  mb_map_deinit(&io->watchers);
  mb_commands_free(io);
  mb_map_deinit(&io->by_id);
  if (io->heap->shares) {
    mb_map_deinit(&io->loop->running);
    for (int i = 0; i < 2; i++) mb_ready_deinit(&io->loop->ready[i]);
    free(io->loop);
  }
  free(io);
}
