/* The codec: Lua values to bytes and back. Bytes are all that passes between processes.
 *
 *   encoded   := FLAGS(1) COUNT(4) value*COUNT later*
 *
 *   value                 OFFSET SIZE  DESCRIPTION
 *   0x00 nil, 0x01 false, 0x02 true
 *   0x03 integer          1      1     -128..127
 *   0x04 integer          1      8
 *   0x05 float            1      8
 *   0x06 string           1      4     length, then the bytes
 *   0x07 light userdata   1      8     pids, references and patterns among them
 *   0x08 table            1      4     array items, 5: 4: pairs; then items, pairs, metatable value
 *   0x09 again            1      4     number of an object met before
 *   0x0a function         1      ...   code, then its upvalues: their number(1), and each as in MB_U_...
 *   0x0b module value     1      1     length of the name in bytes, then the name (modules.h)
 *   0x0c environment      1      1     0: the shared base; 1: a private one; 2: the state's own
 *   0x0d table, later     -            its body follows after the values: nesting is deep
 *   0x0e function, later  1      ...   code; its upvalues follow after the values
 *   0x0f handle           1      8     number of an object of the room io's, see heap.push_handle
 *   0x10 shared value     1      8     the block, 9: 4: the number of its table; see heap/shared.h
 *   0x80 + n              1      n     string of n < 128 bytes
 *
 *   later                 OFFSET SIZE  DESCRIPTION
 *   0x01 table body       1      ...   of the next table, later: as of 0x08 without the tag
 *   0x02 global           1      4     number of the environment; then name and value
 *   0x03 hide a global    1      4     number of the environment; then the name
 *   0x04 make it whole    1      4     number of the environment: it may be seen as a value
 *   0x05 upvalues         1      ...   of the next function, later: as of 0x0a behind the code
 *
 *   code                  OFFSET SIZE  DESCRIPTION
 *   new                   0      4     size of the dump, not 0; 4: 8: its hash; 12: the dump
 *   met before            0      4     0; 4: 4: where in the message it stands
 *
 * Objects (tables, functions, environments) are numbered from 1 in the order their tags appear.
 * Integers are in the machine's byte order: encoded bytes never leave the program. */
#ifndef MB_CODEC_H
#define MB_CODEC_H

#include "codec/buffer.h"
#include "core/block.h"
#include "heap/heap.h"

enum {
  MB_T_NIL, MB_T_FALSE, MB_T_TRUE, MB_T_INT8, MB_T_INT64, MB_T_FLOAT, MB_T_STRING, MB_T_LIGHT,
  MB_T_TABLE, MB_T_AGAIN, MB_T_FUNCTION, MB_T_MODULE, MB_T_ENV, MB_T_TABLE_LATER, MB_T_FUNCTION_LATER, MB_T_HANDLE,
  MB_T_SHARED,
  MB_T_SHORT = 0x80
};
enum { MB_L_TABLE = 1, MB_L_GLOBAL, MB_L_HIDE, MB_L_WHOLE, MB_L_UPVALUES };
enum { MB_F_AGAIN = 1, MB_F_LATER = 2 }; /* FLAGS: such tags occur */
enum { MB_F_MODULES = 4 };               /* and values of modules other than Lua's, in what replica.h encodes */
enum { MB_F_TOLD = 8 };                  /* it tells of values: a text stands for a module's that cannot be made */
enum { MB_E_BASE, MB_E_PRIVATE, MB_E_STATE };
enum { MB_U_VALUE, MB_U_SHARED };        /* upvalue: a value follows | function number, index */
enum { MB_ENCODED_HEADER = 5 };

/* What encoded bytes do with shared values: they refer to them, and whoever keeps the bytes keeps a reference, lets the
 * values stay as long as the program, or has only tried; or a text stands there. */
enum mb_shared_values { MB_SHARED_KEPT, MB_SHARED_PINNED, MB_SHARED_TRIED, MB_SHARED_TOLD };

/* Encode `count` values from stack index `first` on; the bytes are in *out until the next call of
 * this function or of Lua. `doing` ("send message") starts the text of a refusal. Raises a Lua error at
 * the caller's level when a value cannot travel, memory errors included; nothing else has happened. Shared values are
 * pinned, unless it is a trial. */
void mb_encode(struct mb_heap *h, lua_State *L, int first, int count, const char *doing,
               const struct mb_buffer **out);

/* The same for who keeps *holds with the bytes, a reference to the shared values among them, or NULL. */
void mb_encode_keeping(struct mb_heap *h, lua_State *L, int first, int count, const char *doing,
                       struct mb_block **holds, const struct mb_buffer **out);

/* The same of what is only told: entries of the log. */
void mb_encode_told(struct mb_heap *h, lua_State *L, int first, int count, const char *doing,
                    const struct mb_buffer **out);

/* The `doing` of what is to become part of other heaps, see replica.h: the state's own globals are those of the heap
 * that decodes. mb_replica_trial: and no more than 64 KB. */
extern const char mb_replica_all[], mb_replica_trial[], mb_replica_start[];

/* As mb_encode, with the bytes in a new signal, which the caller owns. */
struct mb_signal *mb_encode_signal(struct mb_heap *h, lua_State *L, int first, int count,
                                   const char *doing, enum mb_signal_kind kind);

/* Encoded bytes tell somebody of values, as reasons, entries of the log and what Process.info gives do: one value of a
 * module that cannot be made where they arrive does not take the rest along. */
static inline void mb_encoded_tells(unsigned char *bytes) { bytes[0] |= MB_F_TOLD; }

/* Push the values; returns how many. Raises when memory is out, or when a module cannot be loaded and the bytes do not
 * tell of values. The bytes must stay where they are meanwhile: loading a module runs code of the user's, which may
 * take messages. */
int mb_decode(struct mb_heap *h, lua_State *L, const unsigned char *bytes);

/* The same where no code but finalizers may run: -1, with nothing pushed, when a module would have to be loaded. */
int mb_decode_loaded(struct mb_heap *h, lua_State *L, const unsigned char *bytes);

/* The same, with a text in the place of each value whose module is not loaded: for showing what is not taken. */
int mb_decode_shown(struct mb_heap *h, lua_State *L, const unsigned char *bytes);

/* A reason from the value at `index`; a value that cannot travel is replaced by its inspect text.
 * Raises only when memory is out. */
struct mb_reason *mb_encode_reason(struct mb_heap *h, lua_State *L, int index);

#endif
