/* Instructions of Lua 5.4, those that are understood here: 32 bits, opcode 7, A 8, k 1, B 8, C 8. */
#ifndef MB_INSTRUCTION_H
#define MB_INSTRUCTION_H

#include <lua.h>
#include <stdint.h>

#if LUA_VERSION_NUM != 504
#error "the bytecode of this Lua is not known here"
#endif

enum mb_opcode {
  OP_GETUPVAL = 9,
  OP_SETUPVAL = 10,
  OP_GETTABUP = 11,
  OP_SETTABUP = 15,
  OP_SETFIELD = 18,
  OP_NEWTABLE = 19,
  OP_JMP = 56,
  OP_CALL = 68,
  OP_SETLIST = 78,
  OP_EXTRAARG = 82
};

static inline uint32_t op_of(uint32_t i) { return i & 0x7f; }
static inline uint32_t a_of(uint32_t i) { return i >> 7 & 0xff; }
static inline uint32_t k_of(uint32_t i) { return i >> 15 & 1; }
static inline uint32_t b_of(uint32_t i) { return i >> 16 & 0xff; }
static inline uint32_t c_of(uint32_t i) { return i >> 24 & 0xff; }

#endif
