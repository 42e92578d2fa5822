/* Connections: OpenSSL between two BIOs of memory. See tls.h. */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tls/openssl.h"

enum { KEPT = 4096 /* bytes of memory that an empty BIO keeps, about */ };

/* A BIO of memory never gives any back, and a connection that is idle shall not hold what was needed once: when it is
 * empty, it gets a new buffer. Failing that it keeps the one that it has. */
static void shrink(BIO *bio, size_t *most) {
  BUF_MEM *fresh;
  if (*most <= KEPT || BIO_ctrl_pending(bio) > 0) return;
  fresh = BUF_MEM_new();
  if (!fresh) return;
  BIO_set_mem_buf(bio, fresh, BIO_CLOSE);
  *most = 0;
}

void mb_connection_free(struct mb_tls *tls) {
  struct mb_connection *t = (struct mb_connection *)tls;
  SSL_free(t->ssl); /* and the BIOs */
  free(t->host);
  free(t->name);
  free(t->refusal);
  if (t->choice) mb_tls_context_release(&t->choice->head);
  mb_tls_context_release(t->head.context);
  free(t);
}

/* Let a client expect a host: by its number, or by its name, which it asks for, too. */
static int expect(struct mb_connection *t, const char *host) {
  X509_VERIFY_PARAM *parameters = SSL_get0_param(t->ssl);
  t->host = strdup(host);
  if (!t->host) return -1;
  X509_VERIFY_PARAM_set_hostflags(parameters,
                                  X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  if (X509_VERIFY_PARAM_set1_ip_asc(parameters, host) == 1) return 0;
  ERR_clear_error();
  return SSL_set1_host(t->ssl, host) == 1 && SSL_set_tlsext_host_name(t->ssl, host) == 1 ? 0 : -1;
}

struct mb_tls *mb_connection_open(struct mb_tls_context *context, const char *host) {
  struct mb_context *c = (struct mb_context *)context;
  struct mb_connection *t = calloc(1, sizeof *t);
  if (!t) return NULL;
  t->head.functions = context->functions;
  t->head.context = context;
  mb_tls_context_retain(context);
  t->ssl = SSL_new(c->ctx);
  t->in = BIO_new(BIO_s_mem());
  t->out = BIO_new(BIO_s_mem());
  if (!t->ssl || !t->in || !t->out || SSL_set_app_data(t->ssl, t) != 1) {
    BIO_free(t->in);
    BIO_free(t->out);
    mb_connection_free(&t->head);
    return NULL;
  }
  SSL_set_bio(t->ssl, t->in, t->out);
  if (c->is_server)
    SSL_set_accept_state(t->ssl);
  else
    SSL_set_connect_state(t->ssl);
  if (!host || expect(t, host) == 0) return &t->head;
  mb_connection_free(&t->head);
  ERR_clear_error();
  return NULL;
}

int mb_connection_feed(struct mb_tls *tls, const void *bytes, size_t n) {
  struct mb_connection *t = (struct mb_connection *)tls;
  size_t room = sizeof t->first - t->first_size, done;
  if (room > n) room = n;
  memcpy(t->first + t->first_size, bytes, room);
  t->first_size += room;
  if (n > 0 && BIO_write_ex(t->in, bytes, n, &done) != 1) return -1;
  room = BIO_ctrl_pending(t->in);
  if (room > t->in_most) t->in_most = room;
  return 0;
}

size_t mb_connection_pending(struct mb_tls *tls) { return BIO_ctrl_pending(((struct mb_connection *)tls)->out); }

size_t mb_connection_drain(struct mb_tls *tls, void *bytes, size_t n) {
  struct mb_connection *t = (struct mb_connection *)tls;
  size_t waiting = BIO_ctrl_pending(t->out), done;
  if (waiting > t->out_most) t->out_most = waiting;
  if (BIO_read_ex(t->out, bytes, n, &done) != 1) return 0;
  shrink(t->out, &t->out_most);
  return done;
}

enum mb_tls_state mb_connection_step(struct mb_tls *tls) {
  struct mb_connection *t = (struct mb_connection *)tls;
  int result;
  if (t->head.state == MB_TLS_READY || t->head.state == MB_TLS_FAILED) return t->head.state;
  ERR_clear_error();
  result = SSL_do_handshake(t->ssl);
  switch (result == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_NONE:
      return t->head.state = MB_TLS_READY;
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return t->head.state = MB_TLS_HANDSHAKE;
    case SSL_ERROR_WANT_CLIENT_HELLO_CB:
      return t->head.state = MB_TLS_ASKS;
    default:
      mb_fail(t);
      return MB_TLS_FAILED;
  }
}

const char *mb_connection_asked(const struct mb_tls *tls) { return ((const struct mb_connection *)tls)->name; }

void mb_connection_choose(struct mb_tls *tls, struct mb_tls_context *c, const char *refusal) {
  struct mb_connection *t = (struct mb_connection *)tls;
  if (t->answered) return;
  t->answered = 1;
  if (c) mb_tls_context_retain(c);
  t->choice = (struct mb_context *)c;
  if (refusal) t->refusal = strdup(refusal);
}

size_t mb_connection_read(struct mb_tls *tls, void *bytes, size_t n) {
  struct mb_connection *t = (struct mb_connection *)tls;
  size_t done = 0, some;
  if (t->head.state != MB_TLS_READY) return 0;
  ERR_clear_error();
  while (done < n) {
    int result = SSL_read_ex(t->ssl, (char *)bytes + done, n - done, &some);
    if (result == 1) {
      done += some;
      continue;
    }
    switch (SSL_get_error(t->ssl, result)) {
      case SSL_ERROR_WANT_READ:
      case SSL_ERROR_WANT_WRITE:
        break;
      case SSL_ERROR_ZERO_RETURN:
        t->head.ended = 1;
        break;
      default:
        mb_fail(t);
    }
    break;
  }
  shrink(t->in, &t->in_most);
  return done;
}

int mb_connection_write(struct mb_tls *tls, const void *bytes, size_t n) {
  struct mb_connection *t = (struct mb_connection *)tls;
  size_t done;
  if (t->head.state != MB_TLS_READY) return -1;
  ERR_clear_error();
  if (n == 0 || SSL_write_ex(t->ssl, bytes, n, &done) == 1) return 0;
  mb_fail(t);
  return -1;
}

void mb_connection_end(struct mb_tls *tls) {
  struct mb_connection *t = (struct mb_connection *)tls;
  if (t->head.state != MB_TLS_READY) return;
  ERR_clear_error();
  (void)SSL_shutdown(t->ssl);
  ERR_clear_error();
}

static void copy(char *to, size_t room, const char *from) { snprintf(to, room, "%s", from ? from : ""); }

void mb_connection_facts(const struct mb_tls *tls, struct mb_tls_facts *f) {
  const struct mb_connection *t = (const struct mb_connection *)tls;
  const unsigned char *alpn;
  unsigned size;
  X509 *peer;
  memset(f, 0, sizeof *f);
  copy(f->server_name, sizeof f->server_name, t->host ? t->host : t->name);
  if (t->head.state != MB_TLS_READY) return;
  copy(f->version, sizeof f->version, SSL_get_version(t->ssl));
  copy(f->cipher, sizeof f->cipher, SSL_get_cipher_name(t->ssl));
  SSL_get0_alpn_selected(t->ssl, &alpn, &size);
  if (size) memcpy(f->alpn, alpn, size < sizeof f->alpn ? size : sizeof f->alpn - 1);
  peer = SSL_get1_peer_certificate(t->ssl);
  if (peer) mb_certificate_facts(peer, f);
  X509_free(peer);
}
