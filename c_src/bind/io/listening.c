#include "io/listening.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

/* Sockets */

static int set_flag(int fd, int option) {
  int one = 1;
  return setsockopt(fd, SOL_SOCKET, option, &one, sizeof one);
}

/* A socket that listens there, the first or a further one: a descriptor, or an error of libuv's. */
static int listen_on(const struct mb_listening *l, int first) {
  int family = l->address.ss_family, internet = family != AF_UNIX, error;
  int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return uv_translate_sys_error(errno);
  if ((internet && l->reuse && set_flag(fd, SO_REUSEADDR) != 0) || (!first && set_flag(fd, SO_REUSEPORT) != 0) ||
      bind(fd, (const struct sockaddr *)&l->address, l->size) != 0 ||
      (first && l->acceptors > 1 && set_flag(fd, SO_REUSEPORT) != 0) || listen(fd, l->backlog) != 0) {
    error = uv_translate_sys_error(errno);
    close(fd);
    return error;
  }
  return fd;
}

/* Parts */

static void add(struct mb_listening *l, struct mb_part *part) {
  part->next = l->parts;
  l->parts = part;
}

static void take_out(struct mb_listening *l, const struct mb_part *part) {
  struct mb_part **at = &l->parts;
  while (*at != part) at = &(*at)->next;
  *at = part->next;
  l->count--;
}

static void free_part(struct mb_part *part) {
  close(part->fd);
  free(part);
}

/* The part with the fewest users. */
static struct mb_part *least_used(const struct mb_listening *l) {
  struct mb_part *least = l->parts;
  for (struct mb_part *part = l->parts; part; part = part->next)
    if (part->users < least->users) least = part;
  return least;
}

/* A further part with one user, or NULL. */
static struct mb_part *further(const struct mb_listening *l) {
  struct mb_part *part = malloc(sizeof *part);
  if (!part) return NULL;
  *part = (struct mb_part){.users = 1, .fd = listen_on(l, 0)};
  if (part->fd >= 0) return part;
  free(part);
  return NULL;
}

struct mb_part *mb_listening_claim(struct mb_listenings *all, struct mb_listening *l) {
  struct mb_part *part, *new = NULL;
  int more;
  mb_lock_take(&all->lock); /* partner: every function here */
  part = least_used(l);
  more = part->users > 0 && l->count < l->acceptors;
  if (more)
    l->count++;
  else
    part->users++;
  mb_lock_drop(&all->lock);
  if (!more) return part;
  new = further(l);
  mb_lock_take(&all->lock);
  if (new) {
    add(l, new);
  } else {
    l->count--;
    part = least_used(l);
    part->users++;
  }
  mb_lock_drop(&all->lock);
  return new ? new : part;
}

void mb_listening_yield(struct mb_listenings *all, struct mb_listening *l, struct mb_part *part) {
  int over;
  mb_lock_take(&all->lock);
  over = --part->users == 0 && (l->parts != part || part->next);
  if (over) take_out(l, part);
  mb_lock_drop(&all->lock);
  if (over) free_part(part);
}

/* Connections that nobody has taken where they came */

struct mb_spare {
  struct mb_spare *next;
  int fd;
};

void mb_listening_spare(struct mb_listenings *all, struct mb_listening *l, int fd) {
  struct mb_spare *new = malloc(sizeof *new);
  int open = 0;
  if (new) {
    *new = (struct mb_spare){NULL, fd};
    mb_lock_take(&all->lock); /* partner: mb_listening_close, which looks for some after it has set `closed` */
    open = !atomic_load_explicit(&l->closed, memory_order_acquire);
    if (open) {
      *l->last = new;
      l->last = &new->next;
      atomic_fetch_add_explicit(&l->spares, 1, memory_order_relaxed);
    }
    mb_lock_drop(&all->lock);
  }
  if (open) return;
  close(fd);
  free(new);
}

int mb_listening_take(struct mb_listenings *all, struct mb_listening *l, int *was_full) {
  struct mb_spare *first;
  int fd;
  *was_full = 0;
  if (!atomic_load_explicit(&l->spares, memory_order_relaxed)) return -1;
  mb_lock_take(&all->lock);
  first = l->spare;
  if (first) {
    l->spare = first->next;
    if (!l->spare) l->last = &l->spare;
    *was_full = atomic_fetch_sub_explicit(&l->spares, 1, memory_order_relaxed) == MB_MOST_SPARE;
  }
  mb_lock_drop(&all->lock);
  if (!first) return -1;
  fd = first->fd;
  free(first);
  return fd;
}

/* All together */

int mb_listening_open(struct mb_listenings *all, uint64_t id, const struct sockaddr *address, socklen_t size,
                      struct mb_listen_options options, struct mb_listening **out) {
  struct mb_listening *l = calloc(1, sizeof *l);
  struct mb_part *part = calloc(1, sizeof *part);
  int is_unix = address->sa_family == AF_UNIX, error = l && part ? 0 : UV_ENOMEM;
  if (error) goto failed;
  l->id = id;
  l->references = l->count = 1;
  l->last = &l->spare;
  l->acceptors = is_unix ? 1 : options.acceptors;
  l->backlog = options.backlog;
  l->reuse = options.reuse;
  l->size = size;
  memcpy(&l->address, address, size);
  if (is_unix) {
    l->path = strdup(((const struct sockaddr_un *)address)->sun_path);
    if (!l->path) error = UV_ENOMEM;
  }
  if (!error) {
    part->fd = listen_on(l, 1);
    if (part->fd < 0) error = part->fd;
  }
  if (error) goto failed;
  l->size = sizeof l->address;
  (void)getsockname(part->fd, (struct sockaddr *)&l->address, &l->size); /* a port that was free */
  add(l, part);
  if (options.tls) mb_tls_context_retain(options.tls);
  l->tls = options.tls;
  mb_lock_take(&all->lock);
  l->next = all->first;
  all->first = l;
  mb_lock_drop(&all->lock);
  *out = l;
  return 0;

failed:
  if (l) free(l->path);
  free(l);
  free(part);
  return error;
}

struct mb_listening *mb_listening_find(struct mb_listenings *all, uint64_t id) {
  struct mb_listening *l;
  mb_lock_take(&all->lock);
  for (l = all->first; l && l->id != id;) l = l->next;
  if (l && atomic_load_explicit(&l->closed, memory_order_acquire)) l = NULL;
  if (l) l->references++;
  mb_lock_drop(&all->lock);
  return l;
}

/* One that has not been shut yet, which the caller uses then, or NULL. */
static struct mb_part *next_to_shut(struct mb_listenings *all, struct mb_listening *l) {
  struct mb_part *part;
  mb_lock_take(&all->lock);
  for (part = l->parts; part && part->shut;) part = part->next;
  if (part) {
    part->shut = 1;
    part->users++;
  }
  mb_lock_drop(&all->lock);
  return part;
}

/* A part that is added from here on is added by somebody who looks at `closed` before waiting. */
void mb_listening_close(struct mb_listenings *all, struct mb_listening *l) {
  if (atomic_exchange(&l->closed, 1)) return; /* partner: mb_listening_spare */
  if (l->path) (void)unlink(l->path);
  for (struct mb_part *part; (part = next_to_shut(all, l));) {
    (void)shutdown(part->fd, SHUT_RDWR);
    mb_listening_yield(all, l, part);
  }
  for (int fd, was_full; (fd = mb_listening_take(all, l, &was_full)) >= 0;) close(fd);
}

void mb_listening_release(struct mb_listenings *all, struct mb_listening *l) {
  int last;
  mb_lock_take(&all->lock);
  last = --l->references == 0;
  if (last) {
    struct mb_listening **at = &all->first;
    while (*at != l) at = &(*at)->next;
    *at = l->next;
  }
  mb_lock_drop(&all->lock);
  if (!last) return;
  for (struct mb_part *part = l->parts, *next; part; part = next) {
    next = part->next;
    free_part(part);
  }
  mb_tls_context_release(l->tls);
  free(l->path);
  free(l);
}
