#ifndef DSTREAM_FILE_STATUS_H
#define DSTREAM_FILE_STATUS_H

#include <errno.h>
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
    uint32_t special_major, special_minor, device_major, device_minor;
    uint64_t rest[14];
};
extern int dstream_statx_call(int, const char *, int, unsigned int, struct dstream_statx *)
    __asm__("statx");
#endif

/// What the system knows of a file, times since 1970-01-01 00:00 UTC.
struct dstream_file_status {
    uint32_t mode;
    uint64_t device, inode;
    int64_t size, modified_seconds, modified_nanoseconds;
    /// When it was made, in nanoseconds; 0 when the file system does not say.
    int64_t birth;
};

/// Looks at the file at a path, or, with an empty path, at an open one; returns an errno, or 0.
static inline int dstream_file_status(
    int descriptor, const char *path, struct dstream_file_status *found)
{
#if defined(__linux__)
    const int in_working_directory = -100, empty_path = 0x1000;
    const unsigned int basic = 0x7ff, birth = 0x800;
    struct dstream_statx status;
    const int is_open = !path[0];
    if (dstream_statx_call(is_open ? descriptor : in_working_directory, path,
            is_open ? empty_path : 0, basic | birth, &status) != 0)
        return errno;
    found->mode = status.mode;
    found->device = (uint64_t)status.device_major << 32 | status.device_minor;
    found->inode = status.inode;
    found->size = (int64_t)status.size;
    found->modified_seconds = status.modified.seconds;
    found->modified_nanoseconds = status.modified.nanoseconds;
    found->birth = status.mask & birth
        ? status.born.seconds * 1000000000 + status.born.nanoseconds : 0;
#else
    struct stat status;
    if ((path[0] ? stat(path, &status) : fstat(descriptor, &status)) != 0) return errno;
    found->mode = status.st_mode;
    found->device = (uint64_t)status.st_dev;
    found->inode = status.st_ino;
    found->size = status.st_size;
    found->modified_seconds = status.st_mtimespec.tv_sec;
    found->modified_nanoseconds = status.st_mtimespec.tv_nsec;
    found->birth = (int64_t)status.st_birthtimespec.tv_sec * 1000000000
        + status.st_birthtimespec.tv_nsec;
#endif
    return 0;
}

#endif
