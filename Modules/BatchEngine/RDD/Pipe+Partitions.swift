extension Plan {
    /// The same partitions, each beside its index.
    ///
    /// The index travels with the partition: the number of the task that runs it is another one in
    /// a union.
    public var indexed: Plan {
        .zip([self, .source((0..<partitionCount).map { [.values(Values([$0]))] })])
    }
}

extension [PartitionData] {
    /// Takes a partition of ``Plan/indexed`` apart.
    @inlinable
    func splitIndex(_ site: OperatorSite) throws -> (index: Int, inner: [PartitionData]) {
        guard count == 2, case .branch(_, let inner) = self[0], case .branch(_, let tag) = self[1],
            case .values(let values)? = tag.first,
            let index = (values as? Values<Int>)?.elements.first
        else { throw EngineError(.invalidPlan, "a partition has no index", site: site) }
        return (index, inner)
    }
}

extension Pipe {
    /// Hands a whole partition of ``Plan/indexed`` with its index to `transform`.
    @inlinable
    public func mapPartitionsWithIndex<Outputs: Sequence & SendableMetatype>(
        _ site: OperatorSite, _ transform: @escaping @Sendable (Int, [Element]) throws -> Outputs
    ) -> Pipe<Outputs.Element> where Outputs.Element: Sendable, Outputs.Iterator: SendableMetatype {
        let gather = gathered
        return Pipe<Outputs.Element>(around: depth, site) { context, inputs, sink in
            let (index, inner) = try inputs.splitIndex(site)
            let elements = try gather(context, inner)
            var look = LookOut(context)
            for output in try OperatorFailure.attempt(site, transform, index, elements) {
                try look.next()
                try sink(output)
            }
        }
    }

    /// A kernel that makes one bucket of elements per output partition by a rule.
    ///
    /// - Parameter bucket: a number from 0 up to but not including the number of outputs.
    @inlinable
    func bucketKernel(
        id: KernelID, _ site: OperatorSite, _ bucket: @escaping @Sendable (Element) throws -> Int
    ) -> Kernel {
        let run = run
        return Kernel(id: id, site: site) { context, inputs, outputs in
            var buckets = [[Element]](repeating: [], count: outputs)
            try run(context, inputs) { element in
                buckets[try OperatorFailure.attempt(site, bucket, element)].append(element)
            }
            return buckets.map { .values(Values($0)) }
        }
    }

    /// A chain that throws instead of running: what its operator was asked for makes no sense.
    @inlinable
    static func failing(_ error: EngineError) -> Pipe { Pipe { _, _, _ in throw error } }
}

extension RDD {
    /// An RDD whose actions throw: operators that make RDDs do not throw themselves.
    @inlinable
    func failing<Output: Sendable>(_ error: EngineError) -> RDD<Output> {
        RDD<Output>(context: context, plan: .source([[]]), pipe: .failing(error))
    }

    /// The partitions to make: at least one, by default the engine's number.
    @inlinable
    func outputCount(_ partitions: Int?) -> Int {
        Swift.max(1, partitions ?? context.defaultParallelism)
    }

    /// Makes one value of each partition, and one of those: all on the engine's threads.
    ///
    /// - Parameters:
    ///   - partial: runs over each partition.
    ///   - conclude: runs once, over the partial values in partition order.
    @inlinable
    func concluded<Partial: Sendable, Result: Sendable>(
        _ site: OperatorSite,
        _ partial: @escaping @Sendable (TaskContext, [PartitionData]) throws -> Partial,
        _ conclude: @escaping @Sendable ([Partial]) throws -> Result
    ) async throws -> Result {
        let kernel = Kernel(id: .nextDynamic(), site: site) { context, inputs, _ in
            [.values(Values([try partial(context, inputs)]))]
        }
        let partials = exchanged(kernel, 1, Pipe<Partial>.source(site))
        let gather = partials.pipe.gathered
        let results = try await partials.runTasks(site) { context, inputs in
            try conclude(try gather(context, inputs))
        }
        guard let result = results.first else {
            throw EngineError(.invalidPlan, "there is no result", site: site)
        }
        return result
    }
}
