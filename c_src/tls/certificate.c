/* What a certificate says, as text. Whoever has made it may have put any bytes there: what does not print is '?'. */
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "tls/openssl.h"

static void append(char *text, size_t room, const char *bytes, size_t n) {
  size_t at = strlen(text);
  for (size_t i = 0; i < n; i++) {
    unsigned char c = (unsigned char)bytes[i];
    if (at + 5 > room) {
      memcpy(text + at, "...", 4);
      return;
    }
    text[at++] = (char)(c >= 0x20 && c < 0x7f ? c : '?');
    text[at] = 0;
  }
}

void mb_certificate_names(X509 *cert, char *text, size_t room) {
  GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
  text[0] = 0;
  for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
    const ASN1_STRING *value = name->type == GEN_DNS     ? name->d.dNSName
                               : name->type == GEN_IPADD ? name->d.iPAddress
                                                         : NULL;
    const unsigned char *bytes = value ? ASN1_STRING_get0_data(value) : NULL;
    size_t size = value ? (size_t)ASN1_STRING_length(value) : 0;
    char number[48];
    if (!value) continue;
    if (name->type == GEN_IPADD && size == 4) {
      size = (size_t)snprintf(number, sizeof number, "%d.%d.%d.%d", bytes[0], bytes[1], bytes[2], bytes[3]);
      bytes = (unsigned char *)number;
    } else if (name->type == GEN_IPADD && size == 16) {
      size = 0;
      for (int k = 0; k < 16; k += 2)
        size += (size_t)snprintf(number + size, sizeof number - size, k ? ":%x" : "%x", bytes[k] << 8 | bytes[k + 1]);
      bytes = (unsigned char *)number;
    }
    if (text[0]) append(text, room, ", ", 2);
    append(text, room, (const char *)bytes, size);
  }
  GENERAL_NAMES_free(names);
}

/* Take the text that has been written to a BIO of memory, which is freed. */
static void take(BIO *bio, char *text, size_t room) {
  char *bytes;
  long n = bio ? BIO_get_mem_data(bio, &bytes) : 0;
  text[0] = 0;
  if (n > 0) append(text, room, bytes, (size_t)n);
  BIO_free(bio);
}

void mb_certificate_name(const X509_NAME *name, char *text, size_t room) {
  BIO *bio = BIO_new(BIO_s_mem());
  if (bio) X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253);
  take(bio, text, room);
}

void mb_certificate_time(const ASN1_TIME *time, char *text, size_t room) {
  struct tm tm;
  text[0] = 0;
  if (ASN1_TIME_to_tm(time, &tm) == 1) strftime(text, room, "%Y-%m-%d %H:%M:%S UTC", &tm);
}

void mb_certificate_facts(X509 *cert, struct mb_tls_facts *f) {
  unsigned char hash[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  BIO *bio = BIO_new(BIO_s_mem());
  f->has_peer = 1;
  mb_certificate_name(X509_get_subject_name(cert), f->subject, sizeof f->subject);
  mb_certificate_name(X509_get_issuer_name(cert), f->issuer, sizeof f->issuer);
  mb_certificate_names(cert, f->names, sizeof f->names);
  mb_certificate_time(X509_get0_notBefore(cert), f->from, sizeof f->from);
  mb_certificate_time(X509_get0_notAfter(cert), f->until, sizeof f->until);
  if (bio) i2a_ASN1_INTEGER(bio, X509_get0_serialNumber(cert));
  take(bio, f->serial, sizeof f->serial);
  f->fingerprint[0] = 0;
  if (X509_digest(cert, EVP_sha256(), hash, &size))
    for (unsigned i = 0; i < size; i++) snprintf(f->fingerprint + 2 * i, 3, "%02x", hash[i]);
}
