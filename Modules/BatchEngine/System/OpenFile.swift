#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// An open file; closed when released.
///
/// ## Isolation
/// May be used from any thread; all calls block it. Appends of concurrent writers do not overlap, but
/// only one writer keeps the bytes of one `append` together.
package final class OpenFile: Sendable {
    /// What the file is opened for.
    package enum Mode: Sendable {
        /// Reading a file that exists; opening never waits, as that of a pipe would.
        case read
        /// Writing at the end, creating the file when missing.
        case append
        /// Writing a file that must not exist yet.
        case createNew
        /// Writing from the start; what was there is lost, but a link in its place is not followed.
        case replace
        /// Reading, and writing at the end, creating the file when missing.
        case readAndAppend
        /// Reading, and writing at the end of a file that must not exist yet.
        case createNewAndAppend
        /// Locking a file, created when missing; a link in its place is not followed.
        case lock
        /// Locking a directory that exists; a link in its place is not followed.
        case directory
    }

    /// The path it was opened with.
    package let path: String
    private let number: Int32

    /// Opens a file.
    ///
    /// - Throws: `SystemError` naming path and call.
    package init(_ path: String, _ mode: Mode) throws(SystemError) {
        try SystemError.refuseNull(in: path, "open")
        let flags =
            switch mode {
            case .read: O_RDONLY | O_NONBLOCK
            case .append: O_WRONLY | O_CREAT | O_APPEND
            case .createNew: O_WRONLY | O_CREAT | O_EXCL
            case .replace: O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW
            case .readAndAppend: O_RDWR | O_CREAT | O_APPEND
            case .createNewAndAppend: O_RDWR | O_CREAT | O_EXCL | O_APPEND
            case .lock: O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW
            case .directory: O_RDONLY | O_DIRECTORY | O_NOFOLLOW
            }
        let number = retryingInterrupted { open(path, flags | O_CLOEXEC, 0o666) }
        guard number >= 0 else { throw SystemError.last("open", path) }
        self.path = path
        self.number = number
    }

    deinit { systemClose(number) }

    /// Writes all bytes at the file's position, which is the end when opened for appending.
    ///
    /// - Throws: `SystemError`; part of the bytes may have been written.
    package func write(_ bytes: UnsafeRawBufferPointer) throws(SystemError) {
        if let code = writeAll(bytes, { systemWrite(number, $0, $1) }) {
            throw SystemError(call: "write", errno: code, subject: path)
        }
    }

    /// Writes all bytes of an array; see `write(_:)` for raw bytes.
    package func write(_ bytes: [UInt8]) throws(SystemError) {
        try bytes.withUnsafeBufferPointer { buffer throws(SystemError) in
            try write(UnsafeRawBufferPointer(buffer))
        }
    }

    /// Reads up to `count` bytes at `offset`; fewer only at the end of the file.
    package func read(at offset: Int, count: Int) throws(SystemError) -> [UInt8] {
        var failure: SystemError?
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            do throws(SystemError) {
                filled = try read(at: offset, into: UnsafeMutableRawBufferPointer(buffer))
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return bytes
    }

    /// Fills `buffer` from `offset`; returns how many bytes there were, fewer only at the end.
    package func read(
        at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(SystemError) -> Int {
        var filled = 0
        while filled < buffer.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
            let count = retryingInterrupted {
                pread(number, rest.baseAddress, rest.count, off_t(offset + filled))
            }
            guard count >= 0 else { throw SystemError.last("pread", path) }
            if count == 0 { break }
            filled += count
        }
        return filled
    }

    /// The file's length in bytes.
    package func byteCount() throws(SystemError) -> Int {
        var status = stat()
        guard fstat(number, &status) == 0 else { throw SystemError.last("fstat", path) }
        return Int(status.st_size)
    }

    /// What the system knows of it.
    package func status() throws(SystemError) -> FileSystem.Status {
        try FileSystem.status(ofOpen: number, path)
    }

    /// Whether the file has a name: one that was removed is gone with its last opening.
    package func hasName() throws(SystemError) -> Bool {
        var status = stat()
        guard fstat(number, &status) == 0 else { throw SystemError.last("fstat", path) }
        return status.st_nlink > 0
    }

    /// Whether its path still names it.
    package func isAtItsPath() throws(SystemError) -> Bool {
        var (own, named) = (stat(), stat())
        guard fstat(number, &own) == 0 else { throw SystemError.last("fstat", path) }
        guard stat(path, &named) == 0 else {
            if [ENOENT, ENOTDIR].contains(currentErrno()) { return false }
            throw SystemError.last("stat", path)
        }
        return own.st_ino == named.st_ino && own.st_dev == named.st_dev
    }

    /// Whether it belongs to the user this program runs as.
    package func isOwn() throws(SystemError) -> Bool {
        var status = stat()
        guard fstat(number, &status) == 0 else { throw SystemError.last("fstat", path) }
        return status.st_uid == geteuid()
    }

    /// Cuts or extends the file to `byteCount` bytes.
    package func truncate(to byteCount: Int) throws(SystemError) {
        guard retryingInterrupted({ ftruncate(number, off_t(byteCount)) }) == 0 else {
            throw SystemError.last("ftruncate", path)
        }
    }

    /// Locks the file against other openings, in this program and in others, until it is closed.
    ///
    /// - Returns: `false` when another opening holds the lock.
    package func tryLock() throws(SystemError) -> Bool {
        if retryingInterrupted({ flock(number, LOCK_EX | LOCK_NB) }) == 0 { return true }
        let code = currentErrno()
        if code == EWOULDBLOCK { return false }
        throw SystemError(call: "flock", errno: code, subject: path)
    }

    /// Returns when everything written is on the disk.
    ///
    /// - Throws: `SystemError`; what was written since the last flush may be lost, also after a retry.
    package func flush() throws(SystemError) {
        #if canImport(Darwin)
            // On macOS only F_FULLFSYNC reaches the disk; some file systems do not know it.
            if fcntl(number, F_FULLFSYNC) == 0 { return }
            let (call, code) = ("fsync", fsync(number))
        #else
            let (call, code) = ("fdatasync", retryingInterrupted { fdatasync(number) })
        #endif
        guard code == 0 else { throw SystemError.last(call, path) }
    }

    /// Lets the system take back the memory that holds a part of the file, which was flushed.
    package func letGo(of range: Range<Int>) {
        #if canImport(Glibc)
            // Whole pages alone are let go of: the first may have begun before, the last one, to
            // which more is appended, would have to be read again.
            let start = range.lowerBound & ~0xFFFF
            let count = range.upperBound - 1 - start
            // Advice: where it is not taken, nothing is lost.
            if count > 0 { posix_fadvise(number, start, count, POSIX_FADV_DONTNEED) }
        #endif
    }
}

private func systemWrite(_ number: Int32, _ base: UnsafeRawPointer?, _ count: Int) -> Int {
    write(number, base, count)
}
