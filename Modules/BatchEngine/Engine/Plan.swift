internal import Synchronization

/// What has to be computed, as data: kernels by id and where their inputs come from.
///
/// A plan names partitions and how they are arranged; it holds no user closure except inside the
/// kernels and the `dynamic` pipes of per-batch bodies.
public indirect enum Plan: Sendable {
    /// Partitions that exist already.
    case source([[PartitionData]])
    /// A shuffle: every output partition takes one bucket of each input partition.
    case exchange(Exchange)
    /// The partitions of all inputs, one input after the other; each is tagged with its input.
    case union([Plan])
    /// Partition `i` of every input side by side; the inputs have equally many partitions.
    case zip([Plan])
    /// Fewer partitions without a shuffle: neighbours are joined, each tagged as a branch.
    case coalesce(Plan, Int)
    /// A dataset that is kept once computed.
    case dataset(Dataset)
    /// What comes after a dataset: the first plan once that is computed, the second when computing
    /// it is known to have failed. Both have equally many partitions.
    case following(Dataset, Plan, otherwise: Plan)
    /// A pipe made in a per-batch body on top of a plan.
    case dynamic(any Sendable & AnyObject, Plan)

    /// An input without partitions.
    public static var empty: Plan { .source([]) }

    /// The number of partitions.
    ///
    /// - Complexity: O(depth of the plan).
    public var partitionCount: Int {
        switch self {
        case .source(let partitions): partitions.count
        case .exchange(let exchange): exchange.partitionCount
        case .union(let plans): plans.reduce(0) { $0 + $1.partitionCount }
        case .zip(let plans): plans.first?.partitionCount ?? 0
        case .coalesce(let plan, let count): min(plan.partitionCount, count)
        case .dataset(let dataset): dataset.partitionCount
        case .following(_, let plan, _): plan.partitionCount
        case .dynamic(_, let plan): plan.partitionCount
        }
    }

    /// A shuffle of this plan that has not run.
    @usableFromInline
    package func exchanged(by kernel: Kernel, into partitions: Int) -> Plan {
        .exchange(Exchange(kernel: kernel, input: self, partitionCount: partitions))
    }
}

/// A shuffle and, once an engine has run it, its output.
///
/// Everybody who uses the same exchange in a batch shares one run of its map side; the output
/// lives as long as a plan refers to it. The input is let go once the output is there.
public final class Exchange: Sendable {
    /// Runs over each input partition and makes one bucket per output partition.
    public let kernel: Kernel
    /// The number of output partitions.
    public let partitionCount: Int
    private let source: Locked<Plan?>
    package let output = AsyncOnce<[[PartitionData]]>()
    /// What the tasks of the map side and of what it is made from have added to accumulators.
    let added = Locked<[AddedSums.Part]>([])

    /// Makes a shuffle that has not run.
    ///
    /// - Parameter partitionCount: smaller values than 1 count as 1.
    public init(kernel: Kernel, input: Plan, partitionCount: Int) {
        self.kernel = kernel
        self.source = Locked(input)
        self.partitionCount = max(1, partitionCount)
    }

    /// What is shuffled; nil when an engine that keeps the output no longer needs it.
    public var input: Plan? { source.withLock { $0 } }

    /// Lets go of the input and of everything kept for it alone.
    package func forgetInput() {
        // Released outside the lock: the end of a plan can be the end of datasets.
        let plan = source.withLock { source in
            defer { source = nil }
            return source
        }
        withExtendedLifetime(plan) {}
    }
}
