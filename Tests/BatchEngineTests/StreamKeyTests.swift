import BatchEngine
import Testing

private struct Route: StreamKey, Codable {
    var from: String
    var to: String

    var stableHash: UInt64 {
        var hasher = StableHasher()
        hasher.combine(from)
        hasher.combine(to)
        return hasher.finish()
    }
}

/// Structs whose conformance is declared and nothing else.
private struct Reading: StreamKey, Codable {
    var sensor: String
    var value: Double
}

private struct Point: StreamKey, Codable {
    var x: Double
    var y: Float?
}

struct StreamKeyTests {
    /// The binary form for the purpose of comparing keys.
    private func keyBytes<Key: StreamKey>(_ key: Key) -> [UInt8] {
        var writer = ByteWriter(purpose: .key)
        key.encode(to: &writer)
        return writer.bytes
    }

    private func expectSameKey<Key: StreamKey>(
        _ left: Key, _ right: Key, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(Key.isSameKey(left, right), sourceLocation: sourceLocation)
        #expect(left.stableHash == right.stableHash, sourceLocation: sourceLocation)
        #expect(keyBytes(left) == keyBytes(right), sourceLocation: sourceLocation)
    }

    /// These constants decide where stored state lies: they may never change.
    @Test func `hashes are golden`() {
        #expect("".stableHash == 0x1ff5_c292_3a78_8d2c)
        #expect("a".stableHash == 0xaa89_2c12_0ccf_3d6b)
        #expect("the".stableHash == 0xd1bd_d4cc_e9d2_cec8)
        #expect("fifteen bytes!!".stableHash == 0x03b4_9d53_d781_2fe9)
        #expect("sixteen bytes!!!".stableHash == 0xda49_9116_6e3a_8431)
        #expect("seventeen bytes!!".stableHash == 0x3ba5_0fd8_4acf_6343)
        #expect("héé日".stableHash == 0x1b3b_8ae6_528a_9e14)
        #expect(String(repeating: "0123456789", count: 10).stableHash == 0x7f2f_f4ce_3733_5142)
        #expect(0.stableHash == 0x1ff5_c292_3a78_8d2c)
        #expect(42.stableHash == 0x386a_fcf6_dde9_d8b4)
        #expect((-1).stableHash == 0xdff5_c05a_bb60_6d30)
        #expect(UInt8(42).stableHash == 0x386a_fcf6_dde9_d8b4)
        #expect(true.stableHash == 0x38f9_4c43_9ac3_6242)
        #expect(1.5.stableHash == 0x073a_6dcd_287e_d1e1)
        #expect(Double.nan.stableHash == 0x817d_4e18_b04b_e43e)
        #expect(Float(1.5).stableHash == 0x2bc2_9a7e_ccb7_18c6)
        #expect(Character("é").stableHash == 0x3c5a_7a8f_83b3_6c0c)
        #expect(Optional<Int>.none.stableHash == 0xfcd6_a911_1163_1185)
        #expect(Optional(7).stableHash == 0x148f_f4ab_8745_32b4)
        #expect([1, 2, 3].stableHash == 0xa1d8_2044_e462_b338)
        #expect([UInt8(1), 2, 3].stableHash == 0x2aef_ae16_f867_b7ed)
        #expect(Route(from: "a", to: "b").stableHash == 0xab3f_658d_7456_194a)
    }

    /// Ways to store the bytes of a string.
    private func representations(_ text: String) -> [String] {
        var reserved = text
        reserved.reserveCapacity(100)
        var grown = String(repeating: "x", count: 40)
        grown.append(text)
        grown.removeFirst(40)
        let padded = "prefix of some length " + text + " and a suffix of some length"
        let start = padded.index(padded.startIndex, offsetBy: 22)
        let slice = padded[start..<padded.index(start, offsetBy: text.count)]
        var appended = ""
        appended.reserveCapacity(64)
        for scalar in text.unicodeScalars { appended.unicodeScalars.append(scalar) }
        return [
            reserved, grown, String(slice), appended, String(decoding: text.utf8, as: UTF8.self),
            String(text.reversed().reversed()), text + "",
        ]
    }

    @Test func `a string's hash does not depend on how it is stored`() {
        var texts = ["", "é", "日本語", "naïve", "👍🏽"]
        for count in 1...40 {
            texts.append(String("abcdefghij0123456789éABCDEFGHIJKLMNOPQRST".prefix(count)))
        }
        for text in texts {
            for other in representations(text) {
                expectSameKey(text, other)
                let bytes = Array(text.utf8).withUnsafeBytes { StableHasher.hash($0) }
                #expect(other.stableHash == bytes)
            }
        }
    }

    @Test func `strings with different bytes are different keys`() {
        #expect("caf\u{e9}" == "cafe\u{301}")
        #expect(!String.isSameKey("caf\u{e9}", "cafe\u{301}"))
        #expect("caf\u{e9}".stableHash != "cafe\u{301}".stableHash)
        #expect(!Character.isSameKey("\u{e9}", "e\u{301}"))
        let long = "a long enough prefix: "
        #expect(!String.isSameKey(long + "caf\u{e9}", long + "cafe\u{301}"))
        #expect(!String.isSameKey("a", "a\0"))
        #expect("a".stableHash != "a\0".stableHash)
        #expect("".stableHash != "\0".stableHash)
        #expect(!String.isSameKey(long + "a", long + "b"))
    }

    @Test func `zeros are one key and NaNs are one key`() {
        expectSameKey(0.0, -0.0)
        expectSameKey(Float(0), -0.0)
        expectSameKey(Double.nan, Double(nan: 5, signaling: false))
        expectSameKey(-Float.nan, Float.nan)
        expectSameKey([Double?.some(0.0), nil], [-0.0, nil])
        #expect(!Double.isSameKey(1, 2))
    }

    @Test func `structs are told apart by their key form, as they are hashed`() async throws {
        expectSameKey(Reading(sensor: "a", value: .nan), Reading(sensor: "a", value: -.nan))
        expectSameKey(Reading(sensor: "a", value: 0), Reading(sensor: "a", value: -0.0))
        expectSameKey(Point(x: .nan, y: -0.0), Point(x: .signalingNaN, y: 0))
        expectSameKey([Point(x: .nan, y: nil)], [Point(x: .nan, y: nil)])
        expectSameKey(Point?.some(Point(x: 1, y: .nan)), Point(x: 1, y: -.nan))
        #expect(!Point.isSameKey(Point(x: 1, y: nil), Point(x: 1, y: 0)))
        let composed = Reading(sensor: "caf\u{e9}", value: 1)
        let decomposed = Reading(sensor: "cafe\u{301}", value: 1)
        #expect(composed == decomposed && !Reading.isSameKey(composed, decomposed))
        // A key of its own for every record is what a NaN made before.
        let readings = (0..<100).map { (Reading(sensor: "a", value: .nan), $0) }
        let context = BatchContext.parallel()
        let rdd = context.parallelize(readings, partitions: 4)
        let sums = try await rdd.reduceByKey(+).collect()
        #expect(sums.map(\.1) == [4950])
        #expect(try await rdd.collectAsMap().map(\.value) == [99])
        #expect(try await rdd.countByKey().map(\.value) == [100])
        #expect(try await rdd.map { $0.0 }.distinct().count() == 1)
        #expect(try await rdd.lookup(Reading(sensor: "a", value: .nan)).count == 100)
    }

    @Test func `optionals and arrays of keys are keys`() {
        expectSameKey(String?.none, nil)
        #expect(Int?.none.stableHash != Int?.some(0).stableHash)
        #expect(!Optional<Int>.isSameKey(nil, 0))
        #expect([1, 2].stableHash != [2, 1].stableHash)
        #expect([[1], []].stableHash != [[], [1]].stableHash)
        expectSameKey([UInt8(1), 2], [1, 2])
        #expect(Route(from: "a", to: "b").stableHash != Route(from: "b", to: "a").stableHash)
        #expect(Route(from: "ab", to: "").stableHash != Route(from: "a", to: "b").stableHash)
    }

    @Test func `partitions are even and lie in their range`() {
        for count in [1, 2, 3, 7, 16, 200] {
            let partitioner = HashPartitioner<Int>(partitionCount: count)
            let words = HashPartitioner<String>(partitionCount: count)
            var sizes = [Int](repeating: 0, count: count)
            var wordSizes = sizes
            for number in 0..<20_000 {
                sizes[partitioner.partition(for: number)] += 1
                wordSizes[words.partition(for: "word\(number)")] += 1
            }
            let mean = 20_000 / count
            #expect(sizes.allSatisfy { abs($0 - mean) < mean / 2 + 30 })
            #expect(wordSizes.allSatisfy { abs($0 - mean) < mean / 2 + 30 })
        }
        #expect(HashPartitioner<Int>.partition(forHash: .max, count: 7) == 6)
        #expect(HashPartitioner<Int>.partition(forHash: 0, count: 7) == 0)
    }

    @Test func `low bits stay even within a partition`() {
        var buckets = [Int](repeating: 0, count: 64)
        for number in 0..<64_000 {
            let key = "\(number)"
            guard HashPartitioner<String>.partition(for: key, count: 16) == 3 else { continue }
            buckets[Int(key.stableHash & 63)] += 1
        }
        #expect(buckets.allSatisfy { $0 > 25 && $0 < 110 })
    }
}
