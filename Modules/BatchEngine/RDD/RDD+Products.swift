extension RDD {
    /// Every element of this RDD with every element of the other.
    ///
    /// With `p` partitions here and `q` there the result has `p * q`: partition `i * q + j` pairs
    /// partition `i` of this RDD with `j` of the other, this RDD's elements being the outer loop.
    ///
    /// - Complexity: O(product of the counts); both RDDs are held in memory, by reference in each
    ///   pair of partitions.
    @inlinable
    public func cartesian<Other: Sendable>(
        _ other: RDD<Other>, file: String = #fileID, line: UInt = #line
    ) -> RDD<(Element, Other)> {
        let site = OperatorSite("cartesian", file: file, line: line)
        let (rows, columns) = (partitionCount, other.partitionCount)
        guard rows > 0, columns > 0 else {
            return RDD<(Element, Other)>(context: context, plan: .empty, pipe: .source(site))
        }
        let left = pipe.repeatingKernel(site) { index, output in output / columns == index }
        let right = other.pipe.repeatingKernel(site) { index, output in output % columns == index }
        let gather = Pipe<Other>.source(site).gathered
        let first = Pipe<Element>.source(site).run
        let pairs = Pipe<(Element, Other)> { context, inputs, sink in
            guard inputs.count == 2 else {
                throw EngineError(.invalidPlan, "a product has two sides", site: site)
            }
            let others = try gather(context, [inputs[1]])
            var check = CancellationCheck(context)
            try first(context, [inputs[0]]) { element in
                for other in others {
                    try check.next()
                    try sink((element, other))
                }
            }
        }
        let count = rows * columns
        return RDD<(Element, Other)>(
            context: context,
            plan: .zip([
                plan.exchanged(by: left, into: count),
                other.plan.exchanged(by: right, into: count),
            ]), pipe: pairs)
    }

    /// Pairs the elements of two RDDs by place: the first of each partition, the second, and so on.
    ///
    /// The RDDs must have the same number of partitions, and the same number of elements in each:
    /// otherwise actions throw ``EngineError`` with `.invalidPlan`.
    ///
    /// - Complexity: the other RDD's partition is held in memory.
    @inlinable
    public func zip<Other: Sendable>(
        _ other: RDD<Other>, file: String = #fileID, line: UInt = #line
    ) -> RDD<(Element, Other)> {
        let site = OperatorSite("zip", file: file, line: line)
        guard partitionCount == other.partitionCount else {
            return failing(
                EngineError(
                    .invalidPlan,
                    "RDDs with \(partitionCount) and \(other.partitionCount) partitions cannot be "
                        + "zipped; repartition one of them", site: site))
        }
        let run = pipe.run
        let gather = other.pipe.gathered
        let zipped = Pipe<(Element, Other)>(around: Swift.max(pipe.depth, other.pipe.depth), site) {
            context, inputs, sink in
            guard inputs.count == 2, case .branch(_, let left) = inputs[0],
                case .branch(_, let right) = inputs[1]
            else { throw EngineError(.invalidPlan, "a zip has two sides", site: site) }
            let others = try gather(context, right)
            var index = 0
            try run(context, left) { element in
                guard index < others.count else { throw unequalCounts(site) }
                try sink((element, others[index]))
                index += 1
            }
            guard index == others.count else { throw unequalCounts(site) }
        }
        return RDD<(Element, Other)>(
            bounding: .zip([plan, other.plan]), context: context, pipe: zipped)
    }
}

/// The error of a zip of partitions that do not fit together.
@usableFromInline
func unequalCounts(_ site: OperatorSite) -> EngineError {
    EngineError(
        .invalidPlan, "RDDs can be zipped only when each partition has as many elements in both",
        site: site)
}

extension Pipe {
    /// A kernel that puts the whole partition, by reference, into each output that wants it.
    ///
    /// - Parameter isWanted: whether an output, by its number, wants the partition with an index.
    @inlinable
    func repeatingKernel(
        _ site: OperatorSite, _ isWanted: @escaping @Sendable (Int, Int) -> Bool
    ) -> Kernel {
        let gather = gathered
        return Kernel(id: .nextDynamic(), site: site) { context, inputs, outputs in
            let whole = Values(try gather(context, inputs))
            let none = Values<Element>([])
            // An exchange numbers its tasks by the partitions of its input.
            return (0..<outputs).map { .values(isWanted(context.partition, $0) ? whole : none) }
        }
    }
}
