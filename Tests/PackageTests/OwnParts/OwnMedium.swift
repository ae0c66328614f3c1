import FaultTolerance
import Synchronization

/// A storage medium of one's own: files in memory, durable as soon as they are written.
nonisolated final class OwnMedium: StorageMedium {
    fileprivate struct Contents {
        var directories: Set<String> = ["/"]
        var files: [String: OwnFile] = [:]
        var owners: [String: (number: Int, owner: String)] = [:]
        var lockCount = 0
    }

    fileprivate let contents = Mutex(Contents())

    func list(_ directory: String) throws -> [String] {
        try contents.withLock { contents in
            guard contents.directories.contains(directory) else {
                throw StorageError(.notFound, "list", directory, "no such directory")
            }
            return (contents.directories.filter { $0 != "/" } + contents.files.keys)
                .filter { Self.parent(of: $0) == directory }
                .map { String($0[$0.index(after: $0.lastIndex(of: "/") ?? $0.startIndex)...]) }
                .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        }
    }

    func createDirectory(_ path: String) throws -> Bool {
        try contents.withLock { contents in
            try contents.requireParent(of: path, "create")
            return contents.directories.insert(path).inserted
        }
    }

    func syncDirectory(_ path: String) throws {}

    func open(_ path: String, _ mode: StorageOpenMode) throws -> any StorageFile {
        try contents.withLock { contents in
            let file = contents.files[path]
            if let file, mode != .createNew { return file }
            if file != nil { throw StorageError(.alreadyThere, "open", path, "it is there") }
            if mode == .read { throw StorageError(.notFound, "open", path, "no such file") }
            try contents.requireParent(of: path, "open")
            let new = OwnFile(path)
            contents.files[path] = new
            return new
        }
    }

    func byteCount(of path: String) throws -> Int? {
        try contents.withLock { $0.files[path] }?.byteCount()
    }

    func rename(_ path: String, to target: String) throws {
        try contents.withLock { contents in
            guard let file = contents.files.removeValue(forKey: path) else {
                throw StorageError(.notFound, "rename", path, "no such file")
            }
            contents.files[target]?.forget()
            contents.files[target] = file
        }
    }

    func remove(_ path: String) throws -> Bool {
        let removed = contents.withLock { $0.files.removeValue(forKey: path) }
        removed?.forget()
        return removed != nil
    }

    func lock(_ path: String, owner: String) throws -> any StorageLock {
        let number = try contents.withLock { contents in
            if let holder = contents.owners[path] {
                throw StorageError(.locked, "lock", path, "held by \(holder.owner)")
            }
            contents.lockCount += 1
            contents.owners[path] = (contents.lockCount, owner)
            if contents.files[path] == nil { contents.files[path] = OwnFile(path) }
            return contents.lockCount
        }
        return OwnLock(self, path, number)
    }

    fileprivate static func parent(of path: String) -> String {
        guard let cut = path.lastIndex(of: "/"), cut != path.startIndex else { return "/" }
        return String(path[..<cut])
    }
}

nonisolated extension OwnMedium.Contents {
    fileprivate func requireParent(of path: String, _ operation: String) throws {
        guard directories.contains(OwnMedium.parent(of: path)) else {
            throw StorageError(.notFound, operation, path, "no such directory")
        }
    }
}

/// A file in memory; those who have it open keep it when it is removed.
nonisolated private final class OwnFile: StorageFile {
    private let path: String
    private let state = Mutex<(bytes: [UInt8], isRemoved: Bool)>(([], false))

    init(_ path: String) { self.path = path }

    func append(_ bytes: [UInt8]) throws { state.withLock { $0.bytes += bytes } }

    func sync() throws {
        if state.withLock({ $0.isRemoved }) {
            throw StorageError(.notFound, "sync", path, "it was removed")
        }
    }

    func read(at offset: Int, count: Int) throws -> [UInt8] {
        state.withLock { Array($0.bytes.dropFirst(offset).prefix(count)) }
    }

    func byteCount() throws -> Int { state.withLock { $0.bytes.count } }

    func truncate(to byteCount: Int) throws {
        state.withLock { $0.bytes = Array($0.bytes.prefix(byteCount)) }
    }

    func forget() { state.withLock { $0.isRemoved = true } }
}

nonisolated private final class OwnLock: StorageLock {
    private let medium: OwnMedium
    private let path: String
    private let number: Int

    init(_ medium: OwnMedium, _ path: String, _ number: Int) {
        self.medium = medium
        self.path = path
        self.number = number
    }

    deinit { release() }

    func release() {
        medium.contents.withLock { contents in
            if contents.owners[path]?.number == number { contents.owners[path] = nil }
        }
    }
}
