#ifndef DSTREAM_POLL_H
#define DSTREAM_POLL_H

#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <time.h>

#if defined(__linux__)
// The header shows it only to those who ask for extensions before anything else is included.
extern int ppoll(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);
#endif

/// Waits as poll(2) does, for at most so many nanoseconds; below zero: without end. Where the system
/// counts in milliseconds they are rounded up.
static inline int dstream_poll(struct pollfd *descriptors, nfds_t count, int64_t nanoseconds) {
#if defined(__linux__)
    struct timespec limit = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    return ppoll(descriptors, count, nanoseconds < 0 ? 0 : &limit, 0);
#else
    int64_t milliseconds = nanoseconds < 0 ? -1 : nanoseconds / 1000000 + (nanoseconds % 1000000 > 0);
    return poll(descriptors, count, milliseconds > INT32_MAX ? INT32_MAX : (int)milliseconds);
#endif
}

#endif
