// Xen's C headers, which do not say themselves that they are C.
#pragma once

#include <cstdarg>
#include <cstdbool>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include <netinet/in.h>
#include <poll.h>
#include <sys/time.h>
#include <sys/wait.h>

#define LIBXL_API_VERSION 0x041400  // the newest that Xen 4.17 takes
extern "C" {
#include <libxl.h>
#include <libxl_event.h>
#include <libxl_utils.h>
#include <xenstore.h>
#include <xentoollog.h>
}
