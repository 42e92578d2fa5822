/* What the files of the filter share. */
#ifndef MB_TLS_OPENSSL_H
#define MB_TLS_OPENSSL_H

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "tls/tls.h"

struct mb_context {
  struct mb_tls_context head;
  SSL_CTX *ctx;           /* with the first identity */
  struct mb_named *named; /* those of the others: `count` */
  size_t count;
  unsigned char *alpn;
  unsigned alpn_size;
  int is_server;
  int has_certificate; /* the first identity has one */
  int asks;
  int trusts_nobody; /* it trusts the system's store, and that has nothing */
};

struct mb_named {
  char *name;
  SSL_CTX *ctx;
};

struct mb_connection {
  struct mb_tls head;
  SSL *ssl;                  /* its app data is this */
  BIO *in, *out;             /* the ssl's: memory, */
  size_t in_most, out_most;  /* of which so many bytes have been in use */
  char *host;                /* whom a client expects, or NULL */
  char *name;                /* what the client asks for, or NULL */
  int answered;              /* `choose` has been called */
  struct mb_context *choice; /* what with, a reference or NULL */
  char *refusal;
  unsigned char first[16]; /* what the other side began with */
  size_t first_size;
};

static inline struct mb_connection *mb_connection_of(const SSL *ssl) { return SSL_get_app_data(ssl); }

/* context.c and connection.c: see struct mb_tls_functions. table.c calls them, and sets a context's head.functions. */
struct mb_tls_context *mb_context_new(const struct mb_tls_options *o, struct mb_tls_error *e);
void mb_context_free(struct mb_tls_context *c);
struct mb_tls *mb_connection_open(struct mb_tls_context *c, const char *host);
void mb_connection_free(struct mb_tls *t);
int mb_connection_feed(struct mb_tls *t, const void *bytes, size_t n);
size_t mb_connection_pending(struct mb_tls *t);
size_t mb_connection_drain(struct mb_tls *t, void *bytes, size_t n);
enum mb_tls_state mb_connection_step(struct mb_tls *t);
const char *mb_connection_asked(const struct mb_tls *t);
void mb_connection_choose(struct mb_tls *t, struct mb_tls_context *c, const char *refusal);
size_t mb_connection_read(struct mb_tls *t, void *bytes, size_t n);
int mb_connection_write(struct mb_tls *t, const void *bytes, size_t n);
void mb_connection_end(struct mb_tls *t);
void mb_connection_facts(const struct mb_tls *t, struct mb_tls_facts *f);

/* refusal.c: why it fails. The first text that is set stays. */
void mb_refuse(struct mb_connection *t, int is_about_certificates, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A handshake, or reading, has failed with what is in OpenSSL's queue of errors. */
void mb_fail(struct mb_connection *t);

/* Of contexts: a certificate has been looked at. */
int mb_on_verify(int ok, X509_STORE_CTX *store);

/* certificate.c: into `text`, of `room` bytes; "..." stands for what does not fit. */
void mb_certificate_names(X509 *cert, char *text, size_t room);
void mb_certificate_name(const X509_NAME *name, char *text, size_t room);
void mb_certificate_time(const ASN1_TIME *time, char *text, size_t room);
void mb_certificate_facts(X509 *cert, struct mb_tls_facts *f);

#endif
