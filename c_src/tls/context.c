/* Contexts: the files are read, and what is to be the same for all connections is set. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tls/openssl.h"

static int said(struct mb_tls_error *e, const char *path, const char *what) {
  unsigned long error = ERR_peek_last_error();
  const char *words = error ? ERR_reason_error_string(error) : NULL;
  snprintf(e->text, sizeof e->text, words ? "%s: %s (%s)" : "%s: %s", path, what, words);
  ERR_clear_error();
  return -1;
}

/* OpenSSL does not say why a file cannot be read, and would wait at a pipe for somebody who writes. */
static int check_readable(const char *path, struct mb_tls_error *e) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat st;
  if (fd < 0 || fstat(fd, &st) != 0)
    e->system = errno;
  else if (S_ISDIR(st.st_mode))
    e->system = EISDIR;
  else if (!S_ISREG(st.st_mode))
    said(e, path, "a regular file expected");
  if (fd >= 0) close(fd);
  if (e->system) snprintf(e->text, sizeof e->text, "%s", path);
  return e->text[0] ? -1 : 0;
}

/* Whether the system's store has nothing at all: then no server is ever let in. */
static int is_store_empty(void) {
  const char *file = getenv(X509_get_default_cert_file_env()), *path = getenv(X509_get_default_cert_dir_env());
  char *folders, *rest, *folder;
  int any = access(file ? file : X509_get_default_cert_file(), R_OK) == 0;
  folders = rest = strdup(path ? path : X509_get_default_cert_dir());
  while (rest && !any && (folder = strsep(&rest, ":"))) {
    DIR *d = opendir(folder);
    struct dirent *entry;
    while (d && !any && (entry = readdir(d))) any = entry->d_name[0] != '.';
    if (d) closedir(d);
  }
  free(folders);
  return !any;
}

/* The passwords of keys: nobody is to be asked for one at the terminal. */
static int no_password(char *text, int size, int writing, void *user) {
  (void)text;
  (void)size;
  (void)writing;
  (void)user;
  return -1;
}

static int use_identity(SSL_CTX *ctx, const struct mb_tls_identity *i, struct mb_tls_error *e) {
  const char *key = i->key ? i->key : i->cert;
  if (!i->cert) return 0;
  if (check_readable(i->cert, e) != 0 || check_readable(key, e) != 0) return -1;
  if (SSL_CTX_use_certificate_chain_file(ctx, i->cert) != 1)
    return said(e, i->cert, "no certificate in PEM that can be used");
  if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) == 1) return 0;
  if (ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH || SSL_CTX_get0_privatekey(ctx))
    return said(e, key, "the key does not belong to the certificate");
  return said(e, key, "no private key in PEM that can be used without a password");
}

static int trust(SSL_CTX *ctx, const struct mb_tls_options *o, struct mb_tls_error *e) {
  STACK_OF(X509_NAME) *names;
  if (!o->ca) return SSL_CTX_set_default_verify_paths(ctx) == 1 ? 0 : said(e, "the system's certificates", "not found");
  if (check_readable(o->ca, e) != 0) return -1;
  if (SSL_CTX_load_verify_file(ctx, o->ca) != 1) return said(e, o->ca, "no certificates in PEM");
  names = o->is_server ? SSL_load_client_CA_file(o->ca) : NULL;
  if (names) SSL_CTX_set_client_CA_list(ctx, names); /* which are to be those of clients; taken over */
  return 0;
}

/* Whether these are bytes of a host's name. Functions of the user's may make paths of it, and messages name it. */
static int is_name(const unsigned char *bytes, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!isalnum(bytes[i]) && !(bytes[i] && strchr("-._", bytes[i]))) return 0;
  return n > 0;
}

/* The name in a client's hello, if it is one: struct ServerNameList of RFC 6066. */
static char *name_in(SSL *ssl) {
  const unsigned char *p;
  size_t size, length;
  if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p, &size) || size < 5 ||
      p[2] != TLSEXT_NAMETYPE_host_name)
    return NULL;
  length = (size_t)p[3] << 8 | p[4];
  if (length > size - 5 || length > TLSEXT_MAXLEN_host_name || !is_name(p + 5, length)) return NULL;
  return strndup((const char *)p + 5, length);
}

/* Whether a client that asks for `name` means `pattern`. */
static int fits(const char *pattern, const char *name) {
  const char *rest = strchr(name, '.');
  if (strcasecmp(pattern, name) == 0) return 1;
  return strncmp(pattern, "*.", 2) == 0 && rest && rest != name && strcasecmp(pattern + 1, rest) == 0;
}

/* Be what another SSL_CTX of the same settings has the certificate of. */
static void become(SSL *ssl, SSL_CTX *ctx, const struct mb_context *settings) {
  STACK_OF(X509_NAME) *names = SSL_CTX_get_client_CA_list(settings->ctx);
  SSL_set_SSL_CTX(ssl, ctx);
  SSL_set1_verify_cert_store(ssl, SSL_CTX_get_cert_store(settings->ctx));
  if (names) SSL_set_client_CA_list(ssl, SSL_dup_CA_list(names));
}

static int on_hello(SSL *ssl, int *alert, void *unused) {
  struct mb_connection *t = mb_connection_of(ssl);
  struct mb_context *c = (struct mb_context *)t->head.context;
  const struct mb_named *exact = NULL, *found = NULL;
  (void)unused;
  if (!t->name) t->name = name_in(ssl);
  if (c->asks && !t->answered) return SSL_CLIENT_HELLO_RETRY;
  if (t->refusal) {
    mb_refuse(t, 0, "%s", t->refusal);
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    return SSL_CLIENT_HELLO_ERROR;
  }
  if (t->choice) {
    become(ssl, t->choice->ctx, c);
    return SSL_CLIENT_HELLO_SUCCESS;
  }
  for (size_t i = 0; t->name && i < c->count; i++) {
    if (!fits(c->named[i].name, t->name)) continue;
    if (c->named[i].name[0] != '*') exact = &c->named[i];
    found = &c->named[i];
  }
  if (exact) found = exact;
  if (found) {
    become(ssl, found->ctx, c);
  } else if (!c->has_certificate) {
    if (t->name)
      mb_refuse(t, 0, "there is no certificate for the name %s, which the client asks for", t->name);
    else
      mb_refuse(t, 0, "the client asks for no name, and there is no certificate for that");
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    return SSL_CLIENT_HELLO_ERROR;
  }
  return SSL_CLIENT_HELLO_SUCCESS;
}

/* The client is told that its name has been heard. */
static int on_name(SSL *ssl, int *alert, void *unused) {
  (void)alert;
  (void)unused;
  return mb_connection_of(ssl)->name ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *size, const unsigned char *in, unsigned in_size,
                   void *unused) {
  struct mb_connection *t = mb_connection_of(ssl);
  const struct mb_context *c = (struct mb_context *)t->head.context;
  (void)unused;
  if (!c->alpn) return SSL_TLSEXT_ERR_NOACK;
  if (SSL_select_next_proto((unsigned char **)(uintptr_t)out, size, c->alpn, c->alpn_size, in, in_size) ==
      OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_OK;
  mb_refuse(t, 0, "no protocol of ALPN in common: the client offers none that is served");
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static SSL_CTX *make(const struct mb_context *c, const struct mb_tls_options *o, const struct mb_tls_identity *i,
                     struct mb_tls_error *e) {
  SSL_CTX *ctx = SSL_CTX_new(o->is_server ? TLS_server_method() : TLS_client_method());
  int mode = o->verify == MB_TLS_VERIFY_NOT ? SSL_VERIFY_NONE : SSL_VERIFY_PEER;
  if (!ctx) {
    said(e, "OpenSSL", "no memory");
    return NULL;
  }
  SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
  SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(ctx, 0);
  SSL_CTX_set_default_passwd_cb(ctx, no_password);
  if (o->verify == MB_TLS_VERIFY && o->is_server) mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  SSL_CTX_set_verify(ctx, mode, mode == SSL_VERIFY_NONE ? NULL : mb_on_verify);
  if (o->is_server) {
    SSL_CTX_set_client_hello_cb(ctx, on_hello, NULL);
    SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
  }
  if ((mode != SSL_VERIFY_NONE && trust(ctx, o, e) != 0) || use_identity(ctx, i, e) != 0 ||
      (!o->is_server && c->alpn && SSL_CTX_set_alpn_protos(ctx, c->alpn, c->alpn_size) != 0)) {
    if (!e->text[0]) said(e, "alpn", "not accepted");
    SSL_CTX_free(ctx);
    return NULL;
  }
  return ctx;
}

struct mb_tls_context *mb_context_new(const struct mb_tls_options *o, struct mb_tls_error *e) {
  struct mb_context *c = calloc(1, sizeof *c);
  *e = (struct mb_tls_error){0};
  if (!c) goto no_memory;
  atomic_init(&c->head.references, 1);
  c->head.handshake_ms = o->handshake_ms;
  c->is_server = o->is_server;
  c->asks = o->asks;
  c->has_certificate = o->identities[0].cert != NULL;
  if (o->alpn_size) {
    c->alpn = malloc(o->alpn_size);
    if (!c->alpn) goto no_memory;
    memcpy(c->alpn, o->alpn, o->alpn_size);
    c->alpn_size = (unsigned)o->alpn_size;
  }
  c->trusts_nobody = o->verify != MB_TLS_VERIFY_NOT && !o->ca && is_store_empty();
  c->ctx = make(c, o, &o->identities[0], e);
  if (!c->ctx) goto failed;
  c->named = calloc(o->count, sizeof *c->named);
  if (!c->named) goto no_memory;
  for (size_t i = 1; i < o->count; i++) {
    struct mb_named *n = &c->named[c->count++];
    n->name = strdup(o->identities[i].name);
    if (!n->name) goto no_memory;
    n->ctx = make(c, o, &o->identities[i], e);
    if (!n->ctx) goto failed;
  }
  return &c->head;

no_memory:
  e->system = ENOMEM;
  snprintf(e->text, sizeof e->text, "TLS");
failed:
  if (c) mb_context_free(&c->head);
  return NULL;
}

void mb_context_free(struct mb_tls_context *context) {
  struct mb_context *c = (struct mb_context *)context;
  for (size_t i = 0; i < c->count; i++) {
    free(c->named[i].name);
    SSL_CTX_free(c->named[i].ctx);
  }
  free(c->named);
  SSL_CTX_free(c->ctx);
  free(c->alpn);
  free(c->head.chooser);
  free(c);
}
