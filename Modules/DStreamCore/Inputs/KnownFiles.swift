internal import BatchEngine

/// The files in the watched directories that are dealt with: read, or reported as not read.
///
/// Directories are known by 64-bit hashes of path and inode, and files in them by those of name and
/// inode. A file is forgotten when its directory was listed without it. A directory that is not there,
/// or has another one in its place such as the empty place of a disk that was taken out, keeps its
/// table: when it comes back, also at another path, its files are not read again. Of such tables the
/// newest 100 are kept, and up to 1,000 for as long as they hold at most 10,000 files.
package struct KnownFiles: Sendable {
    /// What is known of a file.
    package struct File: Sendable, Hashable {
        /// Changes with its length and with its modification time.
        package var print: UInt32
        /// When it was made, as a hash; 0: the file system does not say.
        package var birth: UInt32
        /// What became of it.
        package var state: State
    }

    /// What became of a file.
    package enum State: UInt8, Sendable, Hashable {
        /// A batch has read it.
        case read
        /// A batch has read it, and it has changed since, which was reported.
        case changed
        /// It is not read: it was there at the start, or is too old.
        case passed
        /// A later batch will read it, which was reported.
        case waits
    }

    /// Files by the hashes of their directories and of their own.
    package typealias Tables = [UInt64: [UInt64: File]]

    /// What a batch changed.
    package struct Change: Sendable {
        let time: BatchTime
        var added: Tables = [:]
        var removed: [UInt64: [UInt64]] = [:]

        /// How many files it speaks of.
        package var count: Int {
            added.values.reduce(0) { $0 + $1.count } + removed.values.reduce(0) { $0 + $1.count }
        }
    }

    /// How many tables are kept of directories that are not there: fewer when they hold many files.
    private static let absentMaximum = 1000
    private static let absentMinimum = 100
    private static let absentFiles = 10_000

    /// By which rule they are dealt with.
    package let detection: FileDetection
    package private(set) var tables: Tables
    /// Directories that are not there, the longest gone first.
    private var absent: [UInt64] = []

    /// Knows some files.
    package init(_ detection: FileDetection, tables: Tables = [:]) {
        self.detection = detection
        self.tables = tables
    }

    /// How many files are known.
    package var count: Int { tables.values.reduce(0) { $0 + $1.count } }

    /// Takes what is in the directories that could be listed.
    ///
    /// - Returns: what that changed.
    @discardableResult
    package mutating func take(_ listed: Tables, at time: BatchTime) -> Change {
        var change = Change(time: time)
        for (directory, files) in listed {
            let old = tables[directory] ?? [:]
            var common = 0
            for (key, file) in files {
                let before = old[key]
                if before != nil { common += 1 }
                if before != file { change.added[directory, default: [:]][key] = file }
            }
            if common < old.count {
                change.removed[directory] = old.keys.filter { files[$0] == nil }
            }
            tables[directory] = files.isEmpty ? nil : files
        }
        absent.removeAll { listed[$0] != nil }
        let known = Set(absent)
        absent += tables.keys.filter { listed[$0] == nil && !known.contains($0) }.sorted()
        var absentCount = absent.reduce(0) { $0 + (tables[$1]?.count ?? 0) }
        while absent.count > Self.absentMaximum
            || absent.count > Self.absentMinimum && absentCount > Self.absentFiles
        {
            let directory = absent.removeFirst()
            absentCount -= tables[directory]?.count ?? 0
            change.removed[directory] = tables.removeValue(forKey: directory).map { Array($0.keys) }
        }
        return change
    }

    /// Adds files that were chosen for a batch before a restart, as they are now.
    mutating func add(_ files: Tables, at time: BatchTime) -> Change {
        var change = Change(time: time)
        for (directory, files) in files {
            for (key, file) in files where tables[directory]?[key]?.print != file.print {
                tables[directory, default: [:]][key] = file
                change.added[directory, default: [:]][key] = file
            }
        }
        return change
    }

    /// Makes a change that was made before a restart.
    mutating func apply(set: Tables, removed: [UInt64: [UInt64]]) {
        for (directory, files) in set {
            tables[directory, default: [:]].merge(files) { $1 }
        }
        for (directory, keys) in removed {
            for key in keys { tables[directory]?[key] = nil }
            if tables[directory]?.isEmpty == true { tables[directory] = nil }
        }
    }

    // MARK: Hashes

    /// The hash by which a directory is known.
    package static func key(_ path: String, _ inode: UInt64) -> UInt64 {
        var path = path
        return path.withUTF8 { key(UnsafeRawBufferPointer($0), inode) }
    }

    /// The hash by which something is known in its directory: by its name, wherever that lies.
    ///
    /// - Parameter inode: its number in its file system; 0: whatever has the name.
    static func key(ofNameIn path: String, _ inode: UInt64 = 0) -> UInt64 {
        var path = path
        return path.withUTF8 { bytes in
            let slash = bytes.lastIndex(of: UInt8(ascii: "/"))
            let start = slash.map { $0 + 1 } ?? 0
            return key(
                UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: bytes[start...])), inode)
        }
    }

    private static func key(_ bytes: UnsafeRawBufferPointer, _ inode: UInt64) -> UInt64 {
        var hasher = StableHasher()
        hasher.combine(hash: StableHasher.hash(bytes))
        hasher.combine(hash: inode)
        return hasher.finish()
    }

    /// A short hash of numbers.
    static func hash(_ numbers: Int64...) -> UInt32 {
        var hasher = StableHasher()
        for number in numbers { hasher.combine(hash: UInt64(bitPattern: number)) }
        return UInt32(truncatingIfNeeded: hasher.finish() >> 16)
    }
}
