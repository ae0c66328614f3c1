// Elements that are compared with one another are keys: see ``StreamKey`` for which types are, and
// for what makes two of them the same. Tuples are none; make a struct of them, or a pair with a key
// and a value where the operator takes pairs.
extension RDD where Element: StreamKey {
    /// Each element once.
    ///
    /// Of elements that are the same key the one that came first stays.
    ///
    /// - Parameter partitions: output partitions; nil: as many as now; smaller values than 1 count
    ///   as 1.
    @inlinable
    public func distinct(
        partitions: Int? = nil, file: String = #fileID, line: UInt = #line
    ) -> RDD {
        let site = OperatorSite("distinct", file: file, line: line)
        return distinct(site, partitions ?? partitionCount, .hash)
    }

    /// ``distinct(partitions:file:line:)`` with the user's own placement of elements.
    @inlinable
    public func distinct(
        partitioner: some Partitioner<Element>, file: String = #fileID, line: UInt = #line
    ) -> RDD {
        let site = OperatorSite("distinct", file: file, line: line)
        return distinct(site, partitioner.partitionCount, .custom(partitioner))
    }

    @inlinable
    func distinct(
        _ site: OperatorSite, _ partitions: Int, _ placement: KeyPlacement<Element>
    ) -> RDD {
        exchanged(
            pipe.distinctKernel(site, placement), partitions,
            Pipe<(Element, Bool)>.merged(site) { first, _ in first }.map(site) { $0.0 })
    }

    /// The elements that both RDDs have, each once.
    ///
    /// - Parameter partitions: output partitions; nil: the context's default; smaller values than 1
    ///   count as 1.
    @inlinable
    public func intersection(
        _ other: RDD, partitions: Int? = nil, file: String = #fileID, line: UInt = #line
    ) -> RDD {
        let site = OperatorSite("intersection", file: file, line: line)
        return intersection(other, site, outputCount(partitions), .hash)
    }

    /// ``intersection(_:partitions:file:line:)`` with the user's own placement of elements.
    @inlinable
    public func intersection(
        _ other: RDD, partitioner: some Partitioner<Element>, file: String = #fileID,
        line: UInt = #line
    ) -> RDD {
        let site = OperatorSite("intersection", file: file, line: line)
        return intersection(other, site, partitioner.partitionCount, .custom(partitioner))
    }

    @inlinable
    func intersection(
        _ other: RDD, _ site: OperatorSite, _ partitions: Int, _ placement: KeyPlacement<Element>
    ) -> RDD {
        let plans = [self, other].map { rdd in
            rdd.plan.exchanged(by: rdd.pipe.distinctKernel(site, placement), into: partitions)
        }
        return RDD(context: context, plan: .zip(plans), pipe: .common(site))
    }

    /// The elements of this RDD that the other does not have; duplicates stay.
    ///
    /// - Parameter partitions: output partitions; nil: as many as now; smaller values than 1 count
    ///   as 1.
    /// - Complexity: O(elements of both); the other's distinct elements are held in memory.
    @inlinable
    public func subtract(
        _ other: RDD, partitions: Int? = nil, file: String = #fileID, line: UInt = #line
    ) -> RDD {
        let site = OperatorSite("subtract", file: file, line: line)
        return subtract(other, site, partitions ?? partitionCount, .hash)
    }

    /// ``subtract(_:partitions:file:line:)`` with the user's own placement of elements.
    @inlinable
    public func subtract(
        _ other: RDD, partitioner: some Partitioner<Element>, file: String = #fileID,
        line: UInt = #line
    ) -> RDD {
        let site = OperatorSite("subtract", file: file, line: line)
        return subtract(other, site, partitioner.partitionCount, .custom(partitioner))
    }

    @inlinable
    func subtract(
        _ other: RDD, _ site: OperatorSite, _ partitions: Int, _ placement: KeyPlacement<Element>
    ) -> RDD {
        let remaining = narrow(pipe.map(site) { ($0, true) }).remaining(
            without: other.pipe.distinctKernel(site, placement), other.plan, site, partitions,
            placement)
        return remaining.narrow(remaining.pipe.map(site) { $0.0 })
    }
}

extension RDD {
    /// The elements of this RDD whose key the other does not have; duplicates stay.
    ///
    /// - Parameter partitions: output partitions; nil: as many as now; smaller values than 1 count
    ///   as 1.
    /// - Complexity: O(elements of both); the other's distinct keys are held in memory.
    @inlinable
    public func subtractByKey<Key: StreamKey, Value: Sendable, Other: Sendable>(
        _ other: RDD<(Key, Other)>, partitions: Int? = nil, file: String = #fileID,
        line: UInt = #line
    ) -> RDD where Element == (Key, Value) {
        let site = OperatorSite("subtractByKey", file: file, line: line)
        let keys = other.pipe.map(site) { $0.0 }
        return remaining(
            without: keys.distinctKernel(site, .hash), other.plan, site,
            partitions ?? partitionCount, .hash)
    }

    /// ``subtractByKey(_:partitions:file:line:)`` with the user's own placement of keys.
    @inlinable
    public func subtractByKey<Key: StreamKey, Value: Sendable, Other: Sendable>(
        _ other: RDD<(Key, Other)>, partitioner: some Partitioner<Key>, file: String = #fileID,
        line: UInt = #line
    ) -> RDD where Element == (Key, Value) {
        let site = OperatorSite("subtractByKey", file: file, line: line)
        let placement = KeyPlacement<Key>.custom(partitioner)
        let keys = other.pipe.map(site) { $0.0 }
        return remaining(
            without: keys.distinctKernel(site, placement), other.plan, site,
            partitioner.partitionCount, placement)
    }

    @inlinable
    func remaining<Key: StreamKey, Value: Sendable>(
        without kernel: Kernel, _ other: Plan, _ site: OperatorSite, _ partitions: Int,
        _ placement: KeyPlacement<Key>
    ) -> RDD where Element == (Key, Value) {
        RDD(
            context: context,
            plan: .zip([
                other.exchanged(by: kernel, into: partitions),
                shuffled(site, partitions, placement),
            ]), pipe: .remaining(site))
    }
}

extension Pipe {
    /// Makes one bucket of distinct elements per output partition.
    @inlinable
    func distinctKernel(
        _ site: OperatorSite, _ placement: KeyPlacement<Element>
    ) -> Kernel where Element: StreamKey {
        map(site) { ($0, true) }
            .reduceKernel(id: .nextDynamic(), site, placement: placement) { first, _ in first }
    }

    /// The elements that both inputs have, as the first has them.
    @inlinable
    static func common(_ site: OperatorSite) -> Pipe where Element: StreamKey {
        let source = Pipe<(Element, Bool)>.source(site)
        return Pipe { context, inputs, sink in
            let table = AggregationTable<Element, Bool>()
            for case .branch(let side, let inner) in inputs {
                try source.push(context, inner) { mark in
                    if side == 0 {
                        table.update(mark.0, default: false) { _ in }
                    } else {
                        table.updateExisting(mark.0) { $0 = true }
                    }
                }
            }
            try table.drain { element, isCommon in
                if isCommon { try sink(element) }
            }
        }
    }

    /// The pairs of the second input whose key the first does not have.
    @inlinable
    static func remaining<Key: StreamKey, Value: Sendable>(
        _ site: OperatorSite
    ) -> Pipe where Element == (Key, Value) {
        let removed = Pipe<(Key, Bool)>.source(site)
        let source = Pipe.source(site)
        return Pipe { context, inputs, sink in
            let table = AggregationTable<Key, Bool>()
            for case .branch(let side, let inner) in inputs {
                if side == 0 {
                    try removed.push(context, inner) { mark in
                        table.merge(mark.0, mark.1) { first, _ in first }
                    }
                } else {
                    try source.push(context, inner) { element in
                        if table[element.0] == nil { try sink(element) }
                    }
                }
            }
        }
    }
}
