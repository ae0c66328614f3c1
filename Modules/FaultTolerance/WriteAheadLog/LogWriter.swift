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
    }

    private let state: Locked<State>

    init(_ segments: [Segment]) { state = Locked(State(segments: segments)) }

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

    func append(_ segment: Segment) { state.withLock { $0.segments.append(segment) } }

    func removeOldest() { state.withLock { state in _ = state.segments.removeFirst() } }

    /// The newest segment has grown.
    func setEnd(_ end: Int) {
        state.withLock { state in
            let newest = state.segments.count - 1
            if newest >= 0 { state.segments[newest].end = end }
        }
    }
}

/// Writes a log's segments: one thread at a time, which owns this value meanwhile.
struct LogWriter: Sendable {
    private struct Current: Sendable {
        let name: String
        let header: SegmentHeader
        let file: any StorageFile
    }

    let medium: any StorageMedium
    let directory: String
    let options: FileWriteAheadLog.Options
    let catalogue: LogCatalogue

    private var current: Current?
    private var nextSequence: UInt64
    /// The newest segment that was made, and how many of its bytes count.
    private var tip: (sequence: UInt64, end: Int)
    private var lastName: SegmentName?
    /// Whether a removal may not be durable, which removing more would turn into a gap.
    private var mayNotClean = false
    private var buffer: [UInt8] = []

    init(
        _ opening: LogOpening, _ medium: any StorageMedium, _ directory: String,
        _ options: FileWriteAheadLog.Options, _ catalogue: LogCatalogue
    ) {
        self.medium = medium
        self.directory = directory
        self.options = options
        self.catalogue = catalogue
        nextSequence = opening.nextSequence
        tip = opening.segments.last.map { ($0.header.sequence, $0.end) } ?? (0, 0)
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
        let start = tip.end
        var offset = start
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
        catalogue.setEnd(offset)
        return places
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
        lastName = segmentName
        mayNotClean = false
        tip = (header.sequence, SegmentHeader.byteCount)
        catalogue.append(Segment(name: name, header: header, end: tip.end))
        current = Current(name: name, header: header, file: file)
    }

    /// Creates a file whose name is not taken.
    private mutating func createFile(
        _ header: SegmentHeader
    ) throws -> (name: SegmentName, file: any StorageFile) {
        var name = SegmentName(start: header.start, stop: header.stop)
        if let lastName, lastName.start == name.start, lastName.stop == name.stop {
            name.number = lastName.number + 1
        }
        while true {
            defer { name.number += 1 }
            do {
                return (name, try medium.open(directory + "/" + name.text, .createNew))
            } catch let error as StorageError where error.code == .alreadyThere {
                continue
            }
        }
    }

    /// Removes the oldest segments, as long as all their records are older than `threshold`.
    ///
    /// After a failure nothing more is removed until a new segment says which is the oldest.
    mutating func clean(before threshold: BatchTime) throws {
        while !mayNotClean, let segment = catalogue.segments.first,
            segment.header.stop < threshold.milliseconds
        {
            if segment.header.sequence == current?.header.sequence { current = nil }
            try medium.remove(directory + "/" + segment.name)
            catalogue.removeOldest()
            // One by one: after a crash the segments left have no gap, which would look like a loss.
            mayNotClean = true
            try medium.syncDirectory(directory)
            mayNotClean = false
        }
    }

    /// Closes the current segment, so that damage at its end is not taken for a torn write.
    mutating func close() {
        guard let current else { return }
        buffer.removeAll()
        RecordFrame.end(at: tip.end).append(to: &buffer, sequence: current.header.sequence)
        // All records are durable; without the mark the next start only knows a little less.
        _ = try? current.file.append(buffer)
        _ = try? current.file.sync()
        self.current = nil
    }
}
