#ifndef DSTREAM_PREFETCH_H
#define DSTREAM_PREFETCH_H

/// Asks for the cache line at an address, which need not be valid; Swift has no way to say it.
static inline void dstream_prefetch(const void *address) { __builtin_prefetch(address, 0, 3); }

#endif
