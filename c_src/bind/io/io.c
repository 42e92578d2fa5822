#include "io/io.h"

#include <stdlib.h>

#include "io/command.h"

struct mb_io *mb_io_new(struct mb_heap *h) {
  struct mb_io *io = calloc(1, sizeof *io);
  if (io) io->heap = h;
  return io;
}

void mb_io_free(struct mb_io *io) {
  if (!io) return;
  mb_map_deinit(&io->running);
  mb_map_deinit(&io->watchers);
  mb_commands_free(io);
  free(io);
}
