internal import BatchEngine
public import DStreamCore
internal import Synchronization

/// A log in files, which survives crashes of program and machine.
///
/// Records lie in *segments*, files called `log-START-STOP` in milliseconds: a segment takes records
/// up to its stop, a rolling interval after the time of its first. Docs/Formats/WriteAheadLog.md has
/// the bytes.
///
/// ## Durability
/// ``write(_:time:)`` returns once the record is flushed (`fdatasync`), also the segment's name.
/// Records of concurrent writers are flushed together: while one group is on its way to the disk,
/// the next gathers. A record that was acknowledged is given back by all later reads, in this
/// program and after any restart, until it is cleaned. One whose write failed, or that was under
/// way in a crash, may be given back, too. Records are given back in the order of their writing;
/// each byte is checked.
///
/// After a failure the segment is left, and the group is written into another one; after several
/// failures its writers get the error. What was left behind in a segment is never given back.
///
/// ## Isolation
/// May be used from any task. Disk calls are made on threads of their own. Memory is bounded by
/// what the suspended writers hold and one group.
///
/// ## Cancellation
/// Nothing here is cut short by cancellation: a write that has begun is durable or has failed when
/// it returns.
public final class FileWriteAheadLog: WriteAheadLog {
    /// How a log is written.
    public struct Options: Sendable, Hashable {
        /// How long a segment takes records, by their times; Spark's `rollingIntervalSecs`.
        public var rollingInterval: Duration
        /// Whether each group of records gets a segment of its own, for media on which a file is
        /// safe only once closed; Spark's `closeFileAfterWrite`.
        public var closeFileAfterWrite: Bool
        /// The bytes that are gathered into one write, at least one record; 1 to 2^30.
        public var groupByteMaximum: Int
        /// The longest record that is taken, in bytes; 1 to 2^30.
        public var recordByteMaximum: Int
        /// How often writing a group may fail before its writers hear of it, each time in another
        /// segment; at least 1.
        ///
        /// Spark's `maxFailures`.
        public var maxFailures: Int

        /// Makes options; numbers outside their bounds are moved to them.
        public init(
            rollingInterval: Duration = .seconds(60), closeFileAfterWrite: Bool = false,
            groupByteMaximum: Int = 4 << 20, recordByteMaximum: Int = 1 << 28,
            maxFailures: Int = 3
        ) {
            self.rollingInterval = max(rollingInterval, .zero)
            self.closeFileAfterWrite = closeFileAfterWrite
            self.groupByteMaximum = min(max(1, groupByteMaximum), 1 << 30)
            self.recordByteMaximum = min(max(1, recordByteMaximum), 1 << 30)
            self.maxFailures = max(1, maxFailures)
        }
    }

    fileprivate enum Command: Sendable {
        case write(LogWriteRequest)
        case clean(BatchTime, UnsafeContinuation<Void, any Error>)
        case close(UnsafeContinuation<Void, Never>)
    }

    private struct State: Sendable {
        var queue: [Command] = []
        /// Absent while a thread works through the queue.
        var writer: LogWriter?
        var isClosed = false
    }

    /// The directory with the segments.
    public let directory: String
    /// How the log is written.
    public let options: Options

    /// How many bytes of the last segment were no whole records when the log was opened.
    ///
    /// They are what an interrupted write leaves; a record of the last group that was damaged before
    /// a checkpoint relied on it looks alike.
    public let cutByteCount: Int
    /// The last segment that was there when the log was opened; nil: there was none.
    package let lastSegment: String?

    private let medium: any StorageMedium
    private let lock: any StorageLock
    private let catalogue: LogCatalogue
    private let state: Locked<State>

    private init(
        _ opening: LogOpening, _ lock: any StorageLock, _ medium: any StorageMedium,
        _ directory: String, _ options: Options
    ) {
        self.directory = directory
        self.options = options
        self.medium = medium
        self.lock = lock
        cutByteCount = opening.tornByteCount
        lastSegment = opening.segments.last?.name
        catalogue = LogCatalogue(opening)
        let writer = LogWriter(opening, medium, directory, options, catalogue, lock)
        state = Locked(State(writer: writer))
    }

    /// Opens the log in a directory, which is created when missing, and mends what a crash left.
    ///
    /// Records that were being written at the crash are cut off. The last segment is read, of the
    /// others the first bytes: time is that of reading one segment.
    ///
    /// - Parameters:
    ///   - directory: the log's own; other files in it are left alone.
    ///   - medium: where the directory is.
    ///   - options: how to write; they may differ from one opening to the next.
    ///   - reliedOn: how far the log reached when checkpoints were written; it must reach one of
    ///     these. While there is one that it does not reach, nothing is cut.
    /// - Throws: ``LogError`` `.locked` while another log has the directory open, `.damaged` or
    ///   `.unsupported`, then nothing was changed; or ``StorageError``.
    public static func open(
        _ directory: String, on medium: some StorageMedium = FileStorageMedium(),
        options: Options = Options(), reliedOn: [LogPosition] = []
    ) async throws -> FileWriteAheadLog {
        try await open(
            directory, on: medium, options: options, reliedOn: reliedOn, numberingFrom: 1)
    }

    /// Opens the log in a directory.
    ///
    /// - Parameter number: the lowest number of a segment that is made: where segments were lost,
    ///   one above theirs.
    package static func open(
        _ directory: String, on medium: some StorageMedium, options: Options,
        reliedOn: [LogPosition], numberingFrom number: UInt64
    ) async throws -> FileWriteAheadLog {
        try await medium.perform { medium in
            try medium.createDirectories(directory)
            let lock: any StorageLock
            do {
                lock = try medium.lock(directory + "/lock", for: "a log")
            } catch let error as StorageError where error.code == .locked {
                throw LogError(
                    .locked, "the log in \(directory) is open already: \(error.message)",
                    storage: error)
            }
            do {
                let opening = try LogOpening(
                    medium, directory, reliedOn: reliedOn, numberingFrom: number)
                return FileWriteAheadLog(opening, lock, medium, directory, options)
            } catch {
                lock.release()
                throw error
            }
        }
    }

    // MARK: Writing

    /// Appends a record; returns once it is durable.
    ///
    /// - Parameters:
    ///   - record: the bytes, of any length up to that of the options.
    ///   - time: decides on the segment, in whole milliseconds.
    /// - Throws: ``LogError`` `.closed`, `.recordTooLarge`, or `.writeFailed` when the medium failed:
    ///   the record may be found after a restart or not.
    @discardableResult
    public func write(_ record: [UInt8], time: BatchTime) async throws -> LogRecordHandle {
        try await write(parts: [record], time: time)
    }

    /// ``write(_:time:)`` of a record in parts that follow one another, which are not copied before
    /// the group they are written with.
    @discardableResult
    public func write(parts: [[UInt8]], time: BatchTime) async throws -> LogRecordHandle {
        try await withUnsafeThrowingContinuation { continuation in
            enqueue(LogWriteRequest(parts: parts, time: time, completion: .task(continuation)))
        }
    }

    /// Appends a record and calls back, on a thread that writes the log, once it is durable or failed.
    ///
    /// Unlike ``write(_:time:)`` it holds nobody back.
    package func enqueue(
        _ record: [UInt8], time: BatchTime,
        completion: @escaping @Sendable (Result<LogRecordHandle, any Error>) -> Void
    ) {
        enqueue(LogWriteRequest(parts: [record], time: time, completion: .callback(completion)))
    }

    private func enqueue(_ request: LogWriteRequest) {
        guard request.byteCount <= options.recordByteMaximum else {
            let error = LogError(
                .recordTooLarge,
                "a record of \(request.byteCount) bytes; the log takes at most"
                    + " \(options.recordByteMaximum)")
            return request.completion.complete(.failure(error))
        }
        send(.write(request))
    }

    /// Removes segments all of whose records are older than `threshold`, oldest first.
    ///
    /// Ends at the first segment that has to stay. A segment's stop counts for its records.
    /// Costs a flush of the directory per segment.
    ///
    /// - Throws: ``LogError`` `.closed`, or ``StorageError``; some segments may have been removed.
    public func clean(before threshold: BatchTime) async throws {
        try await withUnsafeThrowingContinuation { continuation in
            send(.clean(threshold, continuation))
        }
    }

    /// Ends the log after everything asked for before; later writes throw `.closed`.
    ///
    /// Gives the directory free for another one. Reads go on to work on what was there.
    public func close() async {
        await withUnsafeContinuation { continuation in send(.close(continuation)) }
    }

    // MARK: Reading

    /// The record behind `handle`, checked.
    ///
    /// - Throws: ``LogError`` `.missing` or `.damaged`, or ``StorageError``.
    public func read(_ handle: LogRecordHandle) async throws -> [UInt8] {
        guard let place = RecordPlace(handle),
            let segment = catalogue.segment(named: place.segment),
            place.byteCount <= segment.end - RecordFrame.byteCount - place.offset
        else { throw LogError.missing(handle, in: directory) }
        var one = segment
        one.end = place.offset + RecordFrame.byteCount + place.byteCount
        let reader = SegmentReader(
            one, from: place.offset, in: directory, of: medium,
            isLive: { [catalogue] in catalogue.contains($0.header.sequence) })
        let records = try await medium.perform { _ in
            var reader = reader
            return try reader.next(byteMaximum: RecordFrame.byteCount + place.byteCount)
        }
        guard let record = records.first, record.handle == handle else {
            throw LogError.missing(handle, in: directory)
        }
        return record.bytes
    }

    /// The stop of the record's segment; nil when there is none.
    ///
    /// Complexity: O(n) in the segments, from the newest one.
    public func cleaningThreshold(keeping handle: LogRecordHandle) -> BatchTime? {
        RecordPlace(handle).flatMap { catalogue.segment(named: $0.segment) }
            .map { BatchTime(milliseconds: $0.header.stop) }
    }

    /// How far the log reaches: what was acknowledged lies before.
    public var end: LogPosition? { catalogue.end }

    /// How many bytes lie behind all of some records, or behind a position when there are none.
    package func byteCount(after handles: [LogRecordHandle], or position: LogPosition?) -> Int {
        let segments = catalogue.segments
        let indices = Dictionary(
            segments.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { $1 })
        var (index, end) = (-1, 0)
        for place in handles.compactMap(RecordPlace.init) {
            guard let found = indices[place.segment] else { continue }
            let next = (found, place.offset + RecordFrame.byteCount + place.byteCount)
            if (index, end) < next { (index, end) = next }
        }
        if index < 0, let position,
            let found = segments.lastIndex(where: { $0.header.sequence <= position.segment })
        {
            (index, end) = (found, Int(clamping: position.offset))
        }
        if index < 0 { return 0 }
        return segments[index...].reduce(0) { sum, segment in
            defer { end = SegmentHeader.byteCount }
            return sum + max(0, segment.end - end)
        }
    }

    /// Whether the log has everything up to a position, apart from what was cleaned.
    ///
    /// Complexity: O(n) in the segments, from the newest one.
    public func reaches(_ position: LogPosition) -> Bool { catalogue.reaches(position) }

    /// All records that were not cleaned, in the order they were written.
    ///
    /// Takes memory for all of them; ``records()`` does not.
    ///
    /// - Throws: ``LogError`` `.damaged`, or ``StorageError``.
    public func readAll() async throws -> [[UInt8]] {
        var all: [[UInt8]] = []
        for try await record in records() { all.append(record.bytes) }
        return all
    }

    /// The records that are durable when iteration begins, in the order they were written.
    ///
    /// Holds about a megabyte of them at a time, or a longer record. Segments that are cleaned
    /// during the iteration may or may not come.
    public func records() -> LogRecords {
        LogRecords(medium: medium, directory: directory, catalogue: catalogue)
    }

    // MARK: The queue

    private func send(_ command: Command) {
        let (isRefused, writer): (Bool, LogWriter?) = state.withLock { state in
            if state.isClosed, !command.isClose { return (true, nil) }
            if command.isClose { state.isClosed = true }
            state.queue.append(command)
            defer { state.writer = nil }
            return (false, state.writer)
        }
        if isRefused { return command.fail(LogError(.closed, "the log was closed")) }
        guard let writer else { return }
        do {
            try BlockingThreads.shared.submit { self.work(writer) }
        } catch {
            refuseAll(writer, error)
        }
    }

    /// Works through the queue until it is empty.
    private func work(_ writer: LogWriter) {
        var writer = writer
        while let commands = nextCommands(else: writer) {
            perform(commands, &writer)
        }
    }

    private func nextCommands(else writer: LogWriter) -> [Command]? {
        state.withLock { state in
            if state.queue.isEmpty {
                state.writer = writer
                return nil
            }
            defer { state.queue = [] }
            return state.queue
        }
    }

    private func perform(_ commands: [Command], _ writer: inout LogWriter) {
        var requests: [LogWriteRequest] = []
        for command in commands {
            if case .write(let request) = command {
                requests.append(request)
                continue
            }
            writeAll(&requests, &writer)
            switch command {
            case .write: break
            case .clean(let threshold, let continuation):
                continuation.resume(with: Result { try writer.clean(before: threshold) })
            case .close(let continuation):
                writer.close()
                lock.release()
                continuation.resume()
            }
        }
        writeAll(&requests, &writer)
    }

    private func writeAll(_ requests: inout [LogWriteRequest], _ writer: inout LogWriter) {
        var rest = requests[...]
        while !rest.isEmpty {
            let count = writer.groupCount(rest)
            writer.write(rest.prefix(count))
            rest.removeFirst(count)
        }
        requests = []
    }

    /// Without a thread to be had nothing can be written.
    private func refuseAll(_ writer: LogWriter, _ error: SystemError) {
        let commands = state.withLock { state in
            state.writer = writer
            defer { state.queue = [] }
            return state.queue
        }
        let failure = LogError(.writeFailed, "\(error)", storage: StorageError(error))
        for command in commands {
            if command.isClose { lock.release() }
            command.fail(failure)
        }
    }
}

extension FileWriteAheadLog.Command {
    fileprivate var isClose: Bool {
        if case .close = self { return true }
        return false
    }

    /// Ends it with an error; a close just ends.
    fileprivate func fail(_ error: LogError) {
        switch self {
        case .write(let request): request.completion.complete(.failure(error))
        case .clean(_, let continuation): continuation.resume(throwing: error)
        case .close(let continuation): continuation.resume()
        }
    }
}

extension LogError {
    fileprivate static func missing(_ handle: LogRecordHandle, in directory: String) -> LogError {
        LogError(.missing, "\(directory): no record at \(handle.place)")
    }
}
