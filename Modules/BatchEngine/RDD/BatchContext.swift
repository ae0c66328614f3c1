/// Where RDDs come from: the role SparkContext plays.
///
/// ```swift
/// let context = BatchContext(engine: LocalEngine(slots: 4))
/// let total = try await context.parallelize(1...100).map { $0 * 2 }.reduce(+)
/// ```
public struct BatchContext: Sendable {
    /// What runs the work.
    public let engine: any ExecutionEngine
    /// The batch in milliseconds since the epoch, or nil outside a streaming batch.
    public var batchMilliseconds: Int64?
    /// How often a task is tried before its job fails; at least 1.
    public var maxTaskFailures: Int
    /// The number of partitions used where none is given.
    public var defaultParallelism: Int

    /// Makes a context.
    ///
    /// - Parameters:
    ///   - maxTaskFailures: tries per task, at least 1 (smaller values count as 1).
    ///   - defaultParallelism: partitions by default; nil takes the engine's.
    public init(
        engine: any ExecutionEngine, batchMilliseconds: Int64? = nil, maxTaskFailures: Int = 4,
        defaultParallelism: Int? = nil
    ) {
        self.engine = engine
        self.batchMilliseconds = batchMilliseconds
        self.maxTaskFailures = max(1, maxTaskFailures)
        self.defaultParallelism = max(1, defaultParallelism ?? engine.defaultParallelism)
    }

    /// What an engine is asked to run over the partitions of a plan, by the job that runs here.
    @usableFromInline
    package func request(
        _ kernel: Kernel, over plan: Plan, partitions: Range<Int>? = nil
    ) -> StageRequest {
        StageRequest(
            plan: plan, kernel: kernel, partitions: partitions,
            batchMilliseconds: batchMilliseconds, maxTaskFailures: maxTaskFailures)
    }

    /// An RDD of `elements`, cut into contiguous partitions of nearly equal size.
    ///
    /// Partition `i` of `p` holds elements `i*n/p ..< (i+1)*n/p`, as Spark cuts.
    @inlinable
    public func parallelize<Element: Sendable>(
        _ elements: some Sequence<Element>, partitions: Int? = nil, file: String = #fileID,
        line: UInt = #line
    ) -> RDD<Element> {
        let site = OperatorSite("parallelize", file: file, line: line)
        let count = partitions ?? defaultParallelism
        if let error = Self.problem(ofPartitions: count, site) {
            return RDD(context: self, plan: .source([[]]), pipe: .failing(error))
        }
        return RDD(
            context: self,
            plan: .source(Self.partitions(of: Array(elements), count: count)),
            pipe: .source(site))
    }

    /// How many partitions can be made at most: each takes memory, also when it is empty.
    package static let partitionMaximum = 1 << 20

    /// The error of asking for more partitions than can be made.
    @usableFromInline
    package static func problem(ofPartitions count: Int, _ site: OperatorSite) -> EngineError? {
        count <= partitionMaximum
            ? nil
            : EngineError(
                .badArgument,
                "the number of partitions (\(count)) must be at most \(partitionMaximum)",
                site: site)
    }

    /// An RDD whose partitions are given.
    @inlinable
    public func makeRDD<Element: Sendable>(
        partitions: [[Element]], file: String = #fileID, line: UInt = #line
    ) -> RDD<Element> {
        RDD(
            context: self, plan: .source(partitions.map { [.values(Values($0))] }),
            pipe: .source(OperatorSite("makeRDD", file: file, line: line)))
    }

    /// An RDD without partitions.
    @inlinable
    public func emptyRDD<Element: Sendable>(of type: Element.Type = Element.self) -> RDD<Element> {
        makeRDD(partitions: [])
    }

    /// The elements of all `rdds`, one after the other.
    @inlinable
    public func union<Element: Sendable>(
        _ rdds: [RDD<Element>], file: String = #fileID, line: UInt = #line
    ) -> RDD<Element> {
        let pipe = Pipe<Element>.union(
            rdds.map(\.pipe), OperatorSite("union", file: file, line: line))
        // What is nested too deeply fails in its first task: arranging its partitions would take
        // longer by far than it took to nest them.
        let plan = pipe.isTooDeep ? Plan.source([[]]) : .union(rdds.map(\.plan))
        return RDD(bounding: plan, context: self, pipe: pipe)
    }

    /// A read-only value that every task can use.
    public func broadcast<Value: Sendable>(_ value: Value) -> Broadcast<Value> {
        Broadcast(value)
    }

    /// Cuts elements into `count` contiguous partitions; fewer than 1 counts as 1.
    @inlinable
    public static func partitions<Element: Sendable>(
        of elements: [Element], count: Int
    ) -> [[PartitionData]] {
        let count = max(1, count)
        return (0..<count).map { index in
            let slice = elements[
                index * elements.count / count..<(index + 1) * elements.count / count]
            return [.values(Values(Array(slice)))]
        }
    }
}
