internal import BatchEngine
internal import Synchronization

/// The files and directories of this machine.
///
/// A file's ``StorageFile/sync()`` is `fdatasync`, on macOS `F_FULLFSYNC`; locks are those of
/// `flock`, which the system gives back when the program ends.
public struct FileStorageMedium: StorageMedium {
    /// Makes a medium; all are the same.
    public init() {}

    /// The names in a directory, sorted by their bytes.
    ///
    /// Complexity: O(n log n) in the number of names.
    public func list(_ directory: String) throws -> [String] {
        try translated { () throws(SystemError) in try FileSystem.list(directory) }
    }

    /// Creates a directory in one that exists.
    @discardableResult
    public func createDirectory(_ path: String) throws -> Bool {
        try translated { () throws(SystemError) in try FileSystem.createOneDirectory(path) }
    }

    /// Returns when all names in a directory are durable.
    public func syncDirectory(_ path: String) throws {
        try translated { () throws(SystemError) in try FileSystem.flushDirectory(path) }
    }

    /// Opens or creates a file.
    public func open(_ path: String, _ mode: StorageOpenMode) throws -> any StorageFile {
        let mode: OpenFile.Mode =
            switch mode {
            case .read: .read
            case .append: .readAndAppend
            case .createNew: .createNewAndAppend
            }
        return try translated { () throws(SystemError) in
            SystemStorageFile(file: try OpenFile(path, mode))
        }
    }

    /// A file's length in bytes; `nil` when there is no such file.
    public func byteCount(of path: String) throws -> Int? {
        try translated { () throws(SystemError) in
            guard let status = try FileSystem.status(path), !status.isDirectory else { return nil }
            return status.byteCount
        }
    }

    /// Gives a file another name, at once replacing a file that has it.
    public func rename(_ path: String, to target: String) throws {
        try translated { () throws(SystemError) in
            try FileSystem.rename(path, to: target, durability: .handedOver)
        }
    }

    /// Removes a file, or an empty directory.
    @discardableResult
    public func remove(_ path: String) throws -> Bool {
        try translated { () throws(SystemError) in try FileSystem.remove(path) }
    }

    /// Takes a lock that nobody else has; never waits.
    public func lock(_ path: String, owner: String) throws -> any StorageLock {
        try translated { () throws(SystemError) in
            let file: OpenFile
            do throws(SystemError) { file = try OpenFile(path, .lock) } catch  where error.isLink {
                // Its target would be cut to a line.
                throw SystemError(
                    call: "lock", errno: error.errno, subject: path,
                    explanation: "it is a symbolic link, which a lock does not follow; remove it")
            }
            guard try file.tryLock() else { return nil }
            // The lock is what counts: on a full disk it works without a name in it.
            _ = try? file.truncate(to: 0)
            _ = try? file.write(Array((owner + "\n").utf8))
            return SystemStorageLock(file: file)
        } ?? refuse(path)
    }

    private func refuse(_ path: String) throws -> any StorageLock {
        // Who holds it may be writing its line just now: better no name than no error.
        let line = (try? FileSystem.read(path, at: 0, count: 200)) ?? []
        let owner = String(decoding: line.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        throw StorageError(
            .locked, "lock", path, "held by \(owner.isEmpty ? "somebody else" : owner)")
    }
}

private struct SystemStorageFile: StorageFile {
    let file: OpenFile

    func append(_ bytes: [UInt8]) throws {
        try translated { () throws(SystemError) in try file.write(bytes) }
    }

    func sync() throws {
        let isThere = try translated { () throws(SystemError) in
            try file.flush()
            return try file.hasName()
        }
        guard isThere else { throw StorageError.nameless(file.path) }
    }

    func willHardlyRead(_ range: Range<Int>) { file.letGo(of: range) }

    func read(at offset: Int, count: Int) throws -> [UInt8] {
        try translated { () throws(SystemError) in try file.read(at: offset, count: count) }
    }

    func byteCount() throws -> Int {
        try translated { () throws(SystemError) in try file.byteCount() }
    }

    func truncate(to byteCount: Int) throws {
        try translated { () throws(SystemError) in try file.truncate(to: byteCount) }
    }
}

private final class SystemStorageLock: StorageLock {
    private let file: Locked<OpenFile?>

    init(file: OpenFile) { self.file = Locked(file) }

    func check() throws {
        guard let file = file.withLock({ $0 }) else { return }
        let isThere = try translated { () throws(SystemError) in try file.isAtItsPath() }
        guard isThere else { throw StorageError.replacedLock(file.path) }
    }

    // The system gives the lock back with the last descriptor of the opening.
    func release() { file.withLock { $0 = nil } }
}

private func translated<Value>(_ body: () throws(SystemError) -> Value) throws -> Value {
    do throws(SystemError) { return try body() } catch { throw StorageError(error) }
}
