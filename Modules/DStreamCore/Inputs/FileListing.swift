internal import BatchEngine

/// What is in the watched directories at one time.
package struct FileListing: Sendable {
    /// A directory that could be listed.
    package struct Directory: Sendable {
        /// The hash of its path, and of which directory that is unless it is saved.
        package let key: UInt64
        /// The hash that it had before it was known to be saved.
        package var unsavedKey: UInt64?
        /// Whether it holds `_SUCCESS`: a batch was saved there, and what has the name of a file that
        /// was read is the same file, written again.
        package let isSaved: Bool
        /// The files that may be read.
        package var files: [FileSelection.Entry] = []
        /// The directories in it, whose files are not read.
        package var directories: [String] = []
        /// What is there and cannot be looked at now.
        package var unseen: [String] = []
        /// How many names the filter does not admit now, or are links to what is not there now.
        package var hiddenCount = 0

        /// Makes a directory.
        package init(key: UInt64, isSaved: Bool = false, files: [FileSelection.Entry] = []) {
            self.key = key
            self.isSaved = isSaved
            self.files = files
        }
    }

    /// The directories, in the order of their paths.
    package var directories: [Directory] = []
    /// Directories that something is being saved into: they are listed when it is complete.
    package var unfinished: [String] = []
    /// Files that have the name of a directory that is to be watched.
    package var files: [String] = []
    /// What could not be looked at, and why.
    package var problems: [String] = []
    /// Whether any directory is there.
    package var isDirectoryThere = false

    /// How many files of a directory are reported that cannot be looked at.
    static let problemMaximum = 10
    /// What is in a directory while files are being saved into it, and what says that all are there.
    private static let (unfinishedMark, savedMark) = ("_temporary", "_SUCCESS")

    /// Lists nothing.
    package init() {}

    /// Lists what is there now; blocks the thread.
    ///
    /// - Parameters:
    ///   - isRecursive: whether directories in directories are listed, at any depth; links to
    ///     directories are not followed there.
    ///   - filter: which files may be read, by path, of those whose names hide nothing.
    init(
        _ pattern: DirectoryPattern, isRecursive: Bool, filter: (String) -> Bool
    ) {
        let found = pattern.find()
        files = found.files
        problems = found.problems
        isDirectoryThere = !found.directories.isEmpty
        var seen = Set(found.directories.map(ExactPath.init))
        var places: [[UInt64]: String] = [:]
        // The next one last.
        var open = Array(found.directories.reversed())
        while let path = open.popLast() {
            var own: [String] = []
            defer { problems += own.prefix(Self.problemMaximum) }
            do {
                guard
                    let directory = try list(
                        path, isRecursive: isRecursive, filter: filter, &places, &own)
                else { continue }
                directories.append(directory)
                if isRecursive {
                    directories[directories.count - 1].directories = []
                    for inner in directory.directories.reversed()
                    where seen.insert(ExactPath(inner)).inserted {
                        if !FileSystem.isLink(inner) { open.append(inner) }
                    }
                }
            } catch {
                if !error.isNotFound { own.append("\(error)") }
            }
        }
    }

    /// Lists a directory; nil when it is to be left alone now.
    private mutating func list(
        _ directory: String, isRecursive: Bool, filter: (String) -> Bool,
        _ places: inout [[UInt64]: String], _ problems: inout [String]
    ) throws(SystemError) -> Directory? {
        guard let status = try FileSystem.status(directory), status.isDirectory else { return nil }
        if let other = places.updateValue(directory, forKey: [status.device, status.inode]) {
            problems.append("\(directory) is \(other) by another path, and listed once")
            places[[status.device, status.inode]] = other
            return nil
        }
        let names = try FileSystem.list(directory)
        let isSaved = names.contains(Self.savedMark)
        if !isSaved, names.contains(Self.unfinishedMark) {
            unfinished.append(directory)
            return nil
        }
        let key = status.directoryKey(at: directory)
        var listed = Directory(
            key: isSaved ? KnownFiles.key(directory, 0) : key, isSaved: isSaved)
        if isSaved { listed.unsavedKey = key }
        for name in names where FileSelection.isVisible(name) {
            let path = directory == "/" ? "/\(name)" : "\(directory)/\(name)"
            let isWanted = filter(path)
            if !isWanted { listed.hiddenCount += 1 }
            guard isWanted || isRecursive else { continue }
            do {
                try listed.add(path, isWanted: isWanted, &problems)
            } catch {
                problems.append("\(error)")
                if isWanted { listed.unseen.append(path) }
            }
        }
        return listed
    }
}

extension FileListing.Directory {
    /// Adds what is at a path: nothing when it is gone.
    ///
    /// - Throws: when it cannot be looked at.
    fileprivate mutating func add(
        _ path: String, isWanted: Bool, _ problems: inout [String]
    ) throws(SystemError) {
        guard let status = try FileSystem.status(path) else {
            // What took the place of bytes that are no UTF-8 is not found under its own name.
            if path.unicodeScalars.contains("\u{FFFD}") {
                problems.append("\(path) cannot be read: its name is no UTF-8; rename it")
            } else if isWanted, FileSystem.isLink(path) {
                hiddenCount += 1
            }
            return
        }
        if status.isDirectory {
            directories.append(path)
        } else if isWanted {
            files.append(FileSelection.Entry(path: path, status))
        }
    }
}

extension FileSelection.Entry {
    /// What cannot be looked at: it is known by its path, and as old.
    init(unseen path: String) { self.init(path: path, modified: .zero) }

    init(path: String, _ status: FileSystem.Status) {
        let parts = status.modified.components
        self.init(
            path: path, modified: BatchTime(milliseconds: status.modified.milliseconds),
            inode: status.inode,
            print: KnownFiles.hash(Int64(status.byteCount), parts.seconds, parts.attoseconds),
            birth: status.birthHash, byteCount: status.byteCount)
    }
}

extension FileSystem.Status {
    /// When it was made, as a hash; 0: the file system does not say.
    var birthHash: UInt32 { birth.map { max(1, KnownFiles.hash($0)) } ?? 0 }

    /// The hash by which a directory is known: two disks that are mounted at one place by turns have
    /// the same path and inode.
    func directoryKey(at path: String) -> UInt64 {
        KnownFiles.key(path, inode ^ UInt64(birthHash) << 32)
    }
}
