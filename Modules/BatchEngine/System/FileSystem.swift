internal import CFileStatus

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Files and directories by path.
///
/// Every call blocks its thread and throws a `SystemError` that names the path.
package enum FileSystem {
    /// Whether a write is only handed to the system or has reached the disk.
    package enum Durability: Sendable {
        /// Survives the end of the program, not that of the machine.
        case handedOver
        /// Survives a loss of power: file and directory are flushed.
        case flushed
    }

    /// What the system knows of a file or directory.
    package struct Status: Equatable, Sendable {
        /// Whether it is a directory.
        package let isDirectory: Bool
        /// Whether it is a pipe, a socket or a device: reading may wait, or never end.
        package let isSpecial: Bool
        /// Its length in bytes.
        package let byteCount: Int
        /// When it was last modified, since 1970-01-01 00:00 UTC.
        package let modified: Duration
        /// Its file system, until that is mounted anew.
        package let device: UInt64
        /// Its number in its file system: another file of the same name has another one.
        package let inode: UInt64
        /// When it was made, in nanoseconds since 1970-01-01 00:00 UTC; `nil` when the file system does
        /// not say.
        ///
        /// It tells a file from an earlier one whose inode it was given.
        package let birth: Int64?

        fileprivate init(_ status: dstream_file_status) {
            let kind = mode_t(truncatingIfNeeded: status.mode) & S_IFMT
            isDirectory = kind == S_IFDIR
            isSpecial = kind != S_IFDIR && kind != S_IFREG
            byteCount = Int(status.size)
            modified = .seconds(status.modified_seconds) + .nanoseconds(status.modified_nanoseconds)
            device = status.device
            inode = status.inode
            birth = status.birth == 0 ? nil : status.birth
        }
    }

    // MARK: Reading

    /// Everything in a file.
    package static func readAll(_ path: String) throws(SystemError) -> [UInt8] {
        let file = try OpenFile(path, .read)
        var expected = try file.byteCount()
        var bytes = try file.read(at: 0, count: max(expected, 4096))
        // Files of /proc have no length, others may grow: read until nothing comes.
        while bytes.count >= expected {
            let more = try file.read(at: bytes.count, count: 64 << 10)
            if more.isEmpty { break }
            bytes += more
            expected = bytes.count
        }
        return bytes
    }

    /// Up to `count` bytes at `offset` of a file; fewer only at its end.
    package static func read(
        _ path: String, at offset: Int, count: Int
    ) throws(SystemError) -> [UInt8] {
        try OpenFile(path, .read).read(at: offset, count: count)
    }

    /// The names in a directory, sorted, without `.` and `..`.
    package static func list(_ path: String) throws(SystemError) -> [String] {
        try SystemError.refuseNull(in: path, "opendir")
        let number = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard number >= 0 else { throw SystemError.last("opendir", path) }
        return try names(ofAndClosing: number, path).sorted()
    }

    /// What is at the path, following links; `nil` when nothing is.
    package static func status(_ path: String) throws(SystemError) -> Status? {
        try SystemError.refuseNull(in: path, "stat")
        // An empty path stands for an open file.
        if path.isEmpty { return nil }
        var status = dstream_file_status()
        let code = dstream_file_status(-1, path, &status)
        if code == ENOENT || code == ENOTDIR { return nil }
        guard code == 0 else { throw SystemError(call: "stat", errno: code, subject: path) }
        return Status(status)
    }

    /// What is known of an open file.
    static func status(ofOpen number: Int32, _ path: String) throws(SystemError) -> Status {
        var status = dstream_file_status()
        let code = dstream_file_status(number, "", &status)
        guard code == 0 else { throw SystemError(call: "fstat", errno: code, subject: path) }
        return Status(status)
    }

    /// Whether a link is at the path, wherever it leads.
    package static func isLink(_ path: String) -> Bool {
        if path.utf8.contains(0) { return false }
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK
    }

    /// Whether something is at the path; `false` also when that cannot be found out.
    package static func exists(_ path: String) -> Bool {
        !path.utf8.contains(0) && access(path, F_OK) == 0
    }

    /// Whether this program may write to the file or into the directory.
    package static func isWritable(_ path: String) -> Bool {
        !path.utf8.contains(0) && access(path, W_OK) == 0
    }

    // MARK: Writing

    /// Creates a directory and those above it; one that exists is fine.
    package static func createDirectory(_ path: String) throws(SystemError) {
        try SystemError.refuseNull(in: path, "mkdir")
        if mkdir(path, 0o777) == 0 { return }
        let code = currentErrno()
        if code == ENOENT, let parent = parent(of: path) {
            try createDirectory(parent)
            if mkdir(path, 0o777) == 0 { return }
        }
        // Another thread or program may have made it meanwhile.
        if try status(path)?.isDirectory == true { return }
        throw SystemError(call: "mkdir", errno: code, subject: path)
    }

    /// Creates a directory in one that exists; returns `false` when it was there already.
    package static func createOneDirectory(_ path: String) throws(SystemError) -> Bool {
        try SystemError.refuseNull(in: path, "mkdir")
        if mkdir(path, 0o777) == 0 { return true }
        let code = currentErrno()
        if code == EEXIST, try status(path)?.isDirectory == true { return false }
        throw SystemError(call: "mkdir", errno: code, subject: path)
    }

    /// Replaces or creates a file so that readers see the old or the new contents, nothing between.
    ///
    /// - Throws: `SystemError`; the file is as before, and the temporary file is removed.
    package static func writeAtomically(
        _ path: String, _ bytes: UnsafeRawBufferPointer, durability: Durability
    ) throws(SystemError) {
        let temporary = "\(path).\(getpid()).\(SystemThread.current).tmp"
        do throws(SystemError) {
            let file = try OpenFile(temporary, .replace)
            try file.write(bytes)
            if durability == .flushed { try file.flush() }
            try rename(temporary, to: path, durability: durability)
        } catch {
            unlink(temporary)
            throw error
        }
    }

    /// Writes an array; see `writeAtomically(_:_:durability:)` for raw bytes.
    package static func writeAtomically(
        _ path: String, _ bytes: [UInt8], durability: Durability
    ) throws(SystemError) {
        try bytes.withUnsafeBufferPointer { buffer throws(SystemError) in
            try writeAtomically(path, UnsafeRawBufferPointer(buffer), durability: durability)
        }
    }

    /// Adds bytes at the end of a file, creating it when missing.
    package static func append(
        _ path: String, _ bytes: [UInt8], durability: Durability
    ) throws(SystemError) {
        let isNew = durability == .flushed && !exists(path)
        let file = try OpenFile(path, .append)
        try file.write(bytes)
        if durability == .flushed { try file.flush() }
        if isNew { try flushDirectory(parent(of: path) ?? ".") }
    }

    /// Gives a file or directory another path, replacing a file that is there.
    package static func rename(
        _ path: String, to target: String, durability: Durability
    ) throws(SystemError) {
        try SystemError.refuseNull(in: path, "rename")
        try SystemError.refuseNull(in: target, "rename")
        guard systemRename(path, target) == 0 else {
            throw SystemError.last("rename", "\(path) to \(target)")
        }
        if durability == .flushed { try flushDirectory(parent(of: target) ?? ".") }
    }

    /// Removes a file or an empty directory; returns `false` when nothing was there.
    @discardableResult
    package static func remove(_ path: String) throws(SystemError) -> Bool {
        try SystemError.refuseNull(in: path, "remove")
        if systemRemove(path) == 0 { return true }
        let code = currentErrno()
        if code == ENOENT || code == ENOTDIR { return false }
        throw SystemError(call: "remove", errno: code, subject: path)
    }

    /// The system's place for temporary files.
    package static var temporaryBase: String {
        getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    }

    /// Creates a directory of its own, in `base` or under the system's place for temporary files.
    package static func createTemporaryDirectory(
        prefix: String, in base: String? = nil
    ) throws(SystemError) -> String {
        let base = base ?? temporaryBase
        var template = Array("\(base)/\(prefix).XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw SystemError.last("mkdtemp", base) }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Returns when the names in a directory are on the disk.
    package static func flushDirectory(_ path: String) throws(SystemError) {
        try SystemError.refuseNull(in: path, "open")
        let number = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard number >= 0 else { throw SystemError.last("open", path) }
        defer { systemClose(number) }
        guard retryingInterrupted({ fsync(number) }) == 0 else {
            throw SystemError.last("fsync", path)
        }
    }

    /// The directory a path lies in; `nil` when the path names no directory above it.
    package static func parent(of path: String) -> String? {
        var bytes = Array(path.utf8)
        let slash = UInt8(ascii: "/")
        while bytes.count > 1, bytes.last == slash { bytes.removeLast() }
        guard let cut = bytes.lastIndex(of: slash), bytes.count > 1 else { return nil }
        return cut == 0 ? "/" : String(decoding: bytes[..<cut], as: UTF8.self)
    }
}

private func systemRename(_ path: String, _ target: String) -> Int32 { rename(path, target) }
private func systemRemove(_ path: String) -> Int32 { remove(path) }
