public import Synchronization

/// The identity of a kernel: what an engine is asked to run, by number.
public enum KernelID: Sendable, Hashable, CustomStringConvertible {
    /// Made when a graph was frozen, numbered in declaration order: equal in every process that
    /// built the same graph.
    case graph(Int)
    /// Made inside a per-batch body; known to the driver only.
    case dynamic(UInt64)

    @usableFromInline static let dynamicCounter = Atomic<UInt64>(1)

    /// A fresh identity for a kernel made outside a frozen graph.
    @inlinable
    public static func nextDynamic() -> KernelID {
        .dynamic(dynamicCounter.wrappingAdd(1, ordering: .relaxed).oldValue)
    }

    /// The identity as `k3` or `d17`.
    public var description: String {
        switch self {
        case .graph(let number): "k\(number)"
        case .dynamic(let number): "d\(number)"
        }
    }
}

/// A fused stage: what runs over one partition.
public struct Kernel: Sendable {
    /// Runs over one partition: the task, the partition's inputs, and the number of outputs to
    /// make (buckets of an exchange; 1 otherwise).
    public typealias Body =
        @Sendable (TaskContext, [PartitionData], _ outputs: Int) throws -> [PartitionData]
    /// Runs over one partition and may wait, for outputs that call asynchronous clients; gives what
    /// the driver is to have of it.
    public typealias Effect =
        @Sendable (TaskContext, [PartitionData]) async throws -> [PartitionData]

    /// How a kernel runs.
    public enum Work: Sendable {
        /// Synchronous work that makes partition data.
        case pure(Body)
        /// Asynchronous work for its effect.
        case effect(Effect)
    }

    /// The kernel's number.
    public let id: KernelID
    /// The operator that ends the stage, for errors and events.
    public let site: OperatorSite
    /// What the kernel does.
    public let work: Work
    /// Finds the first type among those that come out which has no codec; nil: all have one.
    ///
    /// An engine that leaves the process asks this before the first batch.
    public let typeWithoutCodec: @Sendable () -> Any.Type?
    /// Whether it only reads what is there: no closure of the user's runs in it.
    package var isReading = false

    /// Makes a synchronous kernel.
    @inlinable
    public init(id: KernelID, site: OperatorSite, run: @escaping Body) {
        self.id = id
        self.site = site
        self.work = .pure(run)
        typeWithoutCodec = { nil }
    }

    /// Makes a synchronous kernel whose outputs hold elements of one type.
    @inlinable
    public init<Element>(
        id: KernelID, site: OperatorSite, making type: Element.Type, run: @escaping Body
    ) {
        self.id = id
        self.site = site
        self.work = .pure(run)
        typeWithoutCodec = { Codec<Element>.firstTypeWithoutCodec() }
    }

    /// Makes an asynchronous kernel.
    @inlinable
    public init(id: KernelID, site: OperatorSite, effect: @escaping Effect) {
        self.id = id
        self.site = site
        self.work = .effect(effect)
        typeWithoutCodec = { nil }
    }

    /// Runs over one partition as the task that a context describes.
    package func run(
        _ context: TaskContext, _ inputs: [PartitionData], outputs: Int
    ) async throws -> [PartitionData] {
        switch work {
        case .pure(let run):
            try TaskContext.$current.withValue(context) { try run(context, inputs, outputs) }
        case .effect(let run):
            try await TaskContext.$current.withValue(context) { try await run(context, inputs) }
        }
    }
}
