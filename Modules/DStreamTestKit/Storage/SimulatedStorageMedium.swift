internal import BatchEngine
public import FaultTolerance
internal import Synchronization

/// A storage medium in memory that crashes and fails where a test says, and tells what was done.
///
/// It keeps apart what was written and what is durable, for the bytes of files and for the names in
/// directories. After a crash ``reopened(seed:)`` gives what a machine might find when it is started
/// again: all that is durable, and of the rest — names that were created, renamed or removed, bytes
/// that were written — whatever the seed decides. Bytes that were not flushed may be there, missing,
/// cut anywhere, or be zeros or rubbish in some sectors and right in later ones.
///
/// After a failed ``StorageFile/sync()`` the bytes concerned never become durable by a later one.
///
/// Names in different directories are independent. A rename happens as a whole or not at all.
///
/// ## Isolation
/// May be used from any thread; calls are performed one after the other. The same calls in the same
/// order give the same results.
public final class SimulatedStorageMedium: StorageMedium {
    private let state: Locked<SimulatedStorageState>

    /// Makes an empty medium with the directories `/` and `.`.
    ///
    /// - Parameter sectorByteCount: the unit in which unflushed bytes survive or not, at least 1.
    public init(sectorByteCount: Int = 512) {
        state = Locked(SimulatedStorageState(sectorByteCount: max(1, sectorByteCount)))
    }

    init(_ state: sending SimulatedStorageState) { self.state = Locked(state) }

    // MARK: Faults

    /// Lets every operation after the `count`-th throw `.crashed`; `nil` takes it back.
    public func crash(afterOperation count: Int?) { state.withLock { $0.crashAfter = count } }

    /// Lets every later operation throw `.crashed`.
    public func crash() { state.withLock { $0.crashAfter = $0.operations.count } }

    /// Lets one operation fail; an addition to a file writes half of its bytes before.
    public func fail(operation number: Int, with code: StorageError.Code) {
        fail { $0.number == number ? code : nil }
    }

    /// Lets operations fail by a rule, in place of the one before; `nil` lets them work again.
    public func fail(
        where rule: (@Sendable (StorageOperation) -> StorageError.Code?)?
    ) {
        state.withLock { $0.failure = rule }
    }

    /// Calls `observer` before each operation, on the caller's thread; it may block that.
    public func observe(_ observer: (@Sendable (StorageOperation) -> Void)?) {
        state.withLock { $0.observer = observer }
    }

    // MARK: Afterwards

    /// What there is when the machine is started again after a crash.
    ///
    /// This medium works no more. The new one has no locks, faults or operations.
    ///
    /// - Parameter seed: decides what became of everything that was not durable.
    public func reopened(seed: UInt64) -> SimulatedStorageMedium {
        crash()
        return SimulatedStorageMedium(state.withLock { $0.afterCrash(seed: seed) })
    }

    /// What there is when the program is started again and the machine goes on: all that was written.
    ///
    /// This medium works no more. The new one has no locks, faults or operations.
    public func restarted() -> SimulatedStorageMedium {
        crash()
        return SimulatedStorageMedium(state.withLock { $0.afterRestart() })
    }

    /// Gives all locks back, as the end of the program that holds them does.
    public func releaseLocks() { state.withLock { $0.locks = [:] } }

    /// All operations so far, also those that failed.
    public var operations: [StorageOperation] { state.withLock { $0.operations } }

    /// How many operations of a kind there were, also those that failed.
    public func count(of kind: StorageOperation.Kind) -> Int {
        state.withLock { $0.operations.count { $0.kind == kind } }
    }

    /// A file's bytes as a program reads them, `nil` when there is no such file; not an operation.
    public func contents(of path: String) -> [UInt8]? {
        state.withLock { state in state.inode(at: path).flatMap { state.files[$0]?.bytes } }
    }

    /// Puts a file there, durably, in place of what has its name; not an operation.
    public func setContents(of path: String, to bytes: [UInt8]) {
        state.withLock { $0.setContents(of: path, to: bytes) }
    }

    /// Puts a directory there, durably; not an operation.
    public func setDirectory(_ path: String) { state.withLock { $0.setDirectory(path) } }

    // MARK: StorageMedium

    /// The names in a directory, sorted by their bytes.
    public func list(_ directory: String) throws -> [String] {
        try perform(.list, directory) { state in try state.list(directory) }
    }

    /// Creates a directory in one that exists.
    @discardableResult
    public func createDirectory(_ path: String) throws -> Bool {
        try perform(.createDirectory, path) { state in try state.createDirectory(path) }
    }

    /// Makes the names in a directory durable.
    public func syncDirectory(_ path: String) throws {
        try perform(.syncDirectory, path) { state in
            try state.syncDirectory(path)
        } onFailure: { state in
            state.loseEntries(of: path)
        }
    }

    /// Opens or creates a file.
    public func open(_ path: String, _ mode: StorageOpenMode) throws -> any StorageFile {
        let inode = try perform(mode == .read ? .open : .create, path) { state in
            try state.open(path, mode)
        }
        return SimulatedFile(medium: self, path: path, inode: inode)
    }

    /// A file's length in bytes; `nil` when there is no such file.
    public func byteCount(of path: String) throws -> Int? {
        try perform(.byteCount, path) { state in
            state.inode(at: path).flatMap { state.files[$0]?.bytes.count }
        }
    }

    /// Gives a file another name, at once replacing a file that has it.
    public func rename(_ path: String, to target: String) throws {
        try perform(.rename, path) { state in try state.rename(path, to: target) }
    }

    /// Removes a file.
    @discardableResult
    public func remove(_ path: String) throws -> Bool {
        try perform(.remove, path) { state in state.remove(path) }
    }

    /// Takes a lock that nobody else has; never waits.
    public func lock(_ path: String, owner: String) throws -> any StorageLock {
        let number = try perform(.lock, path) { state in try state.lock(path, owner: owner) }
        return SimulatedLock {
            try self.state.withLock { try $0.checkLock(path, number) }
        } giveBack: { [self] in
            state.withLock { state in
                if state.locks[path]?.number == number { state.locks[path] = nil }
            }
        }
    }

    /// Numbers an operation and performs it, unless it is to fail.
    fileprivate func perform<Value: Sendable>(
        _ kind: StorageOperation.Kind, _ path: String, byteCount: Int = 0,
        _ body: (inout SimulatedStorageState) throws -> Value,
        onFailure: (inout SimulatedStorageState) -> Void = { _ in }
    ) throws -> Value {
        let (operation, observer, rule) = try state.withLock { state in
            (try state.begin(kind, path, byteCount), state.observer, state.failure)
        }
        observer?(operation)
        let code = rule?(operation)
        return try state.withLock { state in
            try state.checkCrash(operation)
            guard let code else { return try body(&state) }
            onFailure(&state)
            throw StorageError(code, kind.rawValue, path, "simulated failure: \(code)")
        }
    }
}

/// An open file; it goes on to work when its name is removed.
private struct SimulatedFile: StorageFile {
    let medium: SimulatedStorageMedium
    let path: String
    let inode: Int

    func append(_ bytes: [UInt8]) throws {
        try medium.perform(.append, path, byteCount: bytes.count) { state in
            state.files[inode, default: SimulatedBytes()].append(bytes)
        } onFailure: { state in
            state.files[inode, default: SimulatedBytes()].append(
                Array(bytes.prefix(bytes.count / 2)))
        }
    }

    func sync() throws {
        try medium.perform(.sync, path) { state in
            guard state.hasName(inode) else { throw StorageError.nameless(path) }
            state.files[inode, default: SimulatedBytes()].sync()
        } onFailure: { state in
            state.files[inode, default: SimulatedBytes()].lose()
        }
    }

    func read(at offset: Int, count: Int) throws -> [UInt8] {
        try medium.perform(.read, path, byteCount: count) { state in
            let bytes = state.files[inode]?.bytes ?? []
            let start = min(max(0, offset), bytes.count)
            return Array(bytes[start..<min(bytes.count, start + count)])
        }
    }

    func byteCount() throws -> Int {
        try medium.perform(.byteCount, path) { state in state.files[inode]?.bytes.count ?? 0 }
    }

    func truncate(to byteCount: Int) throws {
        try medium.perform(.truncate, path) { state in
            state.files[inode, default: SimulatedBytes()].truncate(to: byteCount)
        }
    }
}

private final class SimulatedLock: StorageLock {
    private let isHeld: @Sendable () throws -> Void
    private let giveBack: @Sendable () -> Void

    init(
        isHeld: @escaping @Sendable () throws -> Void, giveBack: @escaping @Sendable () -> Void
    ) {
        (self.isHeld, self.giveBack) = (isHeld, giveBack)
    }
    deinit { giveBack() }

    func check() throws { try isHeld() }

    func release() { giveBack() }
}
