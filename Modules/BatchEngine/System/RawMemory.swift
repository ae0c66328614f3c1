#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Uninitialised memory from the C allocator, which can be grown without copying, and byte search.
///
/// Large regions grow by remapping pages, so growing a buffer of megabytes moves no bytes on Linux.
@usableFromInline
package enum RawMemory {
    /// Allocates `byteCount` uninitialised bytes; traps when memory is exhausted.
    package static func allocate(byteCount: Int) -> UnsafeMutableRawPointer {
        guard let base = malloc(max(byteCount, 1)) else {
            fatalError("out of memory allocating \(byteCount) bytes")
        }
        return base
    }

    /// Grows or shrinks a region to `byteCount` bytes, keeping its contents; `base` is invalid after.
    package static func reallocate(
        _ base: UnsafeMutableRawPointer, byteCount: Int
    ) -> UnsafeMutableRawPointer {
        guard let moved = realloc(base, max(byteCount, 1)) else {
            fatalError("out of memory growing a buffer to \(byteCount) bytes")
        }
        return moved
    }

    /// Returns a region to the allocator.
    package static func deallocate(_ base: UnsafeMutableRawPointer) {
        free(base)
    }

    /// The distance from `start` to the first `byte` before `end`, or that to `end` when there is none.
    @usableFromInline
    static func distance(
        to byte: UInt8, from start: UnsafeRawPointer, end: UnsafeRawPointer
    ) -> Int {
        guard let found = memchr(start, Int32(byte), end - start) else { return end - start }
        return UnsafeRawPointer(found) - start
    }
}
