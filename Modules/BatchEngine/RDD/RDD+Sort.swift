// Sorting takes any Comparable key. Strings sort by their UTF-16 code units, as on the JVM, and NaN
// sorts last.
extension RDD {
    /// Sorts the elements by a key made of each: over all partitions, in partition order.
    ///
    /// The sort is stable: elements with equal keys stay in partition order, also when it descends.
    /// A job runs at once that looks at a sample of the keys, to make partitions of about equal
    /// size; there are fewer than asked for when there are few different keys.
    ///
    /// - Parameters:
    ///   - ascending: whether the smallest key comes first.
    ///   - partitions: output partitions; nil: as many as now; with 1 no sample is taken.
    ///   - key: called up to twice per element.
    /// - Throws: what running the job throws.
    /// - Complexity: O(n log n); a partition's elements are held in memory.
    @inlinable
    public func sortBy<Key: Comparable & Sendable>(
        ascending: Bool = true, partitions: Int? = nil, file: String = #fileID,
        line: UInt = #line, _ key: @escaping @Sendable (Element) throws -> Key
    ) async throws -> RDD {
        let site = OperatorSite("sortBy", file: file, line: line)
        return try await sorted(site, ascending, partitions, key) { sortsBefore($0, $1) }
    }

    /// ``sortBy(ascending:partitions:file:line:_:)`` with an order of the user's own.
    ///
    /// - Parameter areInIncreasingOrder: a strict weak order of the keys.
    @inlinable
    public func sortBy<Key: Sendable>(
        ascending: Bool = true, partitions: Int? = nil, file: String = #fileID,
        line: UInt = #line, _ key: @escaping @Sendable (Element) throws -> Key,
        by areInIncreasingOrder: @escaping @Sendable (Key, Key) throws -> Bool
    ) async throws -> RDD {
        let site = OperatorSite("sortBy", file: file, line: line)
        return try await sorted(site, ascending, partitions, key, areInIncreasingOrder)
    }

    /// ``sortBy(ascending:partitions:file:line:_:)`` with the key of each pair.
    @inlinable
    public func sortByKey<Key: Comparable & Sendable, Value: Sendable>(
        ascending: Bool = true, partitions: Int? = nil, file: String = #fileID,
        line: UInt = #line
    ) async throws -> RDD where Element == (Key, Value) {
        let site = OperatorSite("sortByKey", file: file, line: line)
        return try await sorted(site, ascending, partitions, { $0.0 }) { sortsBefore($0, $1) }
    }

    /// ``sortByKey(ascending:partitions:file:line:)`` with an order of the user's own.
    @inlinable
    public func sortByKey<Key: Sendable, Value: Sendable>(
        ascending: Bool = true, partitions: Int? = nil, file: String = #fileID,
        line: UInt = #line, by areInIncreasingOrder: @escaping @Sendable (Key, Key) throws -> Bool
    ) async throws -> RDD where Element == (Key, Value) {
        let site = OperatorSite("sortByKey", file: file, line: line)
        return try await sorted(site, ascending, partitions, { $0.0 }, areInIncreasingOrder)
    }

    @inlinable
    func sorted<Key: Sendable>(
        _ site: OperatorSite, _ isAscending: Bool, _ partitions: Int?,
        _ key: @escaping @Sendable (Element) throws -> Key,
        _ precedes: @escaping @Sendable (Key, Key) throws -> Bool
    ) async throws -> RDD {
        let ranges = try await keyRanges(
            site, pipe.map(site, key), partitions ?? partitionCount, isAscending: isAscending,
            precedes)
        let keyed: Pipe<(Key, Element)> = pipe.map(site) { (try key($0), $0) }
        let kernel = keyed.bucketKernel(id: .nextDynamic(), site) {
            try ranges.partition(of: $0.0)
        }
        let gather = Pipe<(Key, Element)>.source(site).gathered
        let sorted = Pipe { context, inputs, sink in
            var pairs = try gather(context, inputs)
            do { try pairs.sort { try ranges.isBefore($0.0, $1.0) } } catch {
                throw OperatorFailure.wrap(error, at: site)
            }
            var check = CancellationCheck(context)
            for pair in pairs {
                try check.next()
                try sink(pair.1)
            }
        }
        return exchanged(kernel, ranges.count, sorted)
    }
}

extension RDD {
    /// The smallest elements, ascending; of equal ones those that come first.
    ///
    /// - Parameter count: how many; none when it is not positive.
    /// - Complexity: O(elements); memory for `count` elements per partition.
    @inlinable
    public func takeOrdered(
        _ count: Int, file: String = #fileID, line: UInt = #line
    ) async throws -> [Element] where Element: Comparable {
        let site = OperatorSite("takeOrdered", file: file, line: line)
        return try await ordered(site, count) { sortsBefore($0, $1) }
    }

    /// The first elements in an order of the user's own.
    @inlinable
    public func takeOrdered(
        _ count: Int, file: String = #fileID, line: UInt = #line,
        by areInIncreasingOrder: @escaping @Sendable (Element, Element) throws -> Bool
    ) async throws -> [Element] {
        let site = OperatorSite("takeOrdered", file: file, line: line)
        return try await ordered(site, count, areInIncreasingOrder)
    }

    /// The largest elements, descending; of equal ones those that come first.
    ///
    /// - Parameter count: how many; none when it is not positive.
    /// - Complexity: O(elements); memory for `count` elements per partition.
    @inlinable
    public func top(
        _ count: Int, file: String = #fileID, line: UInt = #line
    ) async throws -> [Element] where Element: Comparable {
        let site = OperatorSite("top", file: file, line: line)
        return try await ordered(site, count) { sortsBefore($1, $0) }
    }

    /// The last elements in an order of the user's own, the very last one first.
    @inlinable
    public func top(
        _ count: Int, file: String = #fileID, line: UInt = #line,
        by areInIncreasingOrder: @escaping @Sendable (Element, Element) throws -> Bool
    ) async throws -> [Element] {
        let site = OperatorSite("top", file: file, line: line)
        return try await ordered(site, count) { try areInIncreasingOrder($1, $0) }
    }

    /// The smallest element, or nil when there is none.
    @inlinable
    public func min(
        file: String = #fileID, line: UInt = #line
    ) async throws -> Element? where Element: Comparable {
        let site = OperatorSite("min", file: file, line: line)
        return try await ordered(site, 1) { sortsBefore($0, $1) }.first
    }

    /// The largest element, or nil when there is none; NaN is larger than all numbers.
    @inlinable
    public func max(
        file: String = #fileID, line: UInt = #line
    ) async throws -> Element? where Element: Comparable {
        let site = OperatorSite("max", file: file, line: line)
        return try await ordered(site, 1) { sortsBefore($1, $0) }.first
    }

    /// The smallest element in an order of the user's own, or nil when there is none.
    @inlinable
    public func min(
        file: String = #fileID, line: UInt = #line,
        by areInIncreasingOrder: @escaping @Sendable (Element, Element) throws -> Bool
    ) async throws -> Element? {
        let site = OperatorSite("min", file: file, line: line)
        return try await ordered(site, 1, areInIncreasingOrder).first
    }

    /// The largest element in an order of the user's own, or nil when there is none.
    @inlinable
    public func max(
        file: String = #fileID, line: UInt = #line,
        by areInIncreasingOrder: @escaping @Sendable (Element, Element) throws -> Bool
    ) async throws -> Element? {
        let site = OperatorSite("max", file: file, line: line)
        return try await ordered(site, 1) { try areInIncreasingOrder($1, $0) }.first
    }

    @inlinable
    func ordered(
        _ site: OperatorSite, _ count: Int,
        _ precedes: @escaping @Sendable (Element, Element) throws -> Bool
    ) async throws -> [Element] {
        guard count > 0 else { return [] }
        let run = pipe.run
        let wrapped: @Sendable (Element, Element) throws -> Bool = {
            try OperatorFailure.attempt(site, precedes, $0, $1)
        }
        return try await concluded(site) { context, inputs in
            var first = FirstElements<Element>(count)
            try run(context, inputs) { try first.add($0, wrapped) }
            try first.settle(wrapped)
            return first.elements
        } _: { partials in
            var first = FirstElements<Element>(count)
            for element in partials.joined() { try first.add(element, wrapped) }
            try first.settle(wrapped)
            return first.elements
        }
    }
}
