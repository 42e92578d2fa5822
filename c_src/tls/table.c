/* The table of functions, and what each of them goes through: a door that is shut when the program ends.
 *
 * Threads of the program may be at work then, schedulers and those of libuv's pool, so OpenSSL does not clean up after
 * itself if this is the first to use it. Another library that was before has let it: all that OpenSSL has is freed. So
 * before that the door is shut. Who is inside comes out first, and who comes later finds that nothing passes any more;
 * what there is then stays. */
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tls/openssl.h"

enum { SLOTS = 64 }; /* so that schedulers do not share a cache line, mostly: a power of 2 */

struct slot {
  alignas(64) atomic_uint inside; /* how many calls. Partners: enter and leave, shut */
};

static struct slot slots[SLOTS];
static atomic_int is_shut; /* Partners: shut, which sets it and looks into the slots; the others the other way round */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* partners: shut, leave once it is shut */
static pthread_cond_t left = PTHREAD_COND_INITIALIZER;

static void leave(struct slot *slot) {
  atomic_fetch_sub(&slot->inside, 1);
  if (!atomic_load(&is_shut)) return;
  pthread_mutex_lock(&mutex);
  pthread_cond_signal(&left);
  pthread_mutex_unlock(&mutex);
}

/* To be given to `leave`; NULL: it is shut. */
static struct slot *enter(void) {
  struct slot *slot = &slots[(uint64_t)(uintptr_t)pthread_self() * 0x9e3779b97f4a7c15u >> 58];
  atomic_fetch_add(&slot->inside, 1);
  if (!atomic_load(&is_shut)) return slot;
  leave(slot);
  return NULL;
}

static void shut(void) {
  pthread_mutex_lock(&mutex);
  atomic_store(&is_shut, 1);
  for (int i = 0; i < SLOTS; i++)
    while (atomic_load(&slots[i].inside)) pthread_cond_wait(&left, &mutex);
  pthread_mutex_unlock(&mutex);
}

/* In a forked process there is nobody but the caller. */
static void forked(void) {
  for (int i = 0; i < SLOTS; i++) atomic_store(&slots[i].inside, 0);
}

/* What is registered later is called first: before OpenSSL's own, which has been registered by now or never is. */
__attribute__((constructor)) static void begin(void) {
  OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL);
  (void)atexit(shut);
  (void)pthread_atfork(NULL, NULL, forked);
}

extern const struct mb_tls_functions mb_tls_functions;

/* On a thread of the pool, which ends after OpenSSL has cleaned up: so what that keeps for the thread goes now. */
static struct mb_tls_context *context_new(const struct mb_tls_options *o, struct mb_tls_error *e) {
  struct slot *slot = enter();
  struct mb_tls_context *c;
  if (!slot) {
    *e = (struct mb_tls_error){0};
    snprintf(e->text, sizeof e->text, "OpenSSL: the program ends");
    return NULL;
  }
  c = mb_context_new(o, e);
  if (c) c->functions = &mb_tls_functions;
  OPENSSL_thread_stop();
  leave(slot);
  return c;
}

static void context_free(struct mb_tls_context *c) {
  struct slot *slot = enter();
  if (!slot) return;
  mb_context_free(c);
  leave(slot);
}

static struct mb_tls *open_connection(struct mb_tls_context *c, const char *host) {
  struct slot *slot = enter();
  struct mb_tls *t;
  if (!slot) return NULL;
  t = mb_connection_open(c, host);
  leave(slot);
  return t;
}

static void free_connection(struct mb_tls *t) {
  struct slot *slot = enter();
  if (!slot) return;
  mb_connection_free(t);
  leave(slot);
}

static int feed(struct mb_tls *t, const void *bytes, size_t n) {
  struct slot *slot = enter();
  int result;
  if (!slot) return 0;
  result = mb_connection_feed(t, bytes, n);
  leave(slot);
  return result;
}

static size_t pending(struct mb_tls *t) {
  struct slot *slot = enter();
  size_t n;
  if (!slot) return 0;
  n = mb_connection_pending(t);
  leave(slot);
  return n;
}

static size_t drain(struct mb_tls *t, void *bytes, size_t n) {
  struct slot *slot = enter();
  size_t done;
  if (!slot) return 0;
  done = mb_connection_drain(t, bytes, n);
  leave(slot);
  return done;
}

static enum mb_tls_state step(struct mb_tls *t) {
  struct slot *slot = enter();
  enum mb_tls_state state;
  if (!slot) return t->state == MB_TLS_ASKS ? MB_TLS_HANDSHAKE : t->state;
  state = mb_connection_step(t);
  leave(slot);
  return state;
}

static size_t read_plain(struct mb_tls *t, void *bytes, size_t n) {
  struct slot *slot = enter();
  size_t done;
  if (!slot) return 0;
  done = mb_connection_read(t, bytes, n);
  leave(slot);
  return done;
}

static int write_plain(struct mb_tls *t, const void *bytes, size_t n) {
  struct slot *slot = enter();
  int result;
  if (!slot) return 0;
  result = mb_connection_write(t, bytes, n);
  leave(slot);
  return result;
}

static void end(struct mb_tls *t) {
  struct slot *slot = enter();
  if (!slot) return;
  mb_connection_end(t);
  leave(slot);
}

static void facts(const struct mb_tls *t, struct mb_tls_facts *f) {
  struct slot *slot = enter();
  if (!slot) {
    memset(f, 0, sizeof *f);
    return;
  }
  mb_connection_facts(t, f);
  leave(slot);
}

/* The one name of the shared object's that is seen from outside. */
__attribute__((visibility("default"))) const struct mb_tls_functions mb_tls_functions = {
    .context_new = context_new,
    .context_free = context_free,
    .open = open_connection,
    .free = free_connection,
    .feed = feed,
    .pending = pending,
    .drain = drain,
    .step = step,
    .asked = mb_connection_asked,   /* these two */
    .choose = mb_connection_choose, /* call nothing of OpenSSL's */
    .read = read_plain,
    .write = write_plain,
    .end = end,
    .facts = facts,
};
