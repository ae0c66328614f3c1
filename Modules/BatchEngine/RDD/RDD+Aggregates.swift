extension RDD {
    /// Folds each partition into another type, then the results, both from `zero`.
    ///
    /// `zero` is used once per partition and once more at the end, as in Spark: it should change
    /// nothing.
    ///
    /// - Parameters:
    ///   - seqOp: adds an element to a partition's result.
    ///   - combOp: combines the results in partition order.
    @inlinable
    public func aggregate<Result: Sendable>(
        _ zero: Result, file: String = #fileID, line: UInt = #line,
        seqOp: @escaping @Sendable (Result, Element) throws -> Result,
        combOp: @escaping @Sendable (Result, Result) throws -> Result
    ) async throws -> Result {
        try await aggregate(
            OperatorSite("aggregate", file: file, line: line), zero, seqOp, combOp)
    }

    @inlinable
    func aggregate<Result: Sendable>(
        _ site: OperatorSite, _ zero: Result,
        _ seqOp: @escaping @Sendable (Result, Element) throws -> Result,
        _ combOp: @escaping @Sendable (Result, Result) throws -> Result
    ) async throws -> Result {
        let run = pipe.run
        return try await concluded(site) { context, inputs in
            var result = zero
            try run(context, inputs) { element in
                result = try OperatorFailure.attempt(site, seqOp, result, element)
            }
            return result
        } _: { partials in
            var result = zero
            for partial in partials {
                result = try OperatorFailure.attempt(site, combOp, result, partial)
            }
            return result
        }
    }

    /// Folds the values of each key into another type, from `zero`.
    ///
    /// - Parameters:
    ///   - partitions: output partitions; nil: the context's default; smaller values than 1 count
    ///     as 1.
    ///   - seqOp: adds a value to a key's result within an input partition.
    ///   - combOp: combines a key's results of several partitions.
    @inlinable
    public func aggregateByKey<Key: StreamKey, Value: Sendable, Result: Sendable>(
        _ zero: Result, partitions: Int? = nil, file: String = #fileID, line: UInt = #line,
        seqOp: @escaping @Sendable (Result, Value) throws -> Result,
        combOp: @escaping @Sendable (Result, Result) throws -> Result
    ) -> RDD<(Key, Result)> where Element == (Key, Value) {
        combineByKey(
            OperatorSite("aggregateByKey", file: file, line: line), outputCount(partitions), .hash,
            true, { try seqOp(zero, $0) }, seqOp, combOp)
    }

    /// ``aggregateByKey(_:partitions:file:line:seqOp:combOp:)`` with the user's own placement of
    /// keys.
    @inlinable
    public func aggregateByKey<Key: StreamKey, Value: Sendable, Result: Sendable>(
        _ zero: Result, partitioner: some Partitioner<Key>, file: String = #fileID,
        line: UInt = #line,
        seqOp: @escaping @Sendable (Result, Value) throws -> Result,
        combOp: @escaping @Sendable (Result, Result) throws -> Result
    ) -> RDD<(Key, Result)> where Element == (Key, Value) {
        combineByKey(
            OperatorSite("aggregateByKey", file: file, line: line), partitioner.partitionCount,
            .custom(partitioner), true, { try seqOp(zero, $0) }, seqOp, combOp)
    }

    /// Folds the values of each key, from `zero` once per key and input partition.
    ///
    /// - Parameter partitions: output partitions; nil: the context's default; smaller values than 1
    ///   count as 1.
    @inlinable
    public func foldByKey<Key: StreamKey, Value: Sendable>(
        _ zero: Value, partitions: Int? = nil, file: String = #fileID, line: UInt = #line,
        _ combine: @escaping @Sendable (Value, Value) throws -> Value
    ) -> RDD where Element == (Key, Value) {
        combineByKey(
            OperatorSite("foldByKey", file: file, line: line), outputCount(partitions), .hash,
            true, { try combine(zero, $0) }, combine, combine)
    }

    /// ``foldByKey(_:partitions:file:line:_:)`` with the user's own placement of keys.
    @inlinable
    public func foldByKey<Key: StreamKey, Value: Sendable>(
        _ zero: Value, partitioner: some Partitioner<Key>, file: String = #fileID,
        line: UInt = #line, _ combine: @escaping @Sendable (Value, Value) throws -> Value
    ) -> RDD where Element == (Key, Value) {
        combineByKey(
            OperatorSite("foldByKey", file: file, line: line), partitioner.partitionCount,
            .custom(partitioner), true, { try combine(zero, $0) }, combine, combine)
    }
}

// Dictionaries tell strings apart by `==`, key operators by their bytes: canonically equivalent
// strings with different bytes are two keys and then one in the dictionary.
extension RDD {
    /// The values of each key combined, as a dictionary.
    ///
    /// - Complexity: memory for all keys.
    @inlinable
    public func reduceByKeyLocally<Key: StreamKey, Value: Sendable>(
        file: String = #fileID, line: UInt = #line,
        _ combine: @escaping @Sendable (Value, Value) throws -> Value
    ) async throws -> [Key: Value] where Element == (Key, Value) {
        let site = OperatorSite("reduceByKeyLocally", file: file, line: line)
        return try await reducedLocally(site, pipe, combine)
    }

    /// How often each key occurs.
    ///
    /// - Complexity: memory for all keys.
    @inlinable
    public func countByKey<Key: StreamKey, Value>(
        file: String = #fileID, line: UInt = #line
    ) async throws -> [Key: Int] where Element == (Key, Value) {
        let site = OperatorSite("countByKey", file: file, line: line)
        return try await reducedLocally(site, pipe.map(site) { ($0.0, 1) }) { $0 + $1 }
    }

    /// How often each element occurs.
    ///
    /// Elements are told apart as keys are; see ``StreamKey``.
    ///
    /// - Complexity: memory for all distinct elements.
    @inlinable
    public func countByValue(
        file: String = #fileID, line: UInt = #line
    ) async throws -> [Element: Int] where Element: StreamKey {
        let site = OperatorSite("countByValue", file: file, line: line)
        return try await reducedLocally(site, pipe.map(site) { ($0, 1) }) { $0 + $1 }
    }

    /// The elements as a dictionary; of the values of a key the last one in partition order stays.
    ///
    /// Keys that are equal to Swift, as canonically equivalent strings are, are one entry; so are keys
    /// that are one to ``StreamKey`` alone, as NaNs are.
    ///
    /// - Complexity: memory for all elements.
    @inlinable
    public func collectAsMap<Key: StreamKey, Value: Sendable>(
        file: String = #fileID, line: UInt = #line
    ) async throws -> [Key: Value] where Element == (Key, Value) {
        var values: [Key: Value] = [:]
        let unequal = AggregationTable<Key, Value>()
        for (key, value) in try await collect(file: file, line: line) {
            if key == key {
                values[key] = value
            } else {
                // A dictionary would never find it again.
                unequal.update(key, default: value) { $0 = value }
            }
        }
        unequal.drain { values[$0] = $1 }
        return values
    }

    /// The values of one key, in partition order.
    ///
    /// - Complexity: O(elements).
    @inlinable
    public func lookup<Key: StreamKey, Value: Sendable>(
        _ key: Key, file: String = #fileID, line: UInt = #line
    ) async throws -> [Value] where Element == (Key, Value) {
        let site = OperatorSite("lookup", file: file, line: line)
        let pipe = pipe
        return try await runTasks(site) { context, inputs in
            var values: [Value] = []
            try pipe.push(context, inputs) { element in
                if Key.isSameKey(element.0, key) { values.append(element.1) }
            }
            return values
        }.flatMap { $0 }
    }

    @inlinable
    func reducedLocally<Key: StreamKey, Value: Sendable>(
        _ site: OperatorSite, _ pairs: Pipe<(Key, Value)>,
        _ combine: @escaping @Sendable (Value, Value) throws -> Value
    ) async throws -> [Key: Value] {
        let kernel = pairs.reduceKernel(id: .nextDynamic(), site, placement: .hash, combine)
        let reduced: RDD<(Key, Value)> = exchanged(kernel, 1, .merged(site, combine))
        let gather = reduced.pipe.gathered
        // The user's closure runs on the engine's threads, also where the dictionary joins keys.
        let tables = try await reduced.runTasks(site) { context, inputs in
            try Dictionary(try gather(context, inputs)) {
                try OperatorFailure.attempt(site, combine, $0, $1)
            }
        }
        return tables.first ?? [:]
    }
}
