internal import FaultTolerance

/// What a simulated medium holds and has been told.
struct SimulatedStorageState: Sendable {
    enum Entry: Sendable, Hashable {
        case directory
        case file(Int)
    }

    /// A change of names that is not durable yet.
    struct EntryChange: Sendable {
        var unlinked: String?
        var linked: String?
        var entry: Entry?
        /// A failed flush has lost track of it; later ones do not reach it.
        var isLost = false

        /// Whether it has a name in common with another change.
        func overlaps(_ other: EntryChange) -> Bool {
            [unlinked, linked].contains { path in
                path != nil && (path == other.unlinked || path == other.linked)
            }
        }

        func concerns(_ directory: String) -> Bool {
            [unlinked, linked].contains { $0.map(parent(of:)) == directory }
        }
    }

    let sectorByteCount: Int
    var files: [Int: SimulatedBytes] = [:]
    private var entries: [String: Entry] = ["/": .directory, ".": .directory]
    private var durable: [String: Entry] = ["/": .directory, ".": .directory]
    private var changes: [EntryChange] = []
    private var lastInode = 0
    private var lastLock = 0

    var locks: [String: (number: Int, owner: String)] = [:]
    var operations: [StorageOperation] = []
    var crashAfter: Int?
    var failure: (@Sendable (StorageOperation) -> StorageError.Code?)?
    var observer: (@Sendable (StorageOperation) -> Void)?

    init(sectorByteCount: Int) { self.sectorByteCount = sectorByteCount }

    // MARK: Operations

    mutating func begin(
        _ kind: StorageOperation.Kind, _ path: String, _ byteCount: Int
    ) throws -> StorageOperation {
        let operation = StorageOperation(
            number: operations.count + 1, kind: kind, path: path, byteCount: byteCount)
        try checkCrash(operation)
        operations.append(operation)
        return operation
    }

    func checkCrash(_ operation: StorageOperation) throws {
        guard let crashAfter, operation.number > crashAfter else { return }
        throw StorageError(
            .crashed, operation.kind.rawValue, operation.path, "the medium has crashed")
    }

    func inode(at path: String) -> Int? {
        guard case .file(let inode)? = entries[path] else { return nil }
        return inode
    }

    func hasName(_ inode: Int) -> Bool { entries.values.contains(.file(inode)) }

    func list(_ directory: String) throws -> [String] {
        try requireDirectory(directory, "list")
        let names = entries.keys.filter { $0 != directory && parent(of: $0) == directory }
        return names.map { path in
            path.split(separator: "/").last.map(String.init) ?? path
        }.filter { $0 != "." }.sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) }
    }

    mutating func createDirectory(_ path: String) throws -> Bool {
        switch entries[path] {
        case .directory?: return false
        case .file?: throw StorageError(.alreadyThere, "createDirectory", path, "it is a file")
        case nil: break
        }
        try requireDirectory(parent(of: path), "createDirectory")
        change(EntryChange(linked: path, entry: .directory))
        return true
    }

    mutating func syncDirectory(_ path: String) throws {
        try requireDirectory(path, "syncDirectory")
        for change in changes where change.concerns(path) && !change.isLost {
            Self.apply(change, to: &durable)
            // What became of a name before does not come back.
            changes.removeAll { $0.isLost && $0.overlaps(change) }
        }
        changes.removeAll { $0.concerns(path) && !$0.isLost }
    }

    /// Lets no later flush reach the names that were just to be made durable.
    mutating func loseEntries(of directory: String) {
        for index in changes.indices where changes[index].concerns(directory) {
            changes[index].isLost = true
        }
    }

    mutating func open(_ path: String, _ mode: StorageOpenMode) throws -> Int {
        switch (entries[path], mode) {
        case (.file(let inode)?, .read), (.file(let inode)?, .append): return inode
        case (.file?, .createNew):
            throw StorageError(.alreadyThere, "open", path, "there is such a file")
        case (.directory?, _): throw StorageError(.failed, "open", path, "it is a directory")
        case (nil, .read): throw StorageError(.notFound, "open", path, "there is no such file")
        case (nil, .append), (nil, .createNew): return try createFile(path)
        }
    }

    private mutating func createFile(_ path: String) throws -> Int {
        try requireDirectory(parent(of: path), "open")
        lastInode += 1
        files[lastInode] = SimulatedBytes()
        change(EntryChange(linked: path, entry: .file(lastInode)))
        return lastInode
    }

    mutating func rename(_ path: String, to target: String) throws {
        guard let entry = entries[path] else {
            throw StorageError(.notFound, "rename", path, "there is no such file")
        }
        try requireDirectory(parent(of: target), "rename")
        change(EntryChange(unlinked: path, linked: target, entry: entry))
    }

    mutating func remove(_ path: String) -> Bool {
        guard inode(at: path) != nil else { return false }
        change(EntryChange(unlinked: path))
        return true
    }

    mutating func lock(_ path: String, owner: String) throws -> Int {
        if let held = locks[path] {
            throw StorageError(.locked, "lock", path, "held by \(held.owner)")
        }
        _ = try open(path, .append)
        lastLock += 1
        locks[path] = (lastLock, owner)
        return lastLock
    }

    func checkLock(_ path: String, _ number: Int) throws {
        guard locks[path].map({ $0.number == number }) ?? true, entries[path] != nil else {
            throw StorageError(.locked, "lock", path, "it was removed, or made anew")
        }
    }

    mutating func setContents(of path: String, to bytes: [UInt8]) {
        lastInode += 1
        files[lastInode] = SimulatedBytes(durable: bytes)
        entries[path] = .file(lastInode)
        durable[path] = .file(lastInode)
    }

    mutating func setDirectory(_ path: String) {
        entries[path] = .directory
        durable[path] = .directory
    }

    private func requireDirectory(_ path: String, _ operation: String) throws {
        guard entries[path] == .directory else {
            throw StorageError(.notFound, operation, path, "there is no such directory")
        }
    }

    private mutating func change(_ change: EntryChange) {
        Self.apply(change, to: &entries)
        changes.append(change)
    }

    private static func apply(_ change: EntryChange, to entries: inout [String: Entry]) {
        if let path = change.unlinked { entries[path] = nil }
        if let path = change.linked { entries[path] = change.entry }
    }

    // MARK: Afterwards

    /// What is there after a crash of the machine.
    func afterCrash(seed: UInt64) -> SimulatedStorageState {
        var random = SeededRandom(seed: seed)
        var result = SimulatedStorageState(sectorByteCount: sectorByteCount)
        result.lastInode = lastInode
        var kept = durable
        let keepsAll = Int.random(in: 0..<4, using: &random) == 0
        for change in changes where keepsAll || Bool.random(using: &random) {
            Self.apply(change, to: &kept)
        }
        // A directory that is not there takes its contents along.
        for path in kept.keys.sorted() where hasAllParents(path, in: kept) {
            result.entries[path] = kept[path]
        }
        result.durable = result.entries
        for inode in files.keys.sorted() {
            guard let file = files[inode] else { continue }
            let bytes = file.afterCrash(sectorByteCount: sectorByteCount, &random)
            result.files[inode] = SimulatedBytes(durable: bytes)
        }
        return result
    }

    /// What is there after the end of the program: what it wrote, durable or not.
    func afterRestart() -> SimulatedStorageState {
        var result = self
        result.locks = [:]
        result.operations = []
        result.crashAfter = nil
        result.failure = nil
        result.observer = nil
        return result
    }

    private func hasAllParents(_ path: String, in entries: [String: Entry]) -> Bool {
        var path = path
        while path != "/", path != "." {
            path = parent(of: path)
            if entries[path] != .directory { return false }
        }
        return true
    }
}

/// The directory that a path lies in.
private func parent(of path: String) -> String {
    guard let cut = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
    return cut == path.startIndex ? "/" : String(path[..<cut])
}
