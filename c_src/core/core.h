/* What the layer above includes of the core: all that runs processes. No file of the core includes it. */
#ifndef MB_CORE_H
#define MB_CORE_H

#include "delayed.h"
#include "demand.h"
#include "error.h"
#include "lifecycle.h"
#include "loop.h"
#include "mailbox.h"
#include "migrate.h"
#include "park.h"
#include "post.h"
#include "protocol.h"
#include "runtime.h"

#endif
