/// The bytes of a simulated file: as they read, as they are durable, and the changes in between.
struct SimulatedBytes: Sendable {
    private enum Change: Sendable {
        case write(at: Int, [UInt8])
        case truncate(to: Int)
    }

    /// What a program reads.
    private(set) var bytes: [UInt8] = []
    private var durable: [UInt8] = []
    /// The changes since the last flush.
    private var pending: [Change] = []
    /// Writes that a failed flush has lost track of; later flushes do not reach them.
    private var lost: [Change] = []

    init() {}

    /// A file whose bytes are all durable.
    init(durable: [UInt8]) {
        bytes = durable
        self.durable = durable
    }

    mutating func append(_ more: [UInt8]) {
        pending.append(.write(at: bytes.count, more))
        bytes += more
    }

    mutating func truncate(to byteCount: Int) {
        pending.append(.truncate(to: byteCount))
        Self.apply(.truncate(to: byteCount), to: &bytes)
    }

    mutating func sync() {
        for change in pending {
            Self.apply(change, to: &durable)
            guard case .truncate(let end) = change else { continue }
            // What lies behind a durable end cannot come back.
            lost = lost.compactMap { change in
                guard case .write(let offset, let bytes) = change else { return change }
                return offset < end ? .write(at: offset, Array(bytes.prefix(end - offset))) : nil
            }
        }
        pending = []
    }

    mutating func lose() {
        lost += pending
        pending = []
    }

    /// The bytes after a crash: whatever the generator makes of the changes that are not durable.
    func afterCrash(
        sectorByteCount: Int, _ random: inout some RandomNumberGenerator
    ) -> [UInt8] {
        let changes = lost + pending
        var result = durable
        switch Int.random(in: 0..<5, using: &random) {
        case 0: break
        case 1: for change in changes { Self.apply(change, to: &result) }
        case 2: Self.applyTorn(changes, to: &result, &random)
        case let mode:
            for change in changes {
                Self.apply(
                    change, to: &result, sectorByteCount: sectorByteCount,
                    fillingWithRubbish: mode == 4, &random)
            }
        }
        return result
    }

    private static func apply(_ change: Change, to bytes: inout [UInt8]) {
        switch change {
        case .truncate(let count):
            if count < bytes.count { bytes.removeLast(bytes.count - count) }
        case .write(let offset, let more):
            extend(&bytes, to: offset + more.count)
            bytes.replaceSubrange(offset..<(offset + more.count), with: more)
        }
    }

    private static func extend(_ bytes: inout [UInt8], to count: Int) {
        if bytes.count < count { bytes += [UInt8](repeating: 0, count: count - bytes.count) }
    }

    /// Some of the changes, and a part of the next.
    private static func applyTorn(
        _ changes: [Change], to bytes: inout [UInt8], _ random: inout some RandomNumberGenerator
    ) {
        let whole = Int.random(in: 0...changes.count, using: &random)
        for change in changes.prefix(whole) { apply(change, to: &bytes) }
        guard whole < changes.count, case .write(let offset, let more) = changes[whole] else {
            return
        }
        let part = Int.random(in: 0...more.count, using: &random)
        apply(.write(at: offset, Array(more.prefix(part))), to: &bytes)
    }

    /// Some sectors of a change, in whatever order they reached the disk.
    private static func apply(
        _ change: Change, to bytes: inout [UInt8], sectorByteCount: Int,
        fillingWithRubbish: Bool, _ random: inout some RandomNumberGenerator
    ) {
        guard case .write(let offset, let more) = change else {
            if Bool.random(using: &random) { apply(change, to: &bytes) }
            return
        }
        var kept: [Range<Int>] = []
        var start = 0
        while start < more.count {
            // Sectors are those of the file, not of the write.
            let sectorEnd = ((offset + start) / sectorByteCount + 1) * sectorByteCount
            let end = min(more.count, sectorEnd - offset)
            if Bool.random(using: &random) { kept.append(start..<end) }
            start = end
        }
        guard let last = kept.last else { return }
        let oldCount = bytes.count
        extend(&bytes, to: offset + last.upperBound)
        if fillingWithRubbish, oldCount < bytes.count {
            for place in oldCount..<bytes.count {
                bytes[place] = UInt8.random(in: 0...255, using: &random)
            }
        }
        for range in kept {
            apply(.write(at: offset + range.lowerBound, Array(more[range])), to: &bytes)
        }
    }
}
