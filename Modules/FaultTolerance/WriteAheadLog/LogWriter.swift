internal import BatchEngine
internal import DStreamCore
internal import Synchronization

/// What somebody waits for.
struct LogWriteRequest: Sendable {
    /// The record, in parts that follow one another.
    let parts: [[UInt8]]
    let time: BatchTime
    let completion: Completion

    var byteCount: Int { parts.reduce(0) { $0 + $1.count } }

    var checksum: UInt32 {
        parts.reduce(0) { before, part in
            part.withUnsafeBytes { Checksum.crc32c($0, after: before) }
        }
    }

    enum Completion: Sendable {
        case task(UnsafeContinuation<LogRecordHandle, any Error>)
        case callback(@Sendable (Result<LogRecordHandle, any Error>) -> Void)

        func complete(_ result: Result<LogRecordHandle, any Error>) {
            switch self {
            case .task(let continuation): continuation.resume(with: result)
            case .callback(let body): body(result)
            }
        }
    }
}

/// The log's segments that count, oldest first, as readers see them.
final class LogCatalogue: Sendable {
    private struct State {
        var segments: [Segment]
        /// Where the last one that was asked for is, or was.
        var lastFound = 0
        /// What was removed, and what was lost.
        var extent: LogExtent
        var end: LogPosition
    }

    private let state: Locked<State>

    init(_ opening: LogOpening) {
        let last = opening.segments.last
        state = Locked(
            State(
                segments: opening.segments, extent: opening.extent,
                end: LogPosition(
                    segment: opening.extent.newest, offset: UInt64(last?.end ?? 0))))
    }

    var segments: [Segment] { state.withLock { $0.segments } }

    /// The segment of a name, sought from the newest one.
    ///
    /// Complexity: O(n) in the segments; O(1) for the one that was asked for last.
    func segment(named name: String) -> Segment? {
        state.withLock { state in
            let (segments, last) = (state.segments, state.lastFound)
            if last < segments.count, segments[last].name == name { return segments[last] }
            guard let found = segments.lastIndex(where: { $0.name == name }) else { return nil }
            state.lastFound = found
            return segments[found]
        }
    }

    func contains(_ sequence: UInt64) -> Bool {
        state.withLock { $0.segments.contains { $0.header.sequence == sequence } }
    }

    /// How far the log reaches, durably.
    var end: LogPosition { state.withLock { $0.end } }

    /// Whether everything up to a position is there, or was removed.
    func reaches(_ position: LogPosition) -> Bool {
        state.withLock { $0.segments.reach(position, $0.extent) }
    }

    func append(_ segment: Segment) {
        state.withLock { state in
            state.segments.append(segment)
            state.end = LogPosition(
                segment: segment.header.sequence, offset: UInt64(segment.end))
        }
    }

    func removeOldest(_ count: Int, before oldest: UInt64) {
        state.withLock { state in
            state.segments.removeFirst(count)
            state.extent.oldest = oldest
        }
    }

    /// The newest segment has grown.
    func setEnd(_ end: Int) {
        state.withLock { state in
            let newest = state.segments.count - 1
            guard newest >= 0 else { return }
            state.segments[newest].end = end
            state.end = LogPosition(
                segment: state.segments[newest].header.sequence, offset: UInt64(end))
        }
    }
}

/// Writes a log's segments: one thread at a time, which owns this value meanwhile.
struct LogWriter: Sendable {
    private struct Current: Sendable {
        let name: String
        let header: SegmentHeader
        let file: any StorageFile
        /// The mark behind the last record, which is flushed with the next ones.
        var markByteCount = 0
    }

    let medium: any StorageMedium
    let directory: String
    let options: FileWriteAheadLog.Options
    let catalogue: LogCatalogue
    private let lock: any StorageLock

    private var current: Current?
    private var nextSequence: UInt64
    /// The newest segment that was made, and how many of its bytes count.
    private var tip: (sequence: UInt64, end: Int)
    private var lastName: SegmentName?
    private var extent: LogExtent
    /// Files of cleaned segments that could not be removed.
    private var unremoved: [String] = []
    private var buffer: [UInt8] = []

    init(
        _ opening: LogOpening, _ medium: any StorageMedium, _ directory: String,
        _ options: FileWriteAheadLog.Options, _ catalogue: LogCatalogue, _ lock: any StorageLock
    ) {
        self.medium = medium
        self.lock = lock
        self.directory = directory
        self.options = options
        self.catalogue = catalogue
        nextSequence = opening.nextSequence
        extent = opening.extent
        tip = (opening.extent.newest, opening.segments.last?.end ?? 0)
    }

    // MARK: Writing

    /// How many of the first requests belong into one group: one segment, bounded in bytes.
    func groupCount(_ requests: ArraySlice<LogWriteRequest>) -> Int {
        guard let first = requests.first else { return 0 }
        let stop = canTake(first.time) ? current?.header.stop : nil
        let latest = stop ?? self.stop(of: first.time)
        var bytes = 0
        var count = 0
        for request in requests {
            bytes += RecordFrame.byteCount + request.byteCount
            let fits = bytes <= options.groupByteMaximum && request.time.milliseconds <= latest
            // Without the first one there would be no end to the groups.
            if count > 0, !fits { break }
            count += 1
        }
        return count
    }

    /// Writes and flushes a group, then tells its writers.
    mutating func write(_ group: ArraySlice<LogWriteRequest>) {
        switch writing(group) {
        case .success(let places):
            mark(options.closeFileAfterWrite ? .end : .durable)
            if options.closeFileAfterWrite { current = nil }
            for (request, place) in zip(group, places) {
                request.completion.complete(.success(place.handle))
            }
        case .failure(let failure):
            for request in group { request.completion.complete(.failure(failure)) }
        }
    }

    /// Makes a group durable; after a failure in another segment, as what a failed flush left
    /// behind is not known.
    private mutating func writing(
        _ group: ArraySlice<LogWriteRequest>
    ) -> Result<[RecordPlace], LogError> {
        guard let first = group.first else { return .success([]) }
        var failureCount = 0
        while true {
            do {
                if !canTake(first.time) { try startSegment(at: first.time) }
                return .success(try append(group))
            } catch {
                let failure = abandon(error)
                failureCount += 1
                // Somebody took the segment or the directory away, and what was in it: that is told
                // before the log goes on.
                let isGone = failure.storage?.code == .notFound
                if isGone || failureCount >= options.maxFailures { return .failure(failure) }
            }
        }
    }

    private func canTake(_ time: BatchTime) -> Bool {
        current.map { time.milliseconds <= $0.header.stop } ?? false
    }

    private func stop(of start: BatchTime) -> Int64 {
        (start + options.rollingInterval).milliseconds
    }

    private mutating func append(_ group: ArraySlice<LogWriteRequest>) throws -> [RecordPlace] {
        guard let current else { return [] }
        // The mark before them is flushed with these records, so it begins their group.
        let start = tip.end
        var offset = start + current.markByteCount
        var places: [RecordPlace] = []
        places.reserveCapacity(group.count)
        buffer.removeAll(keepingCapacity: buffer.capacity <= options.groupByteMaximum * 2)
        buffer.reserveCapacity(
            group.reduce(0) { $0 + RecordFrame.byteCount + $1.byteCount })
        for request in group {
            let frame = RecordFrame(
                offset: offset, recordByteCount: request.byteCount, groupStart: start,
                time: request.time, recordChecksum: request.checksum)
            let check = frame.append(to: &buffer, sequence: current.header.sequence)
            for part in request.parts { buffer += part }
            places.append(
                RecordPlace(
                    segment: current.name, offset: offset, byteCount: request.byteCount,
                    check: check))
            offset = frame.end
        }
        try current.file.append(buffer)
        try current.file.sync()
        current.file.willHardlyRead(start..<offset)
        tip.end = offset
        self.current?.markByteCount = 0
        catalogue.setEnd(offset)
        return places
    }

    /// Says in the segment that what is in it is durable.
    ///
    /// Damage to its last records is not taken for a torn write then. Costs no flush: the mark survives
    /// the end of the program.
    private mutating func mark(_ kind: RecordFrame.Kind) {
        guard let current else { return }
        buffer.removeAll(keepingCapacity: true)
        RecordFrame.mark(kind, at: tip.end + current.markByteCount)
            .append(to: &buffer, sequence: current.header.sequence)
        do {
            try current.file.append(buffer)
            self.current?.markByteCount += RecordFrame.byteCount
        } catch {
            // Part of it may be there.
            self.current = nil
        }
    }

    /// Leaves the segment in which something failed; the error for those who were to be in it.
    private mutating func abandon(_ error: any Error) -> LogError {
        let name = current?.name
        if let current {
            // Nothing hangs on it: the next segment says how many bytes of this one count.
            _ = try? current.file.truncate(to: tip.end)
            _ = try? current.file.sync()
        }
        current = nil
        let place = name.map { "\(directory)/\($0)" } ?? "a new segment in \(directory)"
        return LogError(
            .writeFailed,
            "the record could not be made durable in \(place): \(error); the next write starts"
                + " another segment", storage: error as? StorageError)
    }

    // MARK: Segments

    /// Makes a segment whose header and name are durable.
    private mutating func startSegment(at time: BatchTime) throws {
        // From here on the one before stays as its successor describes it, come what may.
        current = nil
        let header = SegmentHeader(
            sequence: nextSequence, start: time.milliseconds, stop: stop(of: time),
            previousSequence: tip.sequence, previousByteCount: tip.end,
            oldestSequence: catalogue.segments.first?.header.sequence ?? nextSequence)
        nextSequence += 1
        let (segmentName, file) = try createFile(header)
        let name = segmentName.text
        do {
            try file.append(header.bytes)
            try file.sync()
            try medium.syncDirectory(directory)
        } catch {
            _ = try? medium.remove(directory + "/" + name)
            throw error
        }
        // Should this fail, the file stays: nothing relies on it, but the extent may name it.
        try write(
            LogExtent(
                oldest: header.oldestSequence, newest: header.sequence,
                newestByteCount: SegmentHeader.byteCount, lostThrough: extent.lostThrough))
        lastName = segmentName
        tip = (header.sequence, SegmentHeader.byteCount)
        catalogue.append(Segment(name: name, header: header, end: tip.end))
        current = Current(name: name, header: header, file: file)
    }

    private mutating func write(_ extent: LogExtent) throws {
        try lock.check()
        try medium.replaceFile(directory + "/" + LogExtent.name, with: extent.bytes)
        self.extent = extent
    }

    /// Creates a file whose name is not taken.
    private mutating func createFile(
        _ header: SegmentHeader
    ) throws -> (name: SegmentName, file: any StorageFile) {
        var name = SegmentName(start: header.start, stop: header.stop)
        if let lastName, lastName.start == name.start, lastName.stop == name.stop {
            name.number = lastName.number + 1
        }
        try lock.check()
        while true {
            defer { name.number += 1 }
            do {
                return (name, try medium.open(directory + "/" + name.text, .createNew))
            } catch let error as StorageError where error.code == .alreadyThere {
                continue
            }
        }
    }

    /// Removes the oldest segments, as long as all their records are older than `threshold`; the one
    /// that is being written stays, as Spark's does.
    mutating func clean(before threshold: BatchTime) throws {
        let segments = catalogue.segments
        let old = segments.prefix { segment in
            segment.header.stop < threshold.milliseconds
                && segment.header.sequence != current?.header.sequence
        }
        if !old.isEmpty {
            let oldest = segments.dropFirst(old.count).first?.header.sequence ?? tip.sequence + 1
            // First, and durably: a segment that is gone without this is a loss.
            try write(
                LogExtent(
                    oldest: oldest, newest: tip.sequence, newestByteCount: tip.end,
                    lostThrough: extent.lostThrough))
            catalogue.removeOldest(old.count, before: oldest)
            unremoved += old.map(\.name)
        }
        if unremoved.isEmpty { return }
        while let name = unremoved.first {
            try medium.remove(directory + "/" + name)
            unremoved.removeFirst()
        }
        try medium.syncDirectory(directory)
    }

    /// Closes the current segment, and notes how far it reaches.
    mutating func close() {
        // All records are durable; without these the next start only knows a little less. The mark at
        // the end says that what is before it was flushed, the one before it as well.
        if let file = current?.file, (try? file.sync()) != nil {
            mark(.end)
            _ = try? file.sync()
        }
        current = nil
        let last = LogExtent(
            oldest: extent.oldest, newest: tip.sequence, newestByteCount: tip.end,
            lostThrough: extent.lostThrough)
        if last != extent { _ = try? write(last) }
    }
}
