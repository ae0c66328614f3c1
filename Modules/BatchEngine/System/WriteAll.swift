#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Writes all bytes, however many of them one call takes.
///
/// - Parameter write: Writes some bytes; says how many, or -1 and sets the error number.
/// - Returns: The error number; nil: all are written.
package func writeAll(
    _ bytes: UnsafeRawBufferPointer, _ write: (UnsafeRawPointer, Int) -> Int
) -> Int32? {
    var rest = bytes
    while let start = rest.baseAddress, !rest.isEmpty {
        let count = retryingInterrupted { write(start, rest.count) }
        if count < 0 { return currentErrno() }
        // Without a reason: it would be the same the next time, for ever.
        if count == 0 { return EIO }
        rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
    return nil
}
