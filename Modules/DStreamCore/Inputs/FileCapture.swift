internal import BatchEngine
internal import Synchronization

/// Which changes of the known files are not in a durable checkpoint yet.
///
/// The first writes of a run hold all files, later ones what changed since a batch that is known to be
/// in one: twice the same does no harm. Once the changes are more than twice the files (and 10,000),
/// all are written again.
struct KnownFilesProgress: Sendable {
    /// Made since the batch whose state was kept last, oldest first.
    private var changes: [KnownFiles.Change] = []
    private var isOn = false
    /// The batch of the last write of all files that is durable; nil: none is.
    private var base: BatchTime?
    /// The last such write, and the batch whose state had been kept before it.
    private var proposed: (base: BatchTime, since: BatchTime?)?
    private var changeCount = 0

    /// Notes what a batch changed.
    mutating func note(_ change: KnownFiles.Change) {
        if isOn, change.count > 0 { changes.append(change) }
    }

    /// What the next write holds.
    ///
    /// - Parameters:
    ///   - time: the batch of the write.
    ///   - since: the batch whose state was kept last.
    /// - Returns: the changes, nil: all files are to be written; and the oldest batch that is needed.
    mutating func next(
        at time: BatchTime, since: BatchTime?, count: Int
    ) -> (changes: [KnownFiles.Change]?, oldest: BatchTime) {
        isOn = true
        if let since {
            changes.removeAll { $0.time <= since }
            // What was kept rose: so the last write has succeeded.
            if let proposed, proposed.since.map({ $0 < since }) ?? true { base = proposed.base }
        }
        proposed = nil
        guard let base, changeCount <= max(2 * count, 10_000) else {
            proposed = (time, since)
            changeCount = 0
            return (nil, base ?? time)
        }
        changeCount += changes.reduce(0) { $0 + $1.count }
        return (changes, base)
    }
}

extension FileInput {
    /// The capture of which files were read by which batches, those not completed included, and which
    /// files are dealt with.
    ///
    /// The first is partition 2 of three, in earlier versions 0 and without which files the paths were;
    /// the second partition 1.
    var capture: StateCapture {
        StateCapture(
            take: { [self] request in
                let (selection, known, next) = state.withLock { state in
                    let known = state.known ?? KnownFiles(detection)
                    let next = state.progress.next(
                        at: request.time, since: request.since, count: known.count)
                    return (state.selection, known, next)
                }
                var pieces = [try request.piece(of: selection)]
                if let changes = next.changes {
                    if !changes.isEmpty { pieces.append(try request.piece(of: changes, detection)) }
                } else {
                    pieces.append(try request.piece(of: known))
                }
                return (pieces, next.oldest)
            },
            restore: { [self] pieces, _ in
                guard let last = pieces.last(where: { $0.partition != 1 }) else { return }
                let (start, batches) = try last.values.selection(hasPaths: last.partition == 0)
                var known: KnownFiles?
                // Before the first whole there may be changes that belong to one which is gone.
                var isBaseMissing = false
                for piece in pieces where piece.partition == 1 {
                    // Earlier versions had other hashes, which say nothing now.
                    guard let (detection, tables) = try piece.values.files() else { continue }
                    if piece.kind == .whole {
                        known = KnownFiles(detection, tables: tables)
                        isBaseMissing = false
                    } else if known == nil {
                        isBaseMissing = true
                    } else {
                        known?.apply(set: tables, removed: try piece.removed.keys())
                    }
                }
                if isBaseMissing {
                    throw CodecError(.invalidValue, "files that changed, and no base of them")
                }
                restore(start: start, batches, known)
            })
    }
}

// MARK: Bytes

extension StateCapture.Request {
    fileprivate func piece(of selection: FileSelection) throws -> OperatorState {
        var writer = ByteWriter()
        writer.writeZigzag(selection.start.milliseconds)
        for batch in selection.batches {
            writer.writeZigzag(batch.time.milliseconds)
            writer.writeVarint(UInt64(batch.files.count))
            for file in batch.files { file.write(to: &writer) }
        }
        return piece(
            .whole, (2, 3),
            EncodedValues(bytes: try writer.takeBytes(), count: selection.batches.count))
    }

    fileprivate func piece(of known: KnownFiles) throws -> OperatorState {
        piece(.whole, (1, 3), try EncodedValues.files(known.detection, known.tables))
    }

    fileprivate func piece(
        of changes: [KnownFiles.Change], _ detection: FileDetection
    ) throws -> OperatorState {
        var set: KnownFiles.Tables = [:]
        var removed: [UInt64: Set<UInt64>] = [:]
        for change in changes {
            for (directory, files) in change.added {
                set[directory, default: [:]].merge(files) { $1 }
                removed[directory]?.subtract(files.keys)
            }
            for (directory, keys) in change.removed {
                for key in keys { set[directory]?[key] = nil }
                removed[directory, default: []].formUnion(keys)
            }
        }
        return piece(
            .changes, (1, 3), try EncodedValues.files(detection, set),
            try EncodedValues.keys(removed))
    }
}

extension EncodedValues {
    fileprivate func selection(hasPaths: Bool) throws -> (BatchTime, [FileSelection.Batch]) {
        try bytes.withUnsafeBytes { buffer in
            var reader = ByteReader(buffer)
            let start = try reader.readTime()
            var batches: [FileSelection.Batch] = []
            while !reader.isAtEnd {
                let time = try reader.readTime()
                let files = try (0..<(try reader.readCount())).map { _ in
                    hasPaths
                        ? ChosenFile(path: try reader.readString())
                        : try ChosenFile(from: &reader)
                }
                batches.append(FileSelection.Batch(time: time, files: files))
            }
            return (start, batches)
        }
    }

    /// A byte with the detection; for each directory its hash, how many files, and those: hash,
    /// print, birth, and a byte with what became of it.
    fileprivate static func files(
        _ detection: FileDetection, _ tables: KnownFiles.Tables
    ) throws -> EncodedValues {
        var writer = ByteWriter()
        writer.writeByte(detection == .byAppearance ? 2 : 3)
        for (directory, files) in tables where !files.isEmpty {
            writer.writeFixed(directory)
            writer.writeVarint(UInt64(files.count))
            for (key, file) in files {
                writer.writeFixed(key)
                writer.writeFixed(file.print)
                writer.writeFixed(file.birth)
                writer.writeByte(file.state.rawValue)
            }
        }
        let count = tables.values.reduce(0) { $0 + $1.count }
        return EncodedValues(bytes: try writer.takeBytes(), count: count)
    }

    fileprivate func files() throws -> (FileDetection, KnownFiles.Tables)? {
        try bytes.withUnsafeBytes { buffer in
            var reader = ByteReader(buffer)
            let form = try reader.readByte()
            if form < 2 { return nil }
            let detection: FileDetection = form == 2 ? .byAppearance : .byModificationTime
            var tables: KnownFiles.Tables = [:]
            while !reader.isAtEnd {
                let directory: UInt64 = try reader.readFixed()
                let count = try reader.readCount()
                var files = [UInt64: KnownFiles.File](minimumCapacity: count)
                for _ in 0..<count {
                    let key: UInt64 = try reader.readFixed()
                    let (print, birth): (UInt32, UInt32) = (
                        try reader.readFixed(), try reader.readFixed()
                    )
                    let number = try reader.readByte()
                    guard let state = KnownFiles.State(rawValue: number) else {
                        throw CodecError(.invalidValue, "\(number) says nothing of a file")
                    }
                    files[key] = KnownFiles.File(print: print, birth: birth, state: state)
                }
                tables[directory] = files
            }
            return (detection, tables)
        }
    }

    /// For each directory its hash, how many files, and their hashes.
    fileprivate static func keys(_ keys: [UInt64: Set<UInt64>]) throws -> EncodedValues {
        var writer = ByteWriter()
        for (directory, keys) in keys where !keys.isEmpty {
            writer.writeFixed(directory)
            writer.writeVarint(UInt64(keys.count))
            for key in keys { writer.writeFixed(key) }
        }
        let count = keys.values.reduce(0) { $0 + $1.count }
        return EncodedValues(bytes: try writer.takeBytes(), count: count)
    }

    fileprivate func keys() throws -> [UInt64: [UInt64]] {
        try bytes.withUnsafeBytes { buffer in
            var reader = ByteReader(buffer)
            var keys: [UInt64: [UInt64]] = [:]
            while !reader.isAtEnd {
                let directory: UInt64 = try reader.readFixed()
                keys[directory] = try (0..<(try reader.readCount())).map { _ in
                    try reader.readFixed()
                }
            }
            return keys
        }
    }
}
