#ifndef DSTREAM_FILE_STATUS_H
#define DSTREAM_FILE_STATUS_H

#include <stdint.h>
#include <sys/stat.h>

#if defined(__linux__)
// The header shows call and structure only to those who ask for extensions before anything else is
// included.
struct dstream_statx_time { int64_t seconds; uint32_t nanoseconds; int32_t padding; };
struct dstream_statx {
    uint32_t mask, block_size;
    uint64_t attributes;
    uint32_t links, user, group;
    uint16_t mode, padding;
    uint64_t inode, size, blocks, attributes_mask;
    struct dstream_statx_time accessed, born, changed, modified;
    uint64_t rest[16];
};
extern int dstream_statx_call(int, const char *, int, unsigned int, struct dstream_statx *)
    __asm__("statx");
#endif

/// When the file at a path was made, in nanoseconds since 1970; 0 when the file system does not say.
static inline int64_t dstream_file_birth(const char *path) {
#if defined(__linux__)
    const int in_working_directory = -100;
    const unsigned int birth = 0x800;
    struct dstream_statx status;
    if (dstream_statx_call(in_working_directory, path, 0, birth, &status) != 0) return 0;
    if (!(status.mask & birth)) return 0;
    return status.born.seconds * 1000000000 + status.born.nanoseconds;
#else
    struct stat status;
    if (stat(path, &status) != 0) return 0;
    return (int64_t)status.st_birthtimespec.tv_sec * 1000000000 + status.st_birthtimespec.tv_nsec;
#endif
}

#endif
