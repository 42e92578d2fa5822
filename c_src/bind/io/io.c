#include "io/io.h"

#include <stdlib.h>

#include "io/command.h"
#include "io/ready.h"
#include "io/socket.h"

struct mb_io *mb_io_new(struct mb_heap *h) {
  struct mb_io *io = calloc(1, sizeof *io);
  if (!io) return NULL;
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
  while (io->lingering) mb_socket_end_lingering(io->lingering);
}

void mb_io_free(struct mb_io *io) {
  if (!io) return;
  mb_map_deinit(&io->running);
  mb_map_deinit(&io->watchers);
  mb_commands_free(io);
  mb_map_deinit(&io->by_id);
  for (int i = 0; i < 2; i++) mb_ready_deinit(&io->ready[i]);
  free(io);
}
