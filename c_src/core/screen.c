#include "screen.h"

const struct mb_screen *_Atomic mb_screen;
