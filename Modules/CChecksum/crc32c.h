#ifndef DSTREAM_CRC32C_H
#define DSTREAM_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The processor's instructions for CRC-32C, which Swift has no way to name: on x86-64 if it has them, on
   arm64 where the compiler may count on them, as for Apple's; elsewhere there are none. */

#if defined(__x86_64__)

#include <cpuid.h>

/* Whether the processor has the instructions. */
static inline int dstream_has_crc32c(void) {
    unsigned int a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_SSE4_2) != 0;
}

/* The remainder after more bytes; not inverted at start and end. */
__attribute__((target("sse4.2"))) static inline uint32_t dstream_crc32c(
    uint32_t rest, const void *bytes, size_t count) {
    const unsigned char *next = (const unsigned char *)bytes;
    uint64_t wide = rest;
    for (; count >= 8; count -= 8, next += 8) {
        uint64_t word;
        __builtin_memcpy(&word, next, 8);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    rest = (uint32_t)wide;
    for (; count > 0; count -= 1, next += 1) rest = __builtin_ia32_crc32qi(rest, *next);
    return rest;
}

#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)

static inline int dstream_has_crc32c(void) { return 1; }

static inline uint32_t dstream_crc32c(uint32_t rest, const void *bytes, size_t count) {
    const unsigned char *next = (const unsigned char *)bytes;
    for (; count >= 8; count -= 8, next += 8) {
        uint64_t word;
        __builtin_memcpy(&word, next, 8);
        rest = __builtin_arm_crc32cd(rest, word);
    }
    for (; count > 0; count -= 1, next += 1) rest = __builtin_arm_crc32cb(rest, *next);
    return rest;
}

#else

static inline int dstream_has_crc32c(void) { return 0; }

static inline uint32_t dstream_crc32c(uint32_t rest, const void *bytes, size_t count) {
    (void)bytes;
    (void)count;
    return rest;
}

#endif

#endif
