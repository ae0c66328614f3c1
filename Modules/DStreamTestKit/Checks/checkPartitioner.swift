public import BatchEngine

/// Checks that a partitioner keeps the promises of `Partitioner`.
///
/// That the answers are the same in another process cannot be seen from here: build them on
/// `stableHash`.
///
/// - Parameter keys: some that the partitioner can place, equal ones in different forms among them.
/// - Throws: ``CheckFailure`` saying which promise is broken.
/// - Complexity: O(*n*²) in the keys.
public func checkPartitioner<Rule: Partitioner>(_ partitioner: Rule, keys: [Rule.Key]) throws {
    try require(!keys.isEmpty, "the check is given a key")
    let count = partitioner.partitionCount
    try require(count >= 1, "there is at least one partition: \(count)")
    let places = keys.map { partitioner.partition(for: $0) }
    for (key, place) in zip(keys, places) {
        try require(
            (0..<count).contains(place),
            "a partition is from 0 to below \(count): \(place) of \(key)")
    }
    // In another order, so that what was asked before does not matter.
    let again = Array(keys.reversed().map { partitioner.partition(for: $0) }.reversed())
    try require(again == places, "a key has the same partition each time")
    try require(partitioner.partitionCount == count, "the number of partitions does not change")
    for (key, place) in zip(keys, places) {
        for (other, otherPlace) in zip(keys, places) where Rule.Key.isSameKey(key, other) {
            try require(
                place == otherPlace, "same keys have the same partition: \(key) and \(other)")
        }
        var writer = ByteWriter()
        key.encode(to: &writer)
        let read = try writer.takeBytes().withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            return try Rule.Key.decode(from: &reader)
        }
        try require(
            partitioner.partition(for: read) == place,
            "a key that was decoded has the partition that it had: \(key)")
    }
}
