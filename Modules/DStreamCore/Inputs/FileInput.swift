internal import BatchEngine
internal import Synchronization

/// Watches directories for files: what there is to read in each batch.
///
/// ## Isolation
/// Batches ask one after the other; calls block their thread.
package final class FileInput: Sendable {
    /// How directories are watched.
    package struct Configuration: Sendable {
        /// The directories.
        package var pattern: DirectoryPattern
        /// Which paths are read, of those whose names do not begin with `_` or `.`.
        package var filter: @Sendable (String) -> Bool
        /// The time between batches.
        package var batchInterval: Duration
        /// How old a file may be at least; rounded up to whole batches.
        package var minimumRemember: Duration
        /// What was modified then or before is never read.
        package var start: BatchTime
        /// Where people are told that a directory is missing or cannot be read.
        package var warn: @Sendable (String) -> Void

        /// States how directories are watched.
        package init(
            pattern: DirectoryPattern, filter: @escaping @Sendable (String) -> Bool,
            batchInterval: Duration, minimumRemember: Duration, start: BatchTime,
            warn: @escaping @Sendable (String) -> Void
        ) {
            self.pattern = pattern
            self.filter = filter
            self.batchInterval = batchInterval
            self.minimumRemember = minimumRemember
            self.start = start
            self.warn = warn
        }
    }

    /// How many files of a directory people are told of that cannot be looked at.
    static let problemMaximum = 10

    private let configuration: Configuration
    private let selection: Locked<FileSelection>
    /// What people were told and what has not changed since.
    private let told = Locked<Set<String>>([])

    /// Makes an input that has read nothing.
    package init(_ configuration: Configuration) {
        self.configuration = configuration
        // A batch interval that cannot work has been recorded: such a graph does not start.
        let batches = try? BatchAlignment.numBatchesToRemember(
            minimum: configuration.minimumRemember, batchInterval: configuration.batchInterval)
        selection = Locked(
            FileSelection(
                slide: configuration.batchInterval,
                window: configuration.batchInterval * max(1, batches ?? 1),
                start: configuration.start))
    }

    /// Which paths the remembered batches have read, oldest first: what a restart must know.
    package var batches: [FileSelection.Batch] { selection.withLock { $0.batches } }

    /// Goes on from what ``batches`` was before a restart.
    package func restore(_ batches: [FileSelection.Batch], start: BatchTime) {
        selection.withLock {
            $0 = FileSelection(
                slide: $0.slide, window: $0.window, start: start, batches: batches)
        }
    }

    /// What was modified then or before is never read.
    package var start: BatchTime { selection.withLock { $0.start } }

    /// The files of a batch that was asked for before; none when that is not remembered.
    func remembered(at batch: BatchTime) -> [FileSlice] {
        expand(selection.withLock { $0.paths(of: batch) } ?? [])
    }

    /// What is known once a batch has its files, chosen now unless that was done before.
    ///
    /// It counts once it is given to ``settle(_:at:)``.
    func selecting(
        at batch: BatchTime, earlier choice: [String]?, remembering: Duration
    ) -> FileSelection {
        var current = selection.withLock { $0 }
        current.prepare(for: batch, remembering: remembering)
        if current.paths(of: batch) != nil { return current }
        if let choice {
            current.adopt(choice, for: batch)
        } else {
            _ = current.select(from: list(current), for: batch, remembering: remembering)
        }
        return current
    }

    /// Notes a selection and gives the files of its batch.
    func settle(_ selected: FileSelection, at batch: BatchTime) -> [FileSlice] {
        selection.withLock { $0 = selected }
        return expand(selected.paths(of: batch) ?? [])
    }

    private func list(_ selection: FileSelection) -> [FileSelection.Entry] {
        var found = configuration.pattern.find()
        var entries: [FileSelection.Entry] = []
        for directory in found.directories {
            var problems: [String] = []
            do {
                for name in try FileSystem.list(directory) where FileSelection.isVisible(name) {
                    let path = directory == "/" ? "/\(name)" : "\(directory)/\(name)"
                    guard !selection.hasRead(path), configuration.filter(path) else { continue }
                    if let entry = entry(path, &problems) { entries.append(entry) }
                }
            } catch {
                if !error.isNotFound { problems.append("\(error)") }
            }
            found.problems += problems.prefix(Self.problemMaximum)
        }
        tell(found)
        return entries
    }

    /// What is at a listed path; nil when it is gone or cannot be looked at.
    private func entry(_ path: String, _ problems: inout [String]) -> FileSelection.Entry? {
        do {
            if let status = try FileSystem.status(path) {
                let modified = BatchTime(milliseconds: status.modified.milliseconds)
                return FileSelection.Entry(path: path, modified: modified)
            }
            // What took the place of bytes that are no UTF-8 is not found under its own name.
            if path.unicodeScalars.contains("\u{FFFD}") {
                problems.append("\(path) cannot be read: its name is no UTF-8; rename it")
            }
        } catch { problems.append("\(error)") }
        return nil
    }

    /// Tells people what is wrong, once for as long as it is.
    private func tell(_ found: DirectoryPattern.Found) {
        var problems = found.problems
        if found.directories.isEmpty, problems.isEmpty {
            problems.append(
                "\(configuration.pattern) is no directory yet; its files are read once it is there")
        }
        let news = told.withLock { told in
            defer { told = Set(problems) }
            return problems.filter { !told.contains($0) }
        }
        for problem in news { configuration.warn(problem) }
    }

    /// The files to read for the chosen paths: for a directory those directly in it.
    private func expand(_ paths: [String]) -> [FileSlice] {
        paths.flatMap { path in
            do {
                let status = try FileSystem.status(path)
                guard let status, status.isDirectory else {
                    return [FileSlice(path: path, byteCount: status?.byteCount ?? 0)]
                }
                return try FileSystem.list(path).filter(FileSelection.isVisible).map { name in
                    let path = "\(path)/\(name)"
                    return FileSlice(
                        path: path, byteCount: try FileSystem.status(path)?.byteCount ?? 0)
                }
            } catch {
                // Its task fails with the reason, and the batch is run again with all its files.
                return [FileSlice(path: path, byteCount: 0)]
            }
        }
    }
}

extension FileInput {
    /// The capture of which files were read by which batches, those not completed included.
    var capture: StateCapture {
        StateCapture(
            take: { [self] request in
                var writer = ByteWriter()
                writer.writeZigzag(start.milliseconds)
                let batches = batches
                for batch in batches {
                    writer.writeZigzag(batch.time.milliseconds)
                    writer.writeVarint(UInt64(batch.paths.count))
                    for path in batch.paths { writer.writeString(path) }
                }
                return ([try request.whole(&writer, count: batches.count)], request.time)
            },
            restore: { [self] pieces, _ in
                guard let values = pieces.last?.values else { return }
                try values.bytes.withUnsafeBytes { buffer in
                    var reader = ByteReader(buffer)
                    let start = try reader.readTime()
                    var batches: [FileSelection.Batch] = []
                    while !reader.isAtEnd {
                        let time = try reader.readTime()
                        let paths = try (0..<(try reader.readCount())).map { _ in
                            try reader.readString()
                        }
                        batches.append(FileSelection.Batch(time: time, paths: paths))
                    }
                    restore(batches, start: start)
                }
            })
    }
}

/// One file to be read by one task.
final class FileSlice: PartitionValues {
    let path: String
    /// How long the file was when it was chosen.
    let byteCount: Int

    init(path: String, byteCount: Int) {
        self.path = path
        self.byteCount = byteCount
    }

    /// About how many lines there are: enough for an engine to tell small files from large ones.
    var count: Int { min(1 + byteCount / 32, 1 << 40) }

    /// The path and the length: the task reads the file where it runs.
    func encoded() throws -> EncodedValues {
        var writer = ByteWriter()
        writer.writeString(path)
        writer.writeVarint(UInt64(byteCount))
        return EncodedValues(bytes: try writer.takeBytes(), count: count)
    }

    /// The file of a task's input; nil when it is none.
    static func slice(_ input: PartitionData) throws -> FileSlice? {
        switch input {
        case .values(let values): return values as? FileSlice
        case .encoded(let encoded):
            return try encoded.bytes.withUnsafeBytes { bytes in
                var reader = ByteReader(bytes)
                let path = try reader.readString()
                let count = Int(clamping: try reader.readVarint())
                try reader.requireEnd(of: "file")
                return FileSlice(path: path, byteCount: count)
            }
        default: return nil
        }
    }
}
