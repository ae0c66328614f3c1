/// What is found in a log's directory when it is opened, brought in order.
///
/// Every segment names the one before it and how many of its bytes count, so a segment that lost
/// records, or is missing, is noticed; so is which segments never came to be. Only the last
/// segment has to be read to find its end. Nothing is changed before all has been looked at.
struct LogOpening: Sendable {
    /// The segments, oldest first.
    private(set) var segments: [Segment] = []
    private(set) var nextSequence: UInt64 = 1

    private let medium: any StorageMedium
    private let directory: String
    /// Files that are no segments: their creation or their removal was interrupted.
    private var leftovers: [String] = []
    private var byteCounts: [String: Int] = [:]

    /// Bytes of the last segment behind the records that count.
    private(set) var tornByteCount = 0

    /// Reads a directory.
    ///
    /// - Parameter mending: whether to bring it in order, too; it must be locked then.
    /// - Throws: `LogError` `.damaged` or `.unsupported`, or what the medium throws.
    init(_ medium: any StorageMedium, _ directory: String, mending: Bool = true) throws {
        self.medium = medium
        self.directory = directory
        try chain(try headers())
        try checkLengths()
        try endLast(mending: mending)
        if !mending { return }
        for name in leftovers { try medium.remove(path(name)) }
        // Names that an interrupted program left unflushed become durable before they are relied on.
        try medium.syncDirectory(directory)
    }

    private func path(_ name: String) -> String { directory + "/" + name }

    private mutating func headers() throws -> [(name: String, header: SegmentHeader)] {
        var found: [(name: String, header: SegmentHeader)] = []
        for name in try medium.list(directory) where name.hasPrefix(SegmentName.prefix) {
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

    /// Follows the links from the newest segment to the oldest.
    private mutating func chain(_ found: [(name: String, header: SegmentHeader)]) throws {
        guard let newest = found.last else { return }
        nextSequence = newest.header.sequence + 1
        var (sequence, end) = (newest.header.sequence, 0)
        for (name, header) in found.reversed() {
            guard header.sequence == sequence else {
                // Not in the chain: it was cleaned, or its creation failed and it has no records.
                if header.sequence < newest.header.oldestSequence
                    || byteCounts[name, default: 0] <= SegmentHeader.byteCount
                {
                    leftovers.append(name)
                    continue
                }
                throw LogError.damaged(
                    directory, at: 0,
                    expected: "segment number \(sequence) before"
                        + " \(segments.last?.name ?? name)",
                    found: "\(name), which is number \(header.sequence)")
            }
            segments.append(Segment(name: name, header: header, end: end))
            (sequence, end) = (header.previousSequence, header.previousByteCount)
        }
        segments.reverse()
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
    private mutating func endLast(mending: Bool) throws {
        guard let last = segments.indices.last else { return }
        let segment = segments[last]
        let byteCount = byteCounts[segment.name, default: 0]
        let file = try medium.open(path(segment.name), mending ? .append : .read)
        var scan = SegmentScan(
            file, path: path(segment.name), sequence: segment.header.sequence,
            byteCount: byteCount)
        let outcome = try scan.end()
        segments[last].end = outcome.end
        tornByteCount = outcome.isClosed ? 0 : byteCount - outcome.end
        if outcome.isClosed || !mending { return }
        if outcome.end < byteCount { try file.truncate(to: outcome.end) }
        // The program that wrote it may have ended before it flushed it.
        try file.sync()
    }
}
