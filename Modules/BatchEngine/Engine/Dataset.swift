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
    /// A closure by itself would be wrapped anew whenever it leaves the lock.
    private struct Release: Sendable {
        let run: @Sendable () -> Void
    }
    private struct State {
        var input: Plan?
        var release: Release?
        var computations = 0
        var wasStored = false
        var hasFailed = false
    }

    /// The dataset's identity, and that of its blocks when they are first computed.
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
    private let state: Locked<State>
    /// The identity under which the partitions are stored: a new one for each computation.
    package let computed = AsyncOnce<DatasetID>()
    /// What the tasks of the first computation, and of what it was made from, have added to
    /// accumulators.
    let added = Locked<[AddedSums.Part]>([])

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
        self.state = Locked(State(input: input))
    }

    deinit { unpersist() }

    /// What the partitions are computed from; nil once the lineage was cut.
    public var input: Plan? { state.withLock { $0.input } }

    /// Drops the stored partitions; a later use computes them again when the input is still known.
    ///
    /// A job that is reading them computes again what it misses. A computation under way goes on,
    /// and what it stores stays until the next call or the end of the dataset.
    public func unpersist() {
        let release = takeRelease()
        computed.reset()
        release?.run()
    }

    /// Whether this is the first time that the engine computes the partitions.
    package func isFirstComputation() -> Bool {
        state.withLock { state in
            state.computations += 1
            return state.computations == 1
        }
    }

    /// Whether the last computation failed: what is built on it now would fail too.
    package var hasFailed: Bool { state.withLock { $0.hasFailed } }

    /// Called by the engine when a computation has failed for good.
    package func markFailed() { state.withLock { $0.hasFailed = true } }

    /// Called by the engine when all partitions are in its store.
    ///
    /// - Returns: whether they are for the first time.
    @discardableResult
    package func markStored(release action: @escaping @Sendable () -> Void) -> Bool {
        let (earlier, input, isFirst) = state.withLock { state in
            let old = (state.release, state.input, !state.wasStored)
            state.wasStored = true
            state.release = Release(run: action)
            state.hasFailed = false
            if cutsLineage { state.input = nil }
            return old
        }
        // Blocks of an earlier computation, of which some were lost or another engine has them.
        earlier?.run()
        // The end of a plan can be the end of other datasets: not under the lock.
        withExtendedLifetime(input) {}
        return isFirst
    }

    private func takeRelease() -> Release? {
        state.withLock { state in
            defer { state.release = nil }
            return state.release
        }
    }
}
