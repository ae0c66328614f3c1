import StreamingContext

/// A key of one's own, with a binary form and a hash of its own.
nonisolated struct Place: StreamKey {
    let country: String
    let number: Int

    func encode(to writer: inout ByteWriter) {
        country.encode(to: &writer)
        number.encode(to: &writer)
    }

    static func decode(from reader: inout ByteReader) throws -> Place {
        Place(country: try String.decode(from: &reader), number: try Int.decode(from: &reader))
    }

    var stableHash: UInt64 {
        var hasher = StableHasher()
        hasher.combine(hash: country.stableHash)
        hasher.combine(hash: number.stableHash)
        return hasher.finish()
    }
}

/// A `Codable` type gets its binary form by saying so.
nonisolated struct Visits: Codable, Equatable, StreamCodable {
    var count = 0
}

/// Keys of one country in one partition.
nonisolated struct ByCountry: Partitioner {
    let partitionCount: Int

    func partition(for key: Place) -> Int {
        Int(key.country.stableHash % UInt64(partitionCount))
    }
}

/// Receives what it was made with, then waits for its end.
nonisolated struct OwnReceiver: Receiver {
    let places: [Place]

    func run(_ output: ReceiverOutput<Place>) async throws {
        try await output.store(block: places)
        // Ends with the task.
        for await _ in AsyncStream<Never>.makeStream().stream {}
    }
}

/// Records are their offsets.
nonisolated struct OwnSource: DirectSource {
    func latestOffsets() async throws -> [TopicPartition: Int64] {
        [TopicPartition(topic: "numbers", partition: 0): 3]
    }

    func startingOffset(of partition: TopicPartition) async throws -> Int64 { 0 }

    func read(_ range: OffsetRange, _ body: (Int64) throws -> Void) throws {
        for offset in range.fromOffset..<range.untilOffset { try body(offset) }
    }
}
