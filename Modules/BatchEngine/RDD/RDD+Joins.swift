extension RDD {
    /// What `pipe` makes of this RDD and another, partition beside partition.
    @inlinable
    func beside<Key: StreamKey, Value: Sendable, Other: Sendable, Output: Sendable>(
        _ other: RDD<(Key, Other)>, _ site: OperatorSite, _ partitions: Int,
        _ placement: KeyPlacement<Key>, _ pipe: Pipe<Output>
    ) -> RDD<Output> where Element == (Key, Value) {
        RDD<Output>(
            context: context,
            plan: .zip([
                shuffled(site, partitions, placement), other.shuffled(site, partitions, placement),
            ]), pipe: pipe)
    }
}

extension RDD {
    /// Pairs the values that both RDDs have of the same key: one element per pair of values.
    ///
    /// Keys that only one of them has do not come out. Both sides are shuffled; the values of a key
    /// that are met by many others are held in memory.
    ///
    /// ## Ordering
    /// By key in no promised order; within a key, this RDD's values in arrival order, each with all
    /// of the other's.
    ///
    /// - Parameter partitions: output partitions; nil: the context's default; smaller values than 1
    ///   count as 1.
    /// - Complexity: O(elements of both RDDs and of the result).
    @inlinable
    public func join<Key: StreamKey, Value: Sendable, Other: Sendable>(
        _ other: RDD<(Key, Other)>, partitions: Int? = nil, file: String = #fileID,
        line: UInt = #line
    ) -> RDD<(Key, (Value, Other))> where Element == (Key, Value) {
        let site = OperatorSite("join", file: file, line: line)
        return beside(other, site, outputCount(partitions), .hash, .joined(site))
    }

    /// ``join(_:partitions:file:line:)`` with the user's own placement of keys.
    @inlinable
    public func join<Key: StreamKey, Value: Sendable, Other: Sendable>(
        _ other: RDD<(Key, Other)>, partitioner: some Partitioner<Key>, file: String = #fileID,
        line: UInt = #line
    ) -> RDD<(Key, (Value, Other))> where Element == (Key, Value) {
        let site = OperatorSite("join", file: file, line: line)
        return beside(
            other, site, partitioner.partitionCount, .custom(partitioner), .joined(site))
    }

    /// ``join(_:partitions:file:line:)`` that keeps this RDD's keys the other does not have, with
    /// nil.
    @inlinable
    public func leftOuterJoin<Key: StreamKey, Value: Sendable, Other: Sendable>(
        _ other: RDD<(Key, Other)>, partitions: Int? = nil, file: String = #fileID,
        line: UInt = #line
    ) -> RDD<(Key, (Value, Other?))> where Element == (Key, Value) {
        let site = OperatorSite("leftOuterJoin", file: file, line: line)
        return beside(other, site, outputCount(partitions), .hash, .leftOuterJoined(site))
    }

    /// ``leftOuterJoin(_:partitions:file:line:)`` with the user's own placement of keys.
    @inlinable
    public func leftOuterJoin<Key: StreamKey, Value: Sendable, Other: Sendable>(
        _ other: RDD<(Key, Other)>, partitioner: some Partitioner<Key>, file: String = #fileID,
        line: UInt = #line
    ) -> RDD<(Key, (Value, Other?))> where Element == (Key, Value) {
        let site = OperatorSite("leftOuterJoin", file: file, line: line)
        return beside(
            other, site, partitioner.partitionCount, .custom(partitioner), .leftOuterJoined(site))
    }

    /// ``join(_:partitions:file:line:)`` that keeps the other RDD's keys this one does not have,
    /// with nil.
    @inlinable
    public func rightOuterJoin<Key: StreamKey, Value: Sendable, Other: Sendable>(
        _ other: RDD<(Key, Other)>, partitions: Int? = nil, file: String = #fileID,
        line: UInt = #line
    ) -> RDD<(Key, (Value?, Other))> where Element == (Key, Value) {
        let site = OperatorSite("rightOuterJoin", file: file, line: line)
        return beside(other, site, outputCount(partitions), .hash, .rightOuterJoined(site))
    }

    /// ``rightOuterJoin(_:partitions:file:line:)`` with the user's own placement of keys.
    @inlinable
    public func rightOuterJoin<Key: StreamKey, Value: Sendable, Other: Sendable>(
        _ other: RDD<(Key, Other)>, partitioner: some Partitioner<Key>, file: String = #fileID,
        line: UInt = #line
    ) -> RDD<(Key, (Value?, Other))> where Element == (Key, Value) {
        let site = OperatorSite("rightOuterJoin", file: file, line: line)
        return beside(
            other, site, partitioner.partitionCount, .custom(partitioner), .rightOuterJoined(site))
    }

    /// ``join(_:partitions:file:line:)`` that keeps the keys only one of the RDDs has, with nil.
    @inlinable
    public func fullOuterJoin<Key: StreamKey, Value: Sendable, Other: Sendable>(
        _ other: RDD<(Key, Other)>, partitions: Int? = nil, file: String = #fileID,
        line: UInt = #line
    ) -> RDD<(Key, (Value?, Other?))> where Element == (Key, Value) {
        let site = OperatorSite("fullOuterJoin", file: file, line: line)
        return beside(other, site, outputCount(partitions), .hash, .fullOuterJoined(site))
    }

    /// ``fullOuterJoin(_:partitions:file:line:)`` with the user's own placement of keys.
    @inlinable
    public func fullOuterJoin<Key: StreamKey, Value: Sendable, Other: Sendable>(
        _ other: RDD<(Key, Other)>, partitioner: some Partitioner<Key>, file: String = #fileID,
        line: UInt = #line
    ) -> RDD<(Key, (Value?, Other?))> where Element == (Key, Value) {
        let site = OperatorSite("fullOuterJoin", file: file, line: line)
        return beside(
            other, site, partitioner.partitionCount, .custom(partitioner), .fullOuterJoined(site))
    }
}
