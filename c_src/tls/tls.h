/* TLS as a filter of bytes, on OpenSSL: what has arrived goes in, what is to be sent comes out, and on the other side
 * are the plain bytes. It knows no sockets, no loop and no Lua.
 *
 * It is a shared object of its own, moonbeam/openssl.so, which is loaded when TLS is first asked for: a program linked
 * to OpenSSL takes 1.1 ms longer to start, which is twice as long. Its functions are reached by the table below alone.
 *
 * A context has the settings of connections: certificates, whom to trust. It is complete when context_new returns and
 * never changes, so any threads may make connections of it at once; its references, and OpenSSL's to what is in it, are
 * counted by atomics. No sessions are kept, so there is no table of them that threads would lock. A connection is one
 * thread's at a time, and may go to another.
 *
 * TLS 1.2 at least; no compression, no renegotiation, no resumption. */
#ifndef MB_TLS_H
#define MB_TLS_H

#include <stdatomic.h>
#include <stddef.h>

enum { MB_TLS_TEXT = 640 /* room for an error's text */ };

enum mb_tls_state {
  MB_TLS_HANDSHAKE, /* bytes of the other side's are needed */
  MB_TLS_ASKS,      /* the context's user has to choose by the name: `choose`, then `step` again */
  MB_TLS_READY,     /* plain bytes may pass */
  MB_TLS_FAILED
};

enum mb_tls_verify {
  MB_TLS_VERIFY_NOT,
  MB_TLS_VERIFY_OFFERED, /* of clients: one without a certificate is let in */
  MB_TLS_VERIFY
};

struct mb_tls_identity {
  const char *name; /* as clients ask for it, "*.example.org" for one label; the first one, the default, has none */
  const char *cert, *key; /* files in PEM: a chain, the own certificate first, and its key; cert is NULL: none */
};

struct mb_tls_options {
  int is_server;
  enum mb_tls_verify verify;
  const char *ca;                          /* a file of certificates that are trusted; NULL: the system's store */
  const struct mb_tls_identity *identities; /* `count`, one at least */
  size_t count;
  const unsigned char *alpn; /* each name behind a byte of its length; the preferred one first */
  size_t alpn_size;
  int asks; /* of a server: connections come to MB_TLS_ASKS */
  unsigned handshake_ms; /* 0: no bound */
};

struct mb_tls_error {
  int system; /* an errno, about the file that `text` names; 0: the text says it all */
  char text[MB_TLS_TEXT];
};

struct mb_tls_facts {
  char version[16], cipher[64], alpn[256], server_name[256]; /* each may be "": there is none */
  int has_peer;                                              /* the rest is of the other side's certificate */
  char subject[512], issuer[512], names[1024], serial[128], fingerprint[72], from[32], until[32];
};

struct mb_tls_functions;

struct mb_tls_context {
  const struct mb_tls_functions *functions;
  atomic_uint references; /* relaxed up, acquire and release down */
  unsigned handshake_ms;  /* what its user wants to know, */
  unsigned char *chooser; /* and bytes of its user's, from malloc, or NULL; set before it is shared */
};

struct mb_tls {
  const struct mb_tls_functions *functions;
  struct mb_tls_context *context; /* a reference */
  enum mb_tls_state state;
  int is_about_certificates; /* MB_TLS_FAILED: a certificate was refused here */
  int ended;                 /* the other side has said that it sends no more (close_notify) */
  char text[MB_TLS_TEXT];    /* MB_TLS_FAILED: why */
};

struct mb_tls_functions {
  /* A context with one reference, or NULL and *e. Reads files; any thread. */
  struct mb_tls_context *(*context_new)(const struct mb_tls_options *o, struct mb_tls_error *e);
  void (*context_free)(struct mb_tls_context *c);
  /* A connection, with a reference to c; NULL: no memory. host: whom a client expects, by name or address, or NULL. */
  struct mb_tls *(*open)(struct mb_tls_context *c, const char *host);
  void (*free)(struct mb_tls *t);
  /* Bytes from the other side. 0, or -1 when memory is out. */
  int (*feed)(struct mb_tls *t, const void *bytes, size_t n);
  /* How many bytes are to be sent, after each of the others; take n of them at most, returns how many. */
  size_t (*pending)(struct mb_tls *t);
  size_t (*drain)(struct mb_tls *t, void *bytes, size_t n);
  /* As far as the handshake goes with what has been fed: sets and returns state. */
  enum mb_tls_state (*step)(struct mb_tls *t);
  /* MB_TLS_ASKS: the name that the client asks for, or NULL. */
  const char *(*asked)(const struct mb_tls *t);
  /* What to be for that name: the first identity of c; NULL: the own one; or, with a refusal, nobody, which fails. */
  void (*choose)(struct mb_tls *t, struct mb_tls_context *c, const char *refusal);
  /* Plain bytes of what has been fed, as many as fit; 0: no more, for now or because of `ended` or MB_TLS_FAILED. */
  size_t (*read)(struct mb_tls *t, void *bytes, size_t n);
  /* Plain bytes to be sent, all. 0, or -1 and MB_TLS_FAILED. */
  int (*write)(struct mb_tls *t, const void *bytes, size_t n);
  /* Say that no more is sent (close_notify); nothing unless the state is MB_TLS_READY. */
  void (*end)(struct mb_tls *t);
  void (*facts)(const struct mb_tls *t, struct mb_tls_facts *f);
};

/* The name under which the shared object has its struct mb_tls_functions. */
#define MB_TLS_FUNCTIONS "mb_tls_functions"

static inline void mb_tls_context_retain(struct mb_tls_context *c) {
  atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
}

static inline void mb_tls_context_release(struct mb_tls_context *c) {
  if (c && atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) == 1) c->functions->context_free(c);
}

static inline void mb_tls_free(struct mb_tls *t) {
  if (t) t->functions->free(t);
}

#endif
