public import BatchEngine

// `+` has a meaning for each type of numbers, and a literal, as in `map { ($0, 1) }`, can be of any.
// These forms are looked at first, so that whole numbers are `Int` as elsewhere in the language.

extension DStream {
    /// ``reduceByKey(partitions:file:line:_:)`` of values that are `Int`.
    @inlinable
    public func reduceByKey<Key: StreamKey>(
        partitions: Int? = nil, file: String = #fileID, line: UInt = #line,
        @ClosureBody<(Int, Int), Int>
        _ combine: @escaping @Sendable (Int, Int) throws -> Int
    ) -> DStream where Element == (Key, Int) {
        reduceByKey(
            OperatorSite("reduceByKey", file: file, line: line), partitions, .hash, combine)
    }

    /// ``reduceByKeyAndWindow(_:window:slide:partitions:file:line:)`` of values that are `Int`.
    @inlinable
    public func reduceByKeyAndWindow<Key: StreamKey>(
        @ClosureBody<(Int, Int), Int>
        _ combine: @escaping @Sendable (Int, Int) throws -> Int,
        window: Duration, slide: Duration? = nil, partitions: Int? = nil, file: String = #fileID,
        line: UInt = #line
    ) -> DStream where Element == (Key, Int) {
        reduceByKeyAndWindow(
            window: window, slide: slide, partitions: partitions, file: file, line: line, combine)
    }

    /// ``reduceByKeyAndWindow(_:inverse:window:slide:partitions:filter:file:line:)`` of values that
    /// are `Int`.
    @inlinable
    public func reduceByKeyAndWindow<Key: StreamKey>(
        @ClosureBody<(Int, Int), Int>
        _ combine: @escaping @Sendable (Int, Int) throws -> Int,
        @ClosureBody<(Int, Int), Int>
        inverse: @escaping @Sendable (Int, Int) throws -> Int,
        window: Duration, slide: Duration? = nil, partitions: Int? = nil,
        filter isIncluded: (@Sendable ((Key, Int)) throws -> Bool)? = nil,
        file: String = #fileID, line: UInt = #line
    ) -> DStream where Element == (Key, Int) {
        let site = OperatorSite("reduceByKeyAndWindow", file: file, line: line)
        return reduceByKey(site, partitions, .hash, combine).incremental(
            site, combine, inverse, checkedWindow(window, slide, site), partitions, .hash,
            isIncluded)
    }
}
