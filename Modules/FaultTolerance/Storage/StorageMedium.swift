internal import BatchEngine

/// Where logs and checkpoints are kept: directories and files, with the flushes made explicit.
///
/// What a program writes is kept at two levels, and both are the caller's business: the bytes of a
/// file are durable after ``StorageFile/sync()``, its *name* — after it was created, renamed or
/// removed — after ``syncDirectory(_:)`` of the directory it lies in. Until then a crash of the
/// machine may keep the change, drop it, or keep part of it.
///
/// Paths are as the system has them, with `/` between the parts.
///
/// ## Isolation
/// Every call blocks its thread, for as long as a disk takes. Tasks make no such call themselves but
/// go through ``perform(_:)``. Calls may come from any thread, several at a time; a file has one
/// writer at a time.
///
/// ## Errors
/// All calls throw ``StorageError``, which names the path. After a failure of ``StorageFile/sync()``
/// nothing is known of what was written since the last one, and repeating it does not help: the
/// system may have forgotten the bytes. Write them to another file.
///
/// `FileStorageMedium` is the real one, `SimulatedStorageMedium` of DStreamTestKit one that crashes
/// and fails where a test says.
public protocol StorageMedium: Sendable {
    /// The names in a directory, sorted by their bytes.
    ///
    /// - Throws: ``StorageError`` `.notFound` when there is no such directory.
    func list(_ directory: String) throws -> [String]

    /// Creates a directory in one that exists; see ``createDirectories(_:)`` for the durable way.
    ///
    /// - Returns: `false` when it was there already.
    @discardableResult
    func createDirectory(_ path: String) throws -> Bool

    /// Returns when all names in a directory are as durable as they will get.
    func syncDirectory(_ path: String) throws

    /// Opens or creates a file.
    ///
    /// - Throws: ``StorageError`` `.notFound` or `.alreadyThere`, as the mode has it.
    func open(_ path: String, _ mode: StorageOpenMode) throws -> any StorageFile

    /// A file's length in bytes; `nil` when there is no such file.
    func byteCount(of path: String) throws -> Int?

    /// Gives a file another name, at once replacing a file that has it.
    func rename(_ path: String, to target: String) throws

    /// Removes a file; those who have it open keep it.
    ///
    /// - Returns: `false` when there was none.
    @discardableResult
    func remove(_ path: String) throws -> Bool

    /// Takes a lock that nobody else has, in this program or another; never waits.
    ///
    /// It is given back by ``StorageLock/release()``, or when the program ends, however it ends. The
    /// file stays.
    ///
    /// - Parameters:
    ///   - path: the lock's file, created when missing.
    ///   - owner: a line for those who find the lock taken.
    /// - Throws: ``StorageError`` `.locked` when another one has it; its line is in the message.
    func lock(_ path: String, owner: String) throws -> any StorageLock
}

/// What a file is opened for.
public enum StorageOpenMode: Sendable, Hashable {
    /// Reading a file that exists.
    case read
    /// Reading, and writing at the end; the file is created when missing.
    case append
    /// Reading, and writing at the end of a file that must not exist yet.
    case createNew
}

/// An open file of a ``StorageMedium``; closed when released.
///
/// All calls block their thread and throw ``StorageError``.
public protocol StorageFile: Sendable {
    /// Adds bytes at the end; they are durable after ``sync()``.
    ///
    /// - Throws: ``StorageError``; any part of the bytes may have been written.
    func append(_ bytes: [UInt8]) throws

    /// Returns when all bytes and the length of the file are durable.
    ///
    /// - Throws: ``StorageError``; see ``StorageMedium`` for what is known then. `.notFound` when the
    ///   file was removed meanwhile: it will be found by nobody.
    func sync() throws

    /// Tells that bytes which are durable will hardly be read before a restart, so that memory which
    /// holds them can be had for others; nothing unless implemented.
    ///
    /// - Parameter range: their offsets in the file.
    func willHardlyRead(_ range: Range<Int>)

    /// Up to `count` bytes at `offset`; fewer only at the end of the file.
    ///
    /// Complexity: O(`count`) time and memory, also when the file is shorter.
    func read(at offset: Int, count: Int) throws -> [UInt8]

    /// The file's length in bytes.
    func byteCount() throws -> Int

    /// Cuts the file to a shorter length, durable after ``sync()``.
    func truncate(to byteCount: Int) throws
}

extension StorageFile {
    /// Does nothing.
    public func willHardlyRead(_ range: Range<Int>) {}
}

/// A lock that is held; given back when released, at the latest with the object.
public protocol StorageLock: Sendable {
    /// Makes sure that what was locked is still what its path names: after the file was removed, or its
    /// directory moved, another program may have locked the same path, and what is written by path
    /// would go into that one's directory.
    ///
    /// - Throws: ``StorageError`` `.locked`.
    func check() throws

    /// Gives the lock back; a second time does nothing.
    func release()
}

extension StorageLock {
    /// Where a path cannot come to name something else there is nothing to check.
    public func check() throws {}
}

extension StorageMedium {
    /// Runs calls to the medium on a thread that may block, and suspends until they have ended.
    ///
    /// A thread is reused or started: about 20 µs, so put calls that belong together into one `body`.
    ///
    /// ## Cancellation
    /// A running call cannot be interrupted: cancelling the task changes nothing here.
    ///
    /// - Throws: what `body` throws, or ``StorageError`` when there are no more threads.
    public func perform<Value: Sendable>(
        _ body: @escaping @Sendable (Self) throws -> Value
    ) async throws -> Value {
        do {
            return try await BlockingThreads.shared.run { try body(self) }
        } catch let error as SystemError {
            throw StorageError(error)
        }
    }

    /// Takes a lock in the name of this process.
    func lock(_ path: String, for purpose: String) throws -> any StorageLock {
        try lock(path, owner: "\(purpose) of process \(ResourceUsage.processNumber)")
    }

    /// Looks at files that another program may be removing: again as long as one that was listed is
    /// gone when it is read, up to a hundred times.
    func rereading<Value>(_ body: (Self) throws -> Value) throws -> Value {
        for _ in 1..<100 {
            do {
                return try body(self)
            } catch let error as StorageError where error.code == .notFound {
                continue
            }
        }
        return try body(self)
    }

    /// Everything in a file.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - maximum: the length beyond which it is not read, in bytes.
    /// - Throws: ``StorageError`` `.notFound`, or `.tooLarge` before anything is allocated.
    public func readAll(_ path: String, maximum: Int = 1 << 30) throws -> [UInt8] {
        let file = try open(path, .read)
        let count = try file.byteCount()
        guard count <= maximum else {
            throw StorageError(
                .tooLarge, "open", path, "\(count) bytes, of which at most \(maximum) are read")
        }
        return try file.read(at: 0, count: count)
    }

    /// Creates a directory and those above it, durably: each new name is flushed.
    ///
    /// Names that are not new are flushed as well: the program that made them may have ended before
    /// it came to that. Where that is not allowed, they are taken to be durable.
    public func createDirectories(_ path: String) throws {
        var made = ""
        var parent = path.hasPrefix("/") ? "/" : "."
        for part in path.split(separator: "/") {
            made += (made.isEmpty && !path.hasPrefix("/") ? "" : "/") + part
            let isNew = try createDirectory(made)
            do {
                try syncDirectory(parent)
            } catch let error as StorageError where !isNew && error.code != .crashed {
                // One who may use a directory need not be allowed to read the one above it.
            }
            parent = made
        }
    }

    /// Creates or replaces a file with these bytes, so that a crash leaves the old or the new ones.
    ///
    /// Durable on return. Costs a flush of the file and one of its directory. The bytes are written
    /// to `path` with `.tmp` at its end first; one that a crash left there is replaced.
    ///
    /// - Throws: ``StorageError``; unless it was the directory's flush that failed, the file is as
    ///   before.
    public func replaceFile(_ path: String, with bytes: [UInt8]) throws {
        let temporary = path + ".tmp"
        try remove(temporary)
        do {
            let file = try open(temporary, .createNew)
            try file.append(bytes)
            try file.sync()
            try rename(temporary, to: path)
        } catch {
            _ = try? remove(temporary)
            throw error
        }
        try syncDirectory(parentDirectory(of: path))
    }
}

/// The directory that a path lies in.
func parentDirectory(of path: String) -> String {
    guard let cut = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
    return cut == path.startIndex ? "/" : String(path[..<cut])
}
