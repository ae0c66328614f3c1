internal import DStreamCore

/// What is found in a log's directory when it is opened, brought in order.
///
/// The extent says which segments there are, and every segment names the one before it and how many
/// of its bytes count, so a segment that lost records, or is missing, is noticed; so is which
/// segments never came to be. Only the last segment has to be read to find its end. Nothing is
/// changed before all has been looked at.
struct LogOpening: Sendable {
    /// The segments, oldest first.
    private(set) var segments: [Segment] = []
    private(set) var nextSequence: UInt64 = 1
    private(set) var extent = LogExtent.empty

    private let medium: any StorageMedium
    private let directory: String
    /// Files that are no segments: their creation or their removal was interrupted.
    private var leftovers: [String] = []
    private var byteCounts: [String: Int] = [:]
    /// Whether the log is one without extent.
    private var isOfFirstVersion = false

    /// Bytes of the last segment behind the records that count.
    private(set) var tornByteCount = 0

    /// Reads a directory.
    ///
    /// - Parameters:
    ///   - mending: whether to bring it in order, too; it must be locked then.
    ///   - reliedOn: how far the log has reached for sure; one of them is enough, and while there
    ///     is one that it does not reach, nothing is cut.
    ///   - number: the lowest number of the next segment.
    /// - Throws: `LogError` `.damaged` or `.unsupported`, or what the medium throws.
    init(
        _ medium: any StorageMedium, _ directory: String, mending: Bool = true,
        reliedOn: [LogPosition] = [], numberingFrom number: UInt64 = 1
    ) throws {
        self.medium = medium
        self.directory = directory
        let before = try LogExtent.read(in: directory, medium)
        // Opened, a directory that is gone would have been made.
        let found = try headers(orNone: !mending)
        // A program at work has made or removed a segment meanwhile: its reader looks again.
        if !mending, try LogExtent.read(in: directory, medium) != before {
            throw StorageError(.notFound, "open", directory, "the log is being changed")
        }
        try check(before, found, reliedOn)
        nextSequence = max(nextSequence, number)
        try chain(found)
        try checkLengths()
        try endLast(mending: mending, reliedOn)
        if !mending { return }
        if before == nil { try medium.replaceFile(path(LogExtent.name), with: extent.bytes) }
        for name in leftovers { try medium.remove(path(name)) }
        // Names that an interrupted program left unflushed become durable before they are relied on.
        try medium.syncDirectory(directory)
    }

    /// Whether the log has everything up to a position.
    func reaches(_ position: LogPosition) -> Bool {
        segments.reach(position, extent)
    }

    private func path(_ name: String) -> String { directory + "/" + name }

    private func names(orNone mayBeMissing: Bool) throws -> [String] {
        do { return try medium.list(directory) } catch let error as StorageError
            where mayBeMissing && error.code == .notFound
        {
            return []
        }
    }

    private mutating func headers(
        orNone mayBeMissing: Bool
    ) throws -> [(name: String, header: SegmentHeader)] {
        var found: [(name: String, header: SegmentHeader)] = []
        for name in try names(orNone: mayBeMissing) where name.hasPrefix(SegmentName.prefix) {
            guard let parsed = SegmentName(name) else {
                throw LogError(
                    .unsupported,
                    "\(path(name)): no segment of a log is called that; expected log-START-STOP")
            }
            let file = try medium.open(path(name), .read)
            let byteCount = try file.byteCount()
            byteCounts[name] = byteCount
            // A newer version's header may be longer; a kilobyte is more than any will have.
            switch SegmentHeader.read(try file.read(at: 0, count: min(1024, byteCount))) {
            case .otherVersion(let version):
                throw LogError(
                    .unsupported,
                    "\(path(name)): written in format version \(version); this program knows"
                        + " version \(SegmentHeader.version)")
            case .broken where byteCount <= SegmentHeader.byteCount:
                // Records follow only once the header is durable.
                leftovers.append(name)
            case .broken:
                throw LogError.damaged(
                    path(name), at: 0, expected: "the header of a segment",
                    found: "\(byteCount) bytes that begin otherwise")
            case .valid(let header):
                guard header.start == parsed.start, header.stop == parsed.stop else {
                    throw LogError.damaged(
                        path(name), at: 0, expected: "the header of a segment of that name",
                        found: "the one from \(header.start) to \(header.stop)")
                }
                found.append((name, header))
            }
        }
        return found.sorted { ($0.header.sequence, $0.name) < ($1.header.sequence, $1.name) }
    }

    /// Settles which segments must be there.
    private mutating func check(
        _ known: LogExtent?, _ found: [(name: String, header: SegmentHeader)],
        _ reliedOn: [LogPosition]
    ) throws {
        nextSequence = max(found.last?.header.sequence ?? 0, known?.newest ?? 0) + 1
        if let known {
            extent = known
        } else if let newest = found.last?.header {
            guard found.allSatisfy({ $0.header.version == 1 }) else {
                throw LogError.damaged(
                    path(LogExtent.name), at: 0, expected: "which segments the log has",
                    found: "no such file beside \(found.count) segments")
            }
            isOfFirstVersion = true
            extent = LogExtent(
                oldest: newest.oldestSequence, newest: newest.sequence, newestByteCount: 0)
        } else if !reliedOn.isEmpty {
            throw LogError.damaged(
                directory, at: 0, expected: "the log that a checkpoint relies on",
                found: "neither \(LogExtent.name) nor a segment")
        }
    }

    /// Follows the links from the newest segment to the oldest.
    private mutating func chain(_ found: [(name: String, header: SegmentHeader)]) throws {
        var (sequence, end) = (extent.newest, 0)
        for (name, header) in found.reversed() {
            guard header.sequence == sequence, sequence >= extent.oldest else {
                // Not in the chain: it was cleaned, or its creation failed and it has no records.
                if header.sequence < extent.oldest
                    || byteCounts[name, default: 0] <= SegmentHeader.byteCount
                {
                    leftovers.append(name)
                    continue
                }
                throw missing(sequence, "\(name), which is number \(header.sequence)")
            }
            segments.append(Segment(name: name, header: header, end: end))
            (sequence, end) = (header.previousSequence, header.previousByteCount)
        }
        segments.reverse()
        if isOfFirstVersion, let first = segments.first {
            // It did not note what was removed since the newest segment was made.
            extent.oldest = first.header.sequence
        } else if sequence >= extent.oldest {
            throw missing(sequence, "no file of that number")
        }
    }

    private func missing(_ sequence: UInt64, _ found: String) -> LogError {
        let place = segments.last.map { "before \($0.name)" } ?? "as the newest one"
        return LogError.damaged(
            directory, at: 0, expected: "segment number \(sequence) \(place)", found: found)
    }

    private func checkLengths() throws {
        for segment in segments.dropLast() {
            let byteCount = byteCounts[segment.name, default: 0]
            guard byteCount < segment.end else { continue }
            throw LogError.damaged(
                path(segment.name), at: byteCount, expected: "\(segment.end) bytes in the segment",
                found: "its end")
        }
    }

    /// Finds the end of the last segment; to mend it, cuts what follows and makes durable what stays.
    private mutating func endLast(mending: Bool, _ reliedOn: [LogPosition]) throws {
        guard let last = segments.indices.last else {
            return try checkEnd("none", 0, 0, reliedOn)
        }
        let segment = segments[last]
        let byteCount = byteCounts[segment.name, default: 0]
        let file = try medium.open(path(segment.name), mending ? .append : .read)
        var scan = SegmentScan(
            file, path: path(segment.name), sequence: segment.header.sequence,
            byteCount: byteCount)
        let outcome = try scan.end()
        segments[last].end = outcome.end
        tornByteCount = byteCount - outcome.intactEnd
        try checkEnd(segment.name, outcome.end, byteCount, reliedOn)
        if outcome.isClosed || !mending || !reliedOn.allSatisfy(reaches) { return }
        if tornByteCount > 0 { try file.truncate(to: outcome.intactEnd) }
        // The program that wrote it may have ended before it flushed it.
        try file.sync()
        if outcome.isProven || segment.header.version == 1 { return }
        var mark: [UInt8] = []
        RecordFrame.mark(.durable, at: outcome.intactEnd)
            .append(to: &mark, sequence: segment.header.sequence)
        try file.append(mark)
    }

    /// Compares the end that was found with what is known to have been durable.
    private func checkEnd(
        _ name: String, _ end: Int, _ byteCount: Int, _ reliedOn: [LogPosition]
    ) throws {
        func lost(through offset: Int, _ by: String) -> LogError {
            LogError.damaged(
                path(name), at: end, expected: "records up to byte \(offset), \(by)",
                found: byteCount < offset
                    ? "the file's end at byte \(byteCount)"
                    : "bytes with a wrong checksum or length")
        }
        if !segments.isEmpty, end < extent.newestByteCount {
            throw lost(through: extent.newestByteCount, "as \(path(LogExtent.name)) says")
        }
        guard !reliedOn.isEmpty, !reliedOn.contains(where: reaches) else { return }
        let needed = reliedOn.filter { $0.segment == segments.last?.header.sequence }
            .map { Int(clamping: $0.offset) }.min()
        guard let needed else {
            let numbers = reliedOn.map(\.segment).max() ?? 0
            throw LogError.damaged(
                directory, at: 0,
                expected: "segment number \(numbers), on which a checkpoint relies",
                found: "\(name) as the newest one")
        }
        throw lost(through: needed, "on which a checkpoint relies")
    }
}

extension [Segment] {
    /// Whether these segments have everything up to a position.
    func reach(_ position: LogPosition, _ extent: LogExtent) -> Bool {
        let isInSegment = position.segment > 0
        if isInSegment, position.segment <= extent.lostThrough { return false }
        if position.segment < extent.oldest { return true }
        guard let segment = last(where: { $0.header.sequence == position.segment }) else {
            return false
        }
        return UInt64(segment.end) >= position.offset
    }
}
