import DStreamTestKit
import StreamingContext
import Testing

/// A key of two fields, with the hash that its binary form gives.
private struct Place: StreamKey, Codable {
    let country: String
    let city: String
}

/// A key with a hash of its own.
private struct Cell: StreamKey {
    let row: Int
    let column: Int

    var stableHash: UInt64 {
        var hasher = StableHasher()
        hasher.combine(row)
        hasher.combine(column)
        return hasher.finish()
    }

    func encode(to writer: inout ByteWriter) {
        row.encode(to: &writer)
        column.encode(to: &writer)
    }

    static func decode(from reader: inout ByteReader) throws -> Cell {
        Cell(row: try Int.decode(from: &reader), column: try Int.decode(from: &reader))
    }
}

/// A value with a binary form of its own, one that never gets longer than a byte.
private struct Grade: StreamCodable, Hashable {
    let points: UInt8
    static let codecShape = "Grade/1"

    func encode(to writer: inout ByteWriter) { writer.writeByte(points) }

    static func decode(from reader: inout ByteReader) throws -> Grade {
        Grade(points: try reader.readByte())
    }
}

/// Places words by their first letter.
private struct Alphabet: Partitioner {
    var partitionCount: Int { 2 }

    func partition(for key: String) -> Int { key < "n" ? 0 : 1 }
}

@Suite("Keys, codecs and partitioners of a user's own", .timeLimit(.minutes(5)))
struct KeyAndCodecAPITests {
    @Test("structs are keys")
    func structs() async throws {
        let harness = StreamHarness()
        let visits = [Place(country: "NO", city: "Oslo"), Place(country: "SE", city: "Lund")]
        let places = harness.record(
            harness.input([visits + visits + [visits[0]]]).map { ($0, 1) }.reduceByKey(+))
        let cells = harness.record(
            harness.input([[1, 2, 3, 4]]).map { (Cell(row: $0 % 2, column: 0), $0) }
                .groupByKey().mapValues { $0.sorted() })
        try await harness.run(batches: 1)
        let counts = places.batches.flatMap(\.elements).map { ($0.0.city, $0.1) }
        #expect(Dictionary(uniqueKeysWithValues: counts) == ["Oslo": 3, "Lund": 2])
        let groups = cells.batches.flatMap(\.elements).map { ($0.0.row, $0.1) }
        #expect(Dictionary(uniqueKeysWithValues: groups) == [0: [2, 4], 1: [1, 3]])
    }

    @Test("values with codecs can be kept as bytes")
    func kept() async throws {
        let harness = StreamHarness()
        let grades = harness.input([[1, 2], [3]]).map { Grade(points: UInt8($0)) }
            .persist(.memoryOnlySerialized)
        let seen = harness.record(grades.window(.seconds(2)))
        let pairs = harness.record(
            grades.map { ($0, ("x", [Double($0.points)])) }.persist(.memoryOnlySerialized).map(
                \.1.1))
        try await harness.run(batches: 2)
        #expect(seen.batches.map { $0.elements.map(\.points) } == [[1, 2], [1, 2, 3]])
        #expect(pairs.batches.map(\.elements) == [[[1], [2]], [[3]]])
        #expect(harness.errors.isEmpty)
    }

    @Test("tuples nest in values")
    func nested() async throws {
        let harness = StreamHarness()
        let sums = harness.input([["a", "bb", "a"]])
            .map { ($0, ($0.count, 1)) }
            .reduceByKey { ($0.0 + $1.0, $0.1 + $1.1) }
        let lengths = harness.record(
            sums.mapValues { Double($0.0) / Double($0.1) }.map { (word: $0.0, mean: $0.1) })
        let deeper = harness.record(
            harness.input([[1, 2, 3]])
                .map { ($0 % 2, (($0, "\($0)"), [$0: true])) }
                .reduceByKey { left, right in
                    let sum = (left.0.0 + right.0.0, left.0.1 + right.0.1)
                    return (sum, left.1.merging(right.1) { $1 })
                })
        try await harness.run(batches: 1)
        let means = lengths.batches.flatMap(\.elements).map { ($0.word, $0.mean) }
        #expect(Dictionary(uniqueKeysWithValues: means) == ["a": 1, "bb": 2])
        #expect(deeper.batches.flatMap(\.elements).map(\.1.0.0).sorted() == [2, 4])
    }

    @Test("of what joins of joins give, codecs are found")
    func joins() {
        #expect(Codec<(String, (Int, String))>.resolve() != nil)
        #expect(Codec<(String, ((Int, String?), [Double]))>.resolve() != nil)
        #expect(Codec<(String, (Int?, (Bool, UInt8)?))>.resolve() != nil)
        #expect(Codec<(Int, ([String], [(Int, Bool)]))>.resolve() != nil)
    }

    @Test("a partitioner says where keys go")
    func partitioner() async throws {
        let harness = StreamHarness()
        let counts = harness.record(
            harness.input([["zoo", "ant", "bee", "yak", "ant"]]).map { ($0, 1) }
                .reduceByKey(partitioner: Alphabet(), +))
        try await harness.run(batches: 1)
        let partitions = try #require(counts.batches.first).partitions
        #expect(partitions.map { $0.map(\.0).sorted() } == [["ant", "bee"], ["yak", "zoo"]])
    }
}
