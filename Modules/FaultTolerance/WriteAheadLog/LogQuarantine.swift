package import DStreamCore

extension FileWriteAheadLog {
    /// Quarantines the files of a log that cannot be read: it begins anew beside them.
    ///
    /// Its segments are numbered on, and what relied on the old ones is not reached: an older
    /// checkpoint does not take the new log for the one that it knew. A crash in between leaves a log
    /// that cannot be read, either.
    ///
    /// - Parameter reliedOn: how far a checkpoint relies on the log.
    /// - Returns: the files' new paths.
    package static func quarantine(
        _ directory: String, reliedOn: LogPosition?, on medium: some StorageMedium
    ) async throws -> [String] {
        try await medium.perform { medium in
            var lost = reliedOn?.segment ?? 0
            // One that cannot be read says nothing, and goes like the others.
            if let extent = try? LogExtent.read(in: directory, medium) {
                lost = max(lost, extent.newest, extent.lostThrough)
            }
            var quarantine = LogQuarantine(directory, names: try medium.list(directory))
            for name in quarantine.segments {
                lost = max(lost, try number(of: directory + "/" + name, medium) ?? 0)
                try quarantine.move(name, medium)
            }
            // Last, and replaced: as long as it names segments that are gone, nobody takes the
            // directory for a new log.
            if quarantine.hasExtent { try quarantine.copyExtent(medium) }
            try medium.syncDirectory(directory)
            let anew = LogExtent(
                oldest: lost + 2, newest: lost + 1, newestByteCount: 0, lostThrough: lost)
            try medium.replaceFile(directory + "/" + LogExtent.name, with: anew.bytes)
            return quarantine.paths
        }
    }

    /// The number of a segment; nil: its header cannot be read.
    private static func number(of path: String, _ medium: some StorageMedium) throws -> UInt64? {
        let file = try medium.open(path, .read)
        let bytes = try file.read(
            at: 0, count: min(SegmentHeader.byteCount, try file.byteCount()))
        guard case .valid(let header) = SegmentHeader.read(bytes) else { return nil }
        return header.sequence
    }
}

/// Where the files of a log go that cannot be read.
private struct LogQuarantine {
    private let directory: String
    private var names: Set<String>
    /// The new paths.
    private(set) var paths: [String] = []

    init(_ directory: String, names: [String]) {
        self.directory = directory
        self.names = Set(names)
    }

    var segments: [String] { names.filter { $0.hasPrefix(SegmentName.prefix) }.sorted() }

    var hasExtent: Bool { names.contains(LogExtent.name) }

    /// Moves a file.
    mutating func move(_ name: String, _ medium: some StorageMedium) throws {
        try medium.rename(directory + "/" + name, to: freePath(name))
    }

    /// Keeps the extent, which is replaced next.
    mutating func copyExtent(_ medium: some StorageMedium) throws {
        let path = directory + "/" + LogExtent.name
        guard let bytes = try? medium.readAll(path, maximum: 1 << 12) else {
            return try move(LogExtent.name, medium)
        }
        try medium.replaceFile(freePath(LogExtent.name), with: bytes)
    }

    /// A path that no earlier quarantine has taken.
    private mutating func freePath(_ name: String) -> String {
        let first = "quarantined-" + name
        var target = first
        var number = 1
        while !names.insert(target).inserted {
            number += 1
            target = first + ".\(number)"
        }
        paths.append(directory + "/" + target)
        return directory + "/" + target
    }
}
