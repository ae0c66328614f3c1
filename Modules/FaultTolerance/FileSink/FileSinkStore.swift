internal import BatchEngine
internal import DStreamCore
internal import Synchronization

/// A file that a task has written for a ``FileSink``, on its way to the commit.
public struct StagedFile: Sendable, Hashable {
    let name: String
    let partition: Int
    let byteCount: Int
    let elementCount: Int
    let checksum: UInt32
}

/// The directory of a ``FileSink``, whatever its elements are; its calls block.
final class FileSinkStore: Sendable {
    private struct State {
        var lock: (any StorageLock)?
        var step = Duration.milliseconds(1)
        var committed = CommittedBatches()
        /// Committed batches that have a manifest file of their own, in order.
        var loose: [CommittedFiles] = []
        var segments = 0
        /// What failed commits left in `data`, by batch.
        var moved: [BatchTime: [String]] = [:]
        /// Counts the staged files of this opening.
        var staged = 0
    }

    private let layout: FileSinkLayout
    private let medium: any StorageMedium
    private let fileExtension: String
    private let batchesPerSegment: Int
    private let state = Locked(State())

    init(
        directory: String, medium: any StorageMedium, fileExtension: String,
        batchesPerSegment: Int
    ) {
        layout = FileSinkLayout(directory: directory)
        self.medium = medium
        let letters = fileExtension.filter {
            $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0))
        }
        self.fileExtension = letters.isEmpty ? "" : "." + letters
        self.batchesPerSegment = max(1, batchesPerSegment)
    }

    /// What a storage error means for the sink.
    func error(_ error: StorageError, _ batch: BatchTime?) -> SinkError {
        let sink = layout.sink
        switch error.code {
        case .full:
            return SinkError(
                .full, sink: sink, batch: batch, "there is no room; make some and start again",
                underlying: error)
        case .locked:
            return SinkError(
                .locked, sink: sink, batch: batch,
                "the directory is in use: \(error.message); give each sink, and the checkpoints, one "
                    + "of its own",
                underlying: error)
        default:
            return SinkError(
                .failed, sink: sink, batch: batch, "the directory cannot be used",
                underlying: error)
        }
    }

    private func closed(_ batch: BatchTime) -> SinkError {
        SinkError(
            .closed, sink: layout.sink, batch: batch,
            "the sink is not open: batches come after recovery and before the end of the context")
    }

    // MARK: Opening

    func recover(_ start: SinkStart) throws -> CommittedBatches {
        if layout.directory.isEmpty {
            throw SinkError(
                .misused, sink: layout.sink, "the path of the directory is empty; give it one")
        }
        let hadManifest = try isThere(layout.manifest)
        try medium.createDirectories(layout.data)
        // Before it is made anew: the next start would not know that it was gone.
        if !hadManifest { try refuseData() }
        try medium.createDirectories(layout.manifest)
        try medium.createDirectories(layout.staged)
        let lock = try medium.lock(layout.lock, for: "a file sink")
        do {
            let found = try readManifest(start.slide)
            try sweep(keeping: found.committed, start)
            state.withLock { state in
                state = found
                state.lock = lock
            }
            return found.committed
        } catch {
            lock.release()
            throw error
        }
    }

    private func readManifest(_ step: Duration) throws -> State {
        var state = State()
        state.step = step
        var ranges: [CommittedBatches.Range] = []
        for name in try medium.list(layout.manifest) {
            let path = layout.manifest + "/" + name
            switch FileSinkLayout.kind(ofManifest: name) {
            case .batch(let batch):
                let contents = try layout.read(path, medium)
                guard contents.map(\.batch) == [batch] else {
                    throw SinkError(
                        .damaged, sink: layout.sink,
                        "\(path) is not of batch \(batch) by its content; restore the file")
                }
                state.loose += contents
                ranges.append(CommittedBatches.Range(batch, through: batch, step: step))
            case .segment(let number):
                state.segments = max(state.segments, number)
                ranges += try layout.readRanges(path, medium)
            // Removed once the start is not refused.
            case .leftover, nil: break
            }
        }
        state.loose.sort { $0.batch < $1.batch }
        state.committed = CommittedBatches(ranges)
        return state
    }

    private func isThere(_ directory: String) throws -> Bool {
        do { _ = try medium.list(directory) } catch let error as StorageError
            where error.code == .notFound
        {
            return false
        }
        return true
    }

    /// Refuses data without a manifest: the manifest comes before the first file.
    private func refuseData() throws {
        let files = try medium.list(layout.data).filter { FileSinkLayout.batch(ofData: $0) != nil }
        guard let first = files.first else { return }
        throw lostEntries(
            "\(layout.manifest) is gone, and \(layout.data) holds \(files.count) files, such as "
                + first)
    }

    private func lostEntries(_ what: String) -> SinkError {
        SinkError(
            .damaged, sink: layout.sink,
            "\(what); nothing was removed. " + MessageTable.see("output without manifest"))
    }

    /// Removes what no committed batch names, of batches that will run again; of others, it is output
    /// whose entry is lost.
    private func sweep(keeping committed: CommittedBatches, _ start: SinkStart) throws {
        let unnamed = try unnamedData(committed)
        let removed = unnamed.filter { start.resumption?.willRun($0.batch) ?? false }
        try check(unnamed, committed, start)
        for name in try medium.list(layout.manifest)
        where FileSinkLayout.kind(ofManifest: name) == .leftover {
            try medium.remove(layout.manifest + "/" + name)
        }
        for name in try medium.list(layout.staged) {
            try medium.remove(layout.staged + "/" + name)
        }
        for file in removed { try medium.remove(layout.data + "/" + file.name) }
    }

    /// The files in `data` that belong to no batch of the manifest.
    private func unnamedData(
        _ committed: CommittedBatches
    ) throws -> [(name: String, batch: BatchTime)] {
        var unnamed: [(name: String, batch: BatchTime)] = []
        // Names of one batch follow one another.
        var last: (batch: BatchTime, isNamed: Bool)?
        for name in try medium.list(layout.data) {
            guard let batch = FileSinkLayout.batch(ofData: name) else { continue }
            if last?.batch != batch {
                last = (batch, committed.contains(batch) || committed.hasForgotten(batch))
            }
            if last?.isNamed == false { unnamed.append((name, batch)) }
        }
        return unnamed
    }

    /// Refuses files of batches that have completed.
    private func check(
        _ unnamed: [(name: String, batch: BatchTime)], _ committed: CommittedBatches,
        _ start: SinkStart
    ) throws {
        if start.isReplay { return }
        let lost: [(name: String, batch: BatchTime)]
        if let resumption = start.resumption {
            lost = unnamed.filter { !resumption.willRun($0.batch) }
        } else if let newest = committed.newest {
            // Behind the newest one, a run that ended within a commit may have left them.
            lost = unnamed.filter { $0.batch < newest }
        } else {
            // So may one before the first commit, but of one batch.
            lost = Set(unnamed.map(\.batch)).count > 1 ? unnamed : []
        }
        guard let first = lost.first else { return }
        throw lostEntries(
            "\(layout.data) holds \(lost.count) files of batches that \(layout.manifest) does not "
                + "name, though they have completed: the first is \(first.name), of batch "
                + "\(first.batch)")
    }

    func close() {
        let lock = state.withLock { state in
            defer { state = State() }
            return state.lock
        }
        lock?.release()
    }

    // MARK: Preparing

    /// Writes a file that nobody else writes, and flushes it.
    ///
    /// - Parameter body: is given what adds bytes.
    func stage(
        _ batch: BatchTime, _ partition: Int, _ elementCount: Int,
        _ body: ((_ bytes: [UInt8]) throws -> Void) throws -> Void
    ) throws -> StagedFile {
        let number: Int? = state.withLock { state in
            guard state.lock != nil else { return nil }
            state.staged += 1
            return state.staged
        }
        guard let number else { throw closed(batch) }
        let name = FileSinkLayout.dataName(batch, partition, number) + fileExtension
        let path = layout.staged + "/" + name
        // A removal that was not durable may have been undone by a crash.
        try medium.remove(path)
        do {
            let file = try medium.open(path, .createNew)
            var checksum = Checksum.crc32c([])
            var byteCount = 0
            try body { bytes in
                guard !bytes.isEmpty else { return }
                try file.append(bytes)
                checksum = bytes.withUnsafeBytes { Checksum.crc32c($0, after: checksum) }
                byteCount += bytes.count
            }
            try file.sync()
            return StagedFile(
                name: name, partition: partition, byteCount: byteCount,
                elementCount: elementCount, checksum: checksum)
        } catch {
            _ = try? medium.remove(path)
            throw error
        }
    }

    func discard(_ files: [StagedFile], of batch: BatchTime? = nil) {
        for file in files { _ = try? medium.remove(layout.staged + "/" + file.name) }
        // What a failed commit moved would be taken for output whose entry is lost.
        if let batch, state.withLock({ $0.lock != nil }) { _ = try? finishEarlier(batch) }
    }

    // MARK: Committing

    func commit(_ files: [StagedFile], _ batch: BatchTime) throws {
        let (lock, isKnown, step) = state.withLock { state in
            (state.lock, state.committed.contains(batch), state.step)
        }
        guard let lock else { throw closed(batch) }
        try lock.check()
        if isKnown { return discard(files) }
        let entry = CommittedFiles(
            batch: batch,
            files: files.map { file in
                CommittedFiles.File(
                    path: "data/" + file.name, partition: file.partition,
                    byteCount: file.byteCount, elementCount: file.elementCount,
                    checksum: file.checksum)
            })
        if try finishEarlier(batch) { return discard(files) }
        let path = layout.path(of: batch)
        state.withLock { $0.moved[batch] = files.map(\.name) }
        for file in files {
            try medium.rename(
                layout.staged + "/" + file.name, to: layout.data + "/" + file.name)
        }
        if !files.isEmpty { try medium.syncDirectory(layout.data) }
        // Here the batch is committed, or not.
        try medium.replaceFile(path, with: FileSinkManifest([entry], step: step).bytes)
        note(entry)
        // The batch is there; what fails now is tried again after the next one.
        try? makeSegment()
    }

    private func note(_ entry: CommittedFiles) {
        state.withLock { state in
            state.moved[entry.batch] = nil
            state.loose.append(entry)
            state.committed.insert(entry.batch, step: state.step)
        }
    }

    /// Finds out what became of a commit of this batch that failed.
    ///
    /// - Returns: whether the batch is there after all.
    private func finishEarlier(_ batch: BatchTime) throws -> Bool {
        guard let moved = state.withLock({ $0.moved[batch] }) else { return false }
        let path = layout.path(of: batch)
        if try medium.byteCount(of: path) != nil {
            // Its last step failed: the file is whole, but its name may not be durable.
            try medium.syncDirectory(layout.manifest)
            for entry in try layout.read(path, medium) { note(entry) }
            return true
        }
        for name in moved { try medium.remove(layout.data + "/" + name) }
        state.withLock { $0.moved[batch] = nil }
        return false
    }

    /// Puts the manifest files of single batches together once there are many.
    ///
    /// A segment is never written again, so that each batch costs the same however many there are.
    private func makeSegment() throws {
        let (loose, number, step) = state.withLock { ($0.loose, $0.segments + 1, $0.step) }
        guard loose.count >= batchesPerSegment * 2, number <= FileSinkLayout.greatestSegment
        else { return }
        let old = Array(loose.prefix(batchesPerSegment))
        try medium.replaceFile(
            layout.path(ofSegment: number), with: FileSinkManifest(old, step: step).bytes)
        state.withLock { state in
            state.segments = number
            state.loose.removeFirst(old.count)
        }
        // Whoever finds one of them nevertheless finds the same in it.
        for entry in old { try medium.remove(layout.path(of: entry.batch)) }
    }
}
