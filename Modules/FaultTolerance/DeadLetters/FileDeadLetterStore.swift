internal import BatchEngine
public import DStreamCore

/// Keeps dead letters in a directory: a file each, which appears complete and durable or not at all.
///
/// Those that were replayed are moved to the directory `done` in it, where they may be removed. The
/// bytes are described in Docs/Formats/DeadLetter.md.
///
/// ## Isolation
/// Any number of programs may use a directory: a running one writes while another lists and replays.
/// Only one at a time replays. Nothing blocks the cooperative threads.
public struct FileDeadLetterStore: DeadLetterStore {
    /// The directory.
    public let directory: String
    private let medium: any StorageMedium

    private static let suffix = ".letter"
    private var done: String { directory + "/done" }
    private var index: DeadLetterIndex { DeadLetterIndex(path: directory + "/index") }

    /// Makes a store; nothing is read or written.
    ///
    /// - Parameters:
    ///   - directory: created by the first letter, or ``prepare()``.
    ///   - medium: where it is.
    public init(_ directory: String, on medium: some StorageMedium = FileStorageMedium()) {
        self.directory = directory
        self.medium = medium
    }

    /// Creates the directory, and shortens the index unless somebody replays just now.
    public func prepare() async throws {
        let (directory, done, index) = (directory, done, index)
        try await medium.perform { medium in
            try medium.createDirectories(done)
            let lock: any StorageLock
            do { lock = try Self.lock(directory, medium) } catch let error as StorageError
                where error.code == .locked
            {
                return
            }
            defer { lock.release() }
            let waiting = Set(try Self.names(in: directory, medium))
            let settled = Set(try Self.names(in: done, medium)).subtracting(waiting)
            try index.compact(medium, isSettled: settled.contains)
        }
    }

    /// Keeps a letter durably: its bytes, then its name.
    public func write(_ letter: DeadLetter) async throws {
        let bytes = try DeadLetterFormat.bytes(of: letter)
        let name = Self.name(of: letter.entry.id)
        let path = directory + "/" + name
        let (done, index) = (done, index)
        try await medium.perform { medium in
            try medium.createDirectories(done)
            do {
                try medium.replaceFile(path, with: bytes)
                try index.note(.written, name, of: letter.entry.id.batchTime, medium)
            } catch {
                // Its name may be there, though not durably, and its line.
                _ = try? medium.remove(path)
                _ = try? index.note(.replayed, name, medium)
                throw error
            }
        }
    }

    /// The letters that wait; reads their descriptions only.
    ///
    /// Letters that were written, were never replayed and are gone are among its problems, and so are
    /// those that a start knew of and did not find.
    public func list() async throws -> DeadLetterListing {
        let (directory, done, index) = (directory, done, index)
        return try await medium.perform { medium in
            var listing = DeadLetterListing(entries: [])
            // First: a letter that comes meanwhile is not missed.
            let contents = try index.read(medium)
            var waiting = contents.waiting
            let names = try Self.names(in: directory, medium)
            waiting.subtract(names)
            if !waiting.isEmpty { waiting.subtract(try Self.names(in: done, medium)) }
            for name in waiting.sorted() {
                listing.problems.append(
                    "the dead letter \(directory)/\(name) is gone, though it was never replayed. "
                        + MessageTable.see("missing dead letter"))
            }
            for mark in contents.lost.sorted() {
                listing.problems.append(
                    "dead letters that an earlier run kept (\(mark) in its checkpoint) are not in "
                        + "\(directory): it was removed, or is another directory or an older copy. "
                        + MessageTable.see("missing dead letter"))
            }
            for name in names {
                do {
                    listing.entries.append(try Self.open(directory + "/" + name, medium).entry)
                } catch let error as DeadLetterError {
                    listing.problems.append(error.message)
                } catch let error as StorageError {
                    // Not found: replayed by another program meanwhile.
                    if error.code != .notFound { listing.problems.append("\(error)") }
                }
            }
            listing.entries.sort {
                ($0.id.batchTime, $0.id.operationID) < ($1.id.batchTime, $1.id.operationID)
            }
            return listing
        }
    }

    /// A letter with its elements.
    ///
    /// - Throws: ``DeadLetterError``, ``StorageError``.
    public func read(_ id: DeadLetter.ID) async throws -> DeadLetter {
        let path = directory + "/" + Self.name(of: id)
        return try await medium.perform { medium in
            let opened: Opened
            do { opened = try Self.open(path, medium) } catch let error as StorageError
                where error.code == .notFound
            {
                throw DeadLetterError(
                    .missing, "there is no dead letter of \(id.operationID) at \(id.batchTime)")
            }
            let start = DeadLetterFormat.headerByteCount + opened.header.entryByteCount
            let count = try opened.file.byteCount() - start
            let bytes = try opened.file.read(at: start, count: max(0, count))
            let entry = opened.entry
            return DeadLetter(
                id: entry.id, site: entry.site, reason: entry.reason, attempts: entry.attempts,
                contents: try DeadLetterFormat.contents(
                    of: bytes, opened.header, isOutput: entry.isOutput, path: path))
        }
    }

    /// Moves a letter to those that were replayed.
    public func settle(_ id: DeadLetter.ID) async throws {
        let (directory, done, name, index) = (directory, done, Self.name(of: id), index)
        try await medium.perform { medium in
            try medium.rename(directory + "/" + name, to: done + "/" + name)
            // There first: a crash in between leaves the name in both, and in neither never.
            try medium.syncDirectory(done)
            try medium.syncDirectory(directory)
            // Last: as long as it is in `done`, nobody misses it.
            try index.note(.replayed, name, medium)
        }
    }

    /// Whether a letter waits or was replayed.
    public func isKnown(_ id: DeadLetter.ID) async throws -> Bool {
        let name = Self.name(of: id)
        let paths = [directory, done].map { $0 + "/" + name }
        return try await medium.perform { medium in
            try paths.contains { try medium.byteCount(of: $0) != nil }
        }
    }

    /// Keeps others from replaying.
    ///
    /// - Throws: ``DeadLetterError`` `.locked` while another one does.
    public func lockForReplay() async throws -> any DeadLetterLock {
        let (directory, done) = (directory, done)
        return try await medium.perform { medium in
            try medium.createDirectories(done)
            do {
                return ReplayLock(lock: try Self.lock(directory, medium))
            } catch let error as StorageError where error.code == .locked {
                throw DeadLetterError(
                    .locked,
                    "the dead letters in \(directory) are being replayed: \(error.message)")
            }
        }
    }

    private static func lock(
        _ directory: String, _ medium: some StorageMedium
    ) throws -> any StorageLock {
        try medium.lock(directory + "/replay.lock", for: "a replay")
    }

    // MARK: What checkpoints know

    /// What a checkpoint keeps, so that a start misses letters whose index is gone with them.
    package struct Marks: Sendable {
        private var byteCount = 0
        private var number: String?
        private var own: String?
        private var lost: Set<String> = []
        /// Of indexes that were removed or replaced while the program ran.
        private var gone: Set<String> = []

        /// Of no letters.
        package init() {}

        fileprivate init(_ contents: DeadLetterIndex.Contents, _ byteCount: Int, after last: Marks)
        {
            self.byteCount = byteCount
            number = contents.number
            own = contents.mark
            lost = contents.lostMarks
            gone = last.number == number ? last.gone : Set(last.all)
        }

        fileprivate func isOf(_ byteCount: Int) -> Bool { self.byteCount == byteCount }

        /// The marks, ascending.
        package var all: [String] { lost.union(gone).union(own.map { [$0] } ?? []).sorted() }
    }

    /// The marks of letters that wait now.
    ///
    /// - Parameter last: those of before in this run.
    package func marks(after last: Marks) async throws -> Marks {
        let (directory, index) = (directory, index)
        return try await medium.perform { medium in
            let count = try medium.byteCount(of: index.path) ?? 0
            if last.isOf(count) { return last }
            if count > 0 {
                // Somebody may be adding a line: no checkpoint knows what a crash could take.
                try medium.open(index.path, .read).sync()
                try medium.syncDirectory(directory)
            }
            return Marks(try index.read(medium), count, after: last)
        }
    }

    /// Notes those of a checkpoint's marks that the index does not know: ``list()`` reports them.
    ///
    /// - Returns: whether there are any.
    package func noteLost(_ marks: [String]) async throws -> Bool {
        let index = index
        return try await medium.perform { medium in
            let lost = marks.compactMap(try index.read(medium).missing)
            for mark in lost { try index.note(.lost, mark, medium) }
            return !lost.isEmpty
        }
    }

    // MARK: Files

    private struct Opened {
        let file: any StorageFile
        let header: DeadLetterFormat.Header
        let entry: DeadLetter.Entry
    }

    private static func open(_ path: String, _ medium: some StorageMedium) throws -> Opened {
        let file = try medium.open(path, .read)
        let header = try DeadLetterFormat.header(
            of: try file.read(at: 0, count: DeadLetterFormat.headerByteCount), path: path)
        // The file's length bounds what is made room for.
        let bytes = try file.read(
            at: DeadLetterFormat.headerByteCount,
            count: min(header.entryByteCount, try file.byteCount()))
        return Opened(
            file: file, header: header,
            entry: try DeadLetterFormat.entry(of: bytes, header, path: path))
    }

    private static func names(
        in directory: String, _ medium: some StorageMedium
    ) throws -> [String] {
        do { return try medium.list(directory).filter { $0.hasSuffix(suffix) } } catch let error
            as StorageError where error.code == .notFound
        {
            return []
        }
    }

    /// One name per batch and operation, so that a batch that fails again replaces its letter.
    private static func name(of id: DeadLetter.ID) -> String {
        var text = id.operationID
        let hash = text.withUTF8 { StableHasher.hash(UnsafeRawBufferPointer($0)) }
        return "\(id.batchTime.milliseconds)-\(hash.padded(to: 16, radix: 16))\(suffix)"
    }
}

private struct ReplayLock: DeadLetterLock {
    let lock: any StorageLock

    func release() { lock.release() }
}
