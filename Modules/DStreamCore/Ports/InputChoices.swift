internal import BatchEngine

/// What an input stream chose for one batch.
public struct InputChoice: Sendable, Hashable {
    /// What the bytes are.
    public enum Kind: UInt8, Sendable, Hashable {
        /// Not known: an earlier version wrote them.
        case unknown = 0
        /// An array of paths: earlier versions wrote them.
        case files = 1
        /// An array of ``OffsetRange``.
        case offsets = 2
        /// Partitions with which the batch could not go on, an array of ``OffsetRange``: where each
        /// ended, and where earlier batches had ended.
        case lostOffsets = 3
        /// Nothing: the stream gave elements that it cannot give again.
        case taken = 4
        /// Paths, and which files had them.
        case markedFiles = 5
    }

    /// What the bytes are.
    public var kind: Kind
    /// The choice.
    public var bytes: [UInt8]
    /// What of it the batch skips, as somebody asked, by name.
    ///
    /// Of ``Kind/lostOffsets``: which losses are none, as the records are there again.
    public var forgotten: [String] = []

    /// Makes a choice.
    public init(_ kind: Kind, _ bytes: [UInt8] = []) {
        self.kind = kind
        self.bytes = bytes
    }

    /// Names what was chosen: paths, or partitions with their offsets.
    ///
    /// - Throws: `CodecError` for bytes that are no choice of the kind.
    public var names: [String] {
        get throws {
            switch kind {
            case .files: return try Codec<[String]>.of().value(of: bytes)
            case .markedFiles: return try [ChosenFile](encoded: bytes).map(\.path)
            case .offsets, .lostOffsets: return try ranges.map(\.description)
            case .taken: return [InputChoice.takenName]
            case .unknown:
                // Of ranges, the bytes of an array of paths are none, but for the empty one.
                if let ranges = try? ranges { return ranges.map(\.description) }
                return try Codec<[String]>.of().value(of: bytes)
            }
        }
    }

    /// What elements are called of which nothing else is known.
    static let takenName = "elements"

    /// The files, of an earlier version's those that have the paths now.
    var chosenFiles: [ChosenFile] {
        get throws {
            kind == .markedFiles
                ? try [ChosenFile](encoded: bytes) : try names.map(ChosenFile.init(lookingAt:))
        }
    }

    private var ranges: [OffsetRange] {
        get throws { try Codec<[OffsetRange]>.of().value(of: bytes) }
    }

    /// Whether a file, or a range of offsets, is to be skipped.
    func skips(_ name: String) -> Bool {
        forgotten.contains { $0 == name || name.hasPrefix($0 + "/") }
    }
}

/// Keeps what input streams chose for their batches, such as files or offsets, so that a batch that
/// runs again after a crash reads the same.
///
/// ## Durability
/// ``keep(_:of:for:)`` returns only after the choice is durable. No job of the batch has begun then.
///
/// A context makes its own, in its checkpoint directory. One of yours goes into a `JobGenerator`;
/// `checkInputChoices` of DStreamTestKit checks it.
public protocol InputChoices: Sendable {
    /// What a stream chose for a batch, in this run or an earlier one; nil: nothing.
    func choice(of stream: StreamID, for batch: BatchTime) async -> InputChoice?

    /// Keeps what a stream chose for a batch.
    ///
    /// - Throws: when it was not kept; the batch is not generated then.
    func keep(_ choice: InputChoice, of stream: StreamID, for batch: BatchTime) async throws

    /// Forgets batches before `threshold`, but for those of `pending`: only they may run again.
    func release(before threshold: BatchTime, keeping pending: Set<BatchTime>) async throws
}

extension InputChoices {
    /// Forgets batches before `threshold`: none of them is run again.
    public func release(before threshold: BatchTime) async throws {
        try await release(before: threshold, keeping: [])
    }
}
