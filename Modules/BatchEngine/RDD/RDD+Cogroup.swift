extension RDD {
    /// Gathers the values that this RDD and another have of each key.
    ///
    /// Each key of either comes out once, with its values of both in arrival order; a side that
    /// does not have the key gives an empty array.
    ///
    /// - Parameter partitions: output partitions; nil: the context's default; smaller values than 1
    ///   count as 1.
    /// - Complexity: O(elements of both RDDs); a partition's elements are held in memory.
    @inlinable
    public func cogroup<Key: StreamKey, Value: Sendable, Other: Sendable>(
        _ other: RDD<(Key, Other)>, partitions: Int? = nil, file: String = #fileID,
        line: UInt = #line
    ) -> RDD<(Key, ([Value], [Other]))> where Element == (Key, Value) {
        let site = OperatorSite("cogroup", file: file, line: line)
        return beside(other, site, outputCount(partitions), .hash, .cogrouped(site))
    }

    /// ``cogroup(_:partitions:file:line:)`` with the user's own placement of keys.
    @inlinable
    public func cogroup<Key: StreamKey, Value: Sendable, Other: Sendable>(
        _ other: RDD<(Key, Other)>, partitioner: some Partitioner<Key>, file: String = #fileID,
        line: UInt = #line
    ) -> RDD<(Key, ([Value], [Other]))> where Element == (Key, Value) {
        let site = OperatorSite("cogroup", file: file, line: line)
        return beside(
            other, site, partitioner.partitionCount, .custom(partitioner), .cogrouped(site))
    }

    /// ``cogroup(_:partitions:file:line:)`` with two other RDDs.
    @inlinable
    public func cogroup<Key: StreamKey, Value: Sendable, Second: Sendable, Third: Sendable>(
        _ second: RDD<(Key, Second)>, _ third: RDD<(Key, Third)>,
        partitions: Int? = nil, file: String = #fileID, line: UInt = #line
    ) -> RDD<(Key, ([Value], [Second], [Third]))> where Element == (Key, Value) {
        let site = OperatorSite("cogroup", file: file, line: line)
        return cogroup(second, third, site, outputCount(partitions), .hash)
    }

    /// ``cogroup(_:partitioner:file:line:)`` with two other RDDs.
    @inlinable
    public func cogroup<Key: StreamKey, Value: Sendable, Second: Sendable, Third: Sendable>(
        _ second: RDD<(Key, Second)>, _ third: RDD<(Key, Third)>,
        partitioner: some Partitioner<Key>, file: String = #fileID, line: UInt = #line
    ) -> RDD<(Key, ([Value], [Second], [Third]))> where Element == (Key, Value) {
        let site = OperatorSite("cogroup", file: file, line: line)
        return cogroup(second, third, site, partitioner.partitionCount, .custom(partitioner))
    }

    @inlinable
    func cogroup<Key: StreamKey, Value: Sendable, Second: Sendable, Third: Sendable>(
        _ second: RDD<(Key, Second)>, _ third: RDD<(Key, Third)>,
        _ site: OperatorSite, _ partitions: Int, _ placement: KeyPlacement<Key>
    ) -> RDD<(Key, ([Value], [Second], [Third]))> where Element == (Key, Value) {
        RDD<(Key, ([Value], [Second], [Third]))>(
            context: context,
            plan: .zip([
                shuffled(site, partitions, placement),
                second.shuffled(site, partitions, placement),
                third.shuffled(site, partitions, placement),
            ]), pipe: .cogrouped(site))
    }

    /// ``cogroup(_:partitions:file:line:)`` with three other RDDs.
    @inlinable
    public func cogroup<
        Key: StreamKey, Value: Sendable, Second: Sendable, Third: Sendable, Fourth: Sendable
    >(
        _ second: RDD<(Key, Second)>, _ third: RDD<(Key, Third)>, _ fourth: RDD<(Key, Fourth)>,
        partitions: Int? = nil, file: String = #fileID, line: UInt = #line
    ) -> RDD<(Key, ([Value], [Second], [Third], [Fourth]))> where Element == (Key, Value) {
        let site = OperatorSite("cogroup", file: file, line: line)
        return cogroup(second, third, fourth, site, outputCount(partitions), .hash)
    }

    /// ``cogroup(_:partitioner:file:line:)`` with three other RDDs.
    @inlinable
    public func cogroup<
        Key: StreamKey, Value: Sendable, Second: Sendable, Third: Sendable, Fourth: Sendable
    >(
        _ second: RDD<(Key, Second)>, _ third: RDD<(Key, Third)>, _ fourth: RDD<(Key, Fourth)>,
        partitioner: some Partitioner<Key>, file: String = #fileID, line: UInt = #line
    ) -> RDD<(Key, ([Value], [Second], [Third], [Fourth]))> where Element == (Key, Value) {
        let site = OperatorSite("cogroup", file: file, line: line)
        return cogroup(
            second, third, fourth, site, partitioner.partitionCount, .custom(partitioner))
    }

    @inlinable
    func cogroup<
        Key: StreamKey, Value: Sendable, Second: Sendable, Third: Sendable, Fourth: Sendable
    >(
        _ second: RDD<(Key, Second)>, _ third: RDD<(Key, Third)>, _ fourth: RDD<(Key, Fourth)>,
        _ site: OperatorSite, _ partitions: Int, _ placement: KeyPlacement<Key>
    ) -> RDD<(Key, ([Value], [Second], [Third], [Fourth]))> where Element == (Key, Value) {
        RDD<(Key, ([Value], [Second], [Third], [Fourth]))>(
            context: context,
            plan: .zip([
                shuffled(site, partitions, placement),
                second.shuffled(site, partitions, placement),
                third.shuffled(site, partitions, placement),
                fourth.shuffled(site, partitions, placement),
            ]), pipe: .cogrouped(site))
    }
}
