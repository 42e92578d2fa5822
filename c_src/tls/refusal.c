/* Why a connection fails, in words. */
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tls/openssl.h"

void mb_refuse(struct mb_connection *t, int is_about_certificates, const char *format, ...) {
  va_list arguments;
  if (t->head.text[0]) return;
  t->head.is_about_certificates = is_about_certificates;
  va_start(arguments, format);
  vsnprintf(t->head.text, sizeof t->head.text, format, arguments);
  va_end(arguments);
}

int mb_on_verify(int ok, X509_STORE_CTX *store) {
  struct mb_connection *t = mb_connection_of(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  X509 *at = X509_STORE_CTX_get_current_cert(store), *own = X509_STORE_CTX_get0_cert(store);
  int error = X509_STORE_CTX_get_error(store);
  const char *help = ((struct mb_context *)t->head.context)->trusts_nobody
                         ? "; the system trusts nobody: install ca-certificates, or give a file ca"
                         : "";
  char what[200], names[160] = "", who[160] = "", time[32] = "";
  if (ok) return ok;
  if (at) mb_certificate_name(X509_get_subject_name(at), who, sizeof who);
  switch (error) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      snprintf(what, sizeof what, "the certificate is for another host");
      break;
    case X509_V_ERR_CERT_HAS_EXPIRED:
      mb_certificate_time(X509_get0_notAfter(at), time, sizeof time);
      snprintf(what, sizeof what, "the certificate has expired, on %s", time);
      break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
      mb_certificate_time(X509_get0_notBefore(at), time, sizeof time);
      snprintf(what, sizeof what, "the certificate is not yet valid, but from %s on", time);
      break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      snprintf(what, sizeof what, "the certificate is self-signed and not trusted");
      break;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      snprintf(what, sizeof what, "unknown issuer: the chain ends in a self-signed certificate that is not trusted");
      break;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      snprintf(what, sizeof what, "unknown issuer: no trusted certificate of it");
      if (at) mb_certificate_name(X509_get_issuer_name(at), who, sizeof who);
      break;
    default:
      snprintf(what, sizeof what, "the certificate is refused: %s", X509_verify_cert_error_string(error));
  }
  if (own) mb_certificate_names(own, names, sizeof names);
  if (t->host)
    mb_refuse(t, 1, "%s (%s); expected %s, the certificate names %s%s", what, who, t->host,
              names[0] ? names : "nobody", help);
  else
    mb_refuse(t, 1, "%s (%s)%s", what, who, help);
  return ok;
}

/* The beginning of a line that is not TLS's, so that it can be recognised. */
static void quote(const struct mb_connection *t, char *text) {
  for (size_t i = 0; i < t->first_size; i++) {
    unsigned char c = t->first[i];
    if (c == '\r' || c == '\n') break;
    *text++ = (char)(c >= 0x20 && c < 0x7f ? c : '?');
  }
  *text = 0;
}

static int begins(const struct mb_connection *t, const char *with) {
  size_t n = strlen(with);
  return t->first_size >= n && memcmp(t->first, with, n) == 0;
}

static int is_http(const struct mb_connection *t) {
  static const char *const methods[] = {"GET ", "POST ", "HEAD ", "PUT ", "DELETE ", "OPTIONS ", "PATCH ", "CONNECT "};
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
    if (begins(t, methods[i])) return 1;
  return 0;
}

void mb_fail(struct mb_connection *t) {
  unsigned long error = ERR_peek_error();
  int reason = ERR_GET_REASON(error), of_ssl = ERR_GET_LIB(error) == ERR_LIB_SSL;
  const char *words = ERR_reason_error_string(error);
  char began[sizeof t->first + 1];
  t->head.state = MB_TLS_FAILED;
  if (t->first_size > 0 && t->first[0] != 0x16 && t->first[0] != 0x15) { /* a record of the handshake, or an alert */
    quote(t, began);
    if (is_http(t))
      mb_refuse(t, 0, "a plain HTTP request where TLS is spoken: \"%s\"", began);
    else if (begins(t, "HTTP/"))
      mb_refuse(t, 0, "the other side speaks plain HTTP, not TLS: \"%s\"", began);
    else
      mb_refuse(t, 0, "the other side does not speak TLS: it began with \"%s\"", began);
  } else if (of_ssl && reason > SSL_AD_REASON_OFFSET) {
    mb_refuse(t, 0, "the other side has refused: %s", SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET));
  } else if (of_ssl && reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
    mb_refuse(t, 1, "the client has sent no certificate");
  } else if (of_ssl && (reason == SSL_R_UNSUPPORTED_PROTOCOL || reason == SSL_R_VERSION_TOO_LOW)) {
    mb_refuse(t, 0, "the other side offers no version of TLS from 1.2 on");
  } else {
    mb_refuse(t, 0, "%s", words ? words : "the connection has failed");
  }
  ERR_clear_error();
}
