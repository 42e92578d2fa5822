/* fs.watch: a process is told of changes to a file, or in a directory, by messages. A watcher is known by a reference;
 * it belongs to the process that made it and ends with it. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "codec/plain.h"
#include "core/holding.h"
#include "heap/arguments.h"
#include "heap/errors.h"
#include "io/fs.h"
#include "io/io.h"
#include "io/path.h"
#include "process/current.h"

struct watcher {
  struct mb_holding holding; /* of its owner */
  uv_fs_event_t handle;
  struct mb_io *io;
  mb_pid owner;
  mb_ref ref;
};

static struct watcher *watcher_of(void *handle) {
  return (struct watcher *)((char *)handle - offsetof(struct watcher, handle));
}

static void on_close(uv_handle_t *handle) { free(watcher_of(handle)); }

/* It is no holding any more. */
static void end(struct watcher *w) {
  mb_map_remove(&w->io->watchers, w->ref, NULL);
  uv_close((uv_handle_t *)&w->handle, on_close);
}

static void end_with_owner(struct mb_scheduler *s, struct mb_process *p, struct mb_holding *h) {
  (void)s;
  (void)p;
  end((struct watcher *)h);
}

static void on_event(uv_fs_event_t *handle, const char *name, int events, int status) {
  struct watcher *w = watcher_of(handle);
  struct mb_plain m = mb_plain(4);
  struct mb_signal *signal;
  char error[32];
  mb_plain_text(&m, "fs");
  mb_plain_id(&m, w->ref);
  mb_plain_text(&m, status < 0 ? "error" : events & UV_RENAME ? "rename" : "change");
  mb_plain_text(&m, status < 0 ? uv_err_name_r(status, error, sizeof error) : name ? name : "");
  signal = mb_plain_signal(&m);
  if (signal) mb_signal_send(w->io->heap->scheduler, w->owner, signal);
}

/* watch(path) -> reference */
static int fs_watch(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  const char *path = mb_check_path(h, L, 1, "fs.watch", 1);
  struct watcher *w = calloc(1, sizeof *w);
  int err;
  if (!w) return mb_no_memory(L);
  w->io = h->io;
  w->owner = mb_pid_of(p);
  w->ref = mb_ref_new(h->scheduler);
  w->holding.end = end_with_owner;
  w->holding.kind = MB_HOLDING_WATCHER;
  err = uv_fs_event_init(mb_loop(h->scheduler), &w->handle);
  if (err) {
    free(w);
    return mb_path_failure(L, err, path, NULL);
  }
  err = mb_map_put(&h->io->watchers, w->ref, (uintptr_t)w) == 0 ? uv_fs_event_start(&w->handle, on_event, path, 0)
                                                                : UV_ENOMEM;
  if (err) {
    end(w);
    return mb_path_failure(L, err, path, NULL);
  }
  if (mb_holding_add(h->scheduler, p, w->owner, &w->holding) != 0) { /* clean-up code of a dead process */
    end(w);
    return mb_path_failure(L, UV_ECANCELED, path, NULL);
  }
  mb_push_id(L, w->ref);
  return 1;
}

/* unwatch(reference) -> whether there was such a watcher of the caller's */
static int fs_unwatch(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  mb_ref ref = mb_to_ref(L, 1);
  uint64_t *found;
  struct watcher *w;
  if (!ref) return mb_bad_type(h, L, "fs.unwatch", 1, "reference that fs.watch gave", 1);
  found = mb_map_get(&h->io->watchers, ref);
  w = found ? (struct watcher *)(uintptr_t)*found : NULL;
  if (w && w->owner != mb_pid_of(p))
    return mb_bad_argument(h, L, "fs.unwatch", 1, "the watcher belongs to another process: let that one end it");
  if (w && mb_holding_remove(h->scheduler, p, &w->holding)) end(w);
  lua_pushboolean(L, w != NULL);
  return 1;
}

void mb_open_fs_watch(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"watch", fs_watch}, {"unwatch", fs_unwatch}, {NULL, NULL}};
  mb_set_functions(h, L, functions);
}
