extension Plan {
    /// The same partitions, each beside its index.
    ///
    /// The index travels with the partition: the number of the task that runs it is another one in
    /// a union.
    public var indexed: Plan { numbered(Array(0..<partitionCount)) }

    /// The same partitions, each beside a number of its own.
    @usableFromInline
    func numbered(_ numbers: [Int]) -> Plan {
        .zip([self, .source(numbers.map { [.values(Values([$0]))] })])
    }
}

extension [PartitionData] {
    /// Takes a partition that has a number beside it apart.
    @inlinable
    func splitNumber(_ site: OperatorSite) throws -> (number: Int, inner: [PartitionData]) {
        guard count == 2, case .branch(_, let inner) = self[0], case .branch(_, let tag) = self[1],
            let number = try tag.first?.firstElement(as: Int.self)
        else { throw EngineError(.invalidPlan, "a partition has no number", site: site) }
        return (number, inner)
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
            let (index, inner) = try inputs.splitNumber(site)
            let elements = try gather(context, inner)
            var check = CancellationCheck(context)
            for output in try OperatorFailure.attempt(site, transform, index, elements) {
                try check.next()
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
