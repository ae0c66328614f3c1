/// Keeps blocks and dataset partitions until they are removed.
///
/// ## Ordering
/// Calls about one id come from one caller at a time; calls about different ids are concurrent.
///
/// ## Isolation
/// Synchronous and callable from any thread. Levels that use the disk do file I/O in the call, so
/// callers on the cooperative pool hop to an engine thread first.
public protocol BlockStore: Sendable {
    /// Stores `contents` under `id`, replacing what was there.
    ///
    /// - Throws: ``BlockStoreError`` when the level needs a codec and there is none, or on I/O
    ///   errors; `CodecError` when an element cannot be encoded. Nothing is stored under `id` then.
    func put(
        _ id: BlockID, _ contents: [PartitionData], level: StorageLevel, codec: ErasedCodec?) throws

    /// The contents stored under `id`, or nil when there are none.
    ///
    /// - Throws: ``BlockStoreError`` when stored bytes cannot be read back.
    func get(_ id: BlockID) throws -> [PartitionData]?

    /// How many elements are stored under `id`; nil when nothing is or counting would take reading.
    func elementCount(of id: BlockID) -> Int?

    /// Removes what is stored under `id`; unknown ids are ignored.
    func remove(_ id: BlockID)

    /// What the store holds now.
    var usage: BlockStoreUsage { get }
}

extension BlockStore {
    /// Not known.
    public func elementCount(of id: BlockID) -> Int? { nil }
}

/// How much a block store holds.
public struct BlockStoreUsage: Sendable, Hashable {
    /// Blocks held, in memory and on disk.
    public var blockCount = 0
    /// Estimated bytes in memory.
    public var memoryBytes = 0
    /// Bytes on disk.
    public var diskBytes = 0

    /// Nothing held.
    public init() {}
}

/// Why a block store could not do what it was asked.
public struct BlockStoreError: Error, Hashable, CustomStringConvertible {
    /// What went wrong.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: String { case codecMissing, memoryLimit, disk }
        private let kind: Kind
        /// The level turns elements into bytes and no codec is known.
        ///
        /// Declare the element type `StreamCodable`.
        public static let codecMissing = Code(kind: .codecMissing)
        /// Memory is full and the level may not use the disk.
        public static let memoryLimit = Code(kind: .memoryLimit)
        /// The disk could not be read or written.
        public static let disk = Code(kind: .disk)
        /// The code's name.
        public var description: String { kind.rawValue }
    }

    /// What went wrong.
    public let code: Code
    /// The same in words, with the block.
    public let message: String

    /// Makes an error.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The code and the message.
    public var description: String { "\(code): \(message)" }
}
