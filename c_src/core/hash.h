/* Hashes: of byte strings and of 64-bit keys. Not for use against an adversary. */
#ifndef MB_HASH_H
#define MB_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t mb_hash_mix(uint64_t a, uint64_t b) {
  __extension__ typedef unsigned __int128 wide;
  wide m = (wide)a * b;
  return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static inline uint64_t mb_hash_u64(uint64_t key) {
  return mb_hash_mix(key ^ 0x9e3779b97f4a7c15u, 0xd6e8feb86659fd93u);
}

static inline uint64_t mb_hash_bytes(const void *data, size_t size) {
  const unsigned char *p = data;
  uint64_t h = 0xa0761d6478bd642fu ^ size, a, b;
  for (; size >= 16; p += 16, size -= 16) {
    memcpy(&a, p, 8);
    memcpy(&b, p + 8, 8);
    h = mb_hash_mix(a ^ 0xe7037ed1a0b428dbu, b ^ h);
  }
  a = b = 0;
  memcpy(&a, p, size < 8 ? size : 8);
  if (size > 8) memcpy(&b, p + 8, size - 8);
  return mb_hash_mix(mb_hash_mix(a ^ 0x8ebc6af09c88c6e3u, b ^ h), 0x589965cc75374cc3u);
}

#endif
