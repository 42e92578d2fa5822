/* Error codes of the core and of the binding: 0 is success, every failure is negative. */
#ifndef MB_ERROR_H
#define MB_ERROR_H

#define MB_ERRORS(X)                                          \
  X(MB_ENOMEM, -1, "out of memory")                           \
  X(MB_EFORMAT, -2, "malformed data")                         \
  X(MB_ELIMIT, -3, "system_limit: too many processes")        \
  X(MB_ENAME, -4, "name is taken")                            \
  X(MB_ENAMED, -8, "the process has a name")                  \
  X(MB_ENOPROC, -5, "no such process")                        \
  X(MB_EDEADLOCK, -6, "nothing is left that could go on")     \
  X(MB_ELOOP, -7, "event loop failed")                        \
  X(MB_EREGISTRY, -9, "unknown registry")                     \
  X(MB_EDUPLICATE, -10, "the registry is not a unique one")

enum mb_error {
#define MB_ERROR_ENUM(name, code, text) name = (code),
  MB_ERRORS(MB_ERROR_ENUM)
#undef MB_ERROR_ENUM
};

#endif
