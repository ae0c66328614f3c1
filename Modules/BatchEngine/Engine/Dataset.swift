internal import Synchronization

/// The identity of a kept dataset.
public struct DatasetID: Sendable, Hashable, CustomStringConvertible {
    /// The number, unique in the process.
    public let number: UInt64

    private static let counter = Atomic<UInt64>(1)

    /// A fresh identity.
    public static func next() -> DatasetID {
        DatasetID(number: counter.wrappingAdd(1, ordering: .relaxed).oldValue)
    }

    /// The identity as `rdd_7`.
    public var description: String { "rdd_\(number)" }
}

/// Partitions that are computed once and then kept by the engine, until released.
///
/// The engine computes the partitions when somebody first needs them. A dataset that cuts its
/// lineage then lets go of its input, so that what a stream computes from its own past does not
/// grow. Dropping the last reference releases the stored partitions.
public final class Dataset: Sendable {
    private enum State {
        case planned(Plan)
        case stored
    }

    /// The dataset's identity in the block store.
    public let id: DatasetID
    /// Runs over each input partition and makes its stored form.
    public let kernel: Kernel
    /// Where and how the partitions are kept.
    public let level: StorageLevel
    /// How the partitions are encoded when the level asks for bytes; nil: no codec was found.
    public let codec: ErasedCodec?
    /// The number of partitions.
    public let partitionCount: Int
    private let cutsLineage: Bool
    private let state: Mutex<State>
    private let release = Mutex<(@Sendable () -> Void)?>(nil)
    package let computed = AsyncOnce<Bool>()

    /// Makes a dataset that has not been computed.
    ///
    /// - Parameter cutsLineage: whether the input may be forgotten once everything is stored.
    public init(
        kernel: Kernel, input: Plan, level: StorageLevel, codec: ErasedCodec?, cutsLineage: Bool
    ) {
        self.id = .next()
        self.kernel = kernel
        self.level = level
        self.codec = codec
        self.partitionCount = input.partitionCount
        self.cutsLineage = cutsLineage
        self.state = Mutex(.planned(input))
    }

    deinit { unpersist() }

    /// What the partitions are computed from; nil once the lineage was cut.
    public var input: Plan? {
        state.withLock { if case .planned(let plan) = $0 { plan } else { nil } }
    }

    /// Drops the stored partitions; a later use computes them again when the input is still known.
    public func unpersist() {
        let action = release.withLock { action in
            defer { action = nil }
            return action
        }
        computed.reset()
        action?()
    }

    /// Called by the engine when all partitions are in its store.
    package func markStored(release action: @escaping @Sendable () -> Void) {
        release.withLock { $0 = action }
        if cutsLineage { state.withLock { $0 = .stored } }
    }
}
