import BatchEngine

extension HotPath {
    /// Shuffles: before them, values are combined by key; after them, what came together is merged.
    static let keyed = [
        rdd("reduce-combine", { words($0).map { ($0, 1) } }) {
            $0.reduceByKey(partitions: 2) { $0 &+ $1 }
        },
        // Every key comes from each of four partitions.
        rdd("shuffle-merge", partitions: 4, { words($0, distinct: $0 / 4).map { ($0, 1) } }) {
            $0.reduceByKey(partitions: 4) { $0 &+ $1 }
        },
        rdd("partition-by", { words($0).map { ($0, 1) } }) {
            $0.partitionBy(HashPartitioner(partitionCount: 2))
        },
        rdd("join", partitions: 2, { words($0, distinct: $0).map { ($0, 1) } }) {
            $0.join($0.context.parallelize([("word1", 1)], partitions: 1), partitions: 2)
        },
        HotPath("encode") { count in
            let codec = try pairCodec()
            let pairs = words(count).map { ($0, 1) }
            return {
                var writer = ByteWriter(reservingCapacity: 32 * count)
                for pair in pairs { codec.encode(pair, &writer) }
                guard writer.count > count else { throw BudgetError("nothing was encoded") }
            }
        },
        HotPath("decode") { count in
            let codec = try pairCodec()
            var writer = ByteWriter()
            for word in words(count) { codec.encode((word, 1), &writer) }
            let bytes = try writer.takeBytes()
            return {
                try bytes.withUnsafeBytes { bytes in
                    var reader = ByteReader(bytes)
                    var sum = 0
                    while !reader.isAtEnd { sum += try codec.decode(&reader).1 }
                    guard sum == count else { throw BudgetError("\(sum) were decoded") }
                }
            }
        },
    ]

    private static func pairCodec() throws -> Codec<(String, Int)> {
        guard let codec = Codec<(String, Int)>.resolve() else {
            throw BudgetError("pairs have no codec")
        }
        return codec
    }
}
